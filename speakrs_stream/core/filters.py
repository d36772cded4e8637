"""The segmentation's first filters, run once over a stream instead of once a window.

PyanNet brings a window to one level (a mean taken off, a gain), runs 80 filters over it, and takes the largest of
every three absolute results. Filters are linear: those of the levelled window are those of the plain samples, times
the gain, plus a constant. So plain samples are filtered once, and each window applies its own gain and constant to
what it shares with its neighbours. That is the same function, up to the order of rounding.

Results of a filter are numbered by position in the stream, `stride` samples apart. A window takes the largest of
`pool` of them, first those that begin with its first sample; a *place* is where such a group may begin. Neighbouring
windows need not group alike (a second is not a whole number of groups), but there are only `pool` ways, the *phases*:
groups that begin with the results p, p + pool, p + 2 pool … So a chunk holds, in every phase, what a window needs to
know of a group of results x before it knows its own constant c: the largest absolute one where c is always 0, else the
largest x and the largest -x, because max |x + c| = max(max x + c, max -x - c). Adding rounds monotonically and alike on
both sides of 0, so that is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from speakrs_stream.core.arrays import F32, F64, I64, Array, Tape, frozen
from speakrs_stream.core.grid import WINDOW

LEVEL, PLACES, PIECE = "level", "places", "piece."
"""Inputs of a segmentation question with filtered samples: gain and shift, where to begin in each piece, the pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class FilterLayout:
    """The beginning of a segmentation network."""

    stride: int
    """Samples between two results of a filter."""
    taps: int
    """Samples one result sees."""
    pool: int
    """Results of which the largest absolute one is taken."""
    gain: float
    """Factor of the levelled window, not 0; negative where the network turns it over."""
    bias: float
    """What is added to it."""
    epsilon: float
    """Added to a window's variance before its root divides."""
    sums: F32
    """(C,) sum of each filter's taps: its result on a constant 1."""

    @property
    def shifted(self) -> int:
        """Filters, from the first on, of which any gives something on a constant; those behind them give 0."""
        return int(np.flatnonzero(self.sums)[-1:].sum() + self.sums.any())

    @property
    def rows(self) -> int:
        """Rows of a phase: largest and smallest results of the shifted filters, largest absolute ones of the others."""
        return len(self.sums) + self.shifted

    @property
    def field(self) -> int:
        """Samples a group of results sees."""
        return self.taps + (self.pool - 1) * self.stride

    @property
    def places(self) -> int:
        """Places in a window."""
        return (WINDOW - self.field) // self.stride + 1

    @property
    def groups(self) -> int:
        """Groups a window takes the largest result of."""
        return (self.places - 1) // self.pool + 1

    def columns(self, samples: int) -> int:
        """Groups of a chunk's first phase, given its samples: filled up at the end with results of silence."""
        results = (samples - self.taps) // self.stride + 1
        return -(-results // self.pool)

    def fits(self, step: int) -> bool:
        """Whether windows so many samples apart can share results."""
        return step % self.stride == 0 and step <= self.places * self.stride

    def level(self, powers: F64) -> F32:
        """What a window makes of plain results, (2,): factor, and multiple of `sums` to add before it.

        powers: (n, 2) of its pieces, as `powers` makes them
        """
        total, squares = np.add.reduce(powers, axis=0).tolist()
        mean, square = total / WINDOW, squares / WINDOW
        gain = self.gain / math.sqrt(max(0.0, square - mean * mean) + self.epsilon)
        return np.array([abs(gain), self.bias / gain - mean], np.float32)


def powers(samples: F32, length: int) -> F64:
    """Sum, and sum of squares, of every `length` samples, a whole number of times: (n,) -> (n / length, 2) float64."""
    exact = samples.reshape(-1, length).astype(np.float64)
    return np.stack([np.add.reduce(exact, axis=1), np.einsum("nd,nd->n", exact, exact)], axis=1)


def grouped(layout: FilterLayout, results: F32, out: F32) -> None:
    """What windows need to know of groups in every phase, or in the first only, into `out` (pool or 1, rows, columns).

    results: (pool, C, columns), row p with results p, p + pool, p + 2 pool … of each filter

    A later phase has a group less than the first; its last column is 0.
    """
    shifted = layout.shifted
    plain = results[:, :shifted]
    _extremes(np.maximum, plain, out[:, :shifted])
    _extremes(np.minimum, plain, out[:, shifted : 2 * shifted])
    _extremes(np.maximum, np.abs(results[:, shifted:]), out[:, 2 * shifted :])


def _extremes(of: np.ufunc, results: F32, out: F32) -> None:
    """Largest or smallest results of groups: (pool, C, columns) into (pool or 1, C, columns)."""
    if len(out) == 1:
        of.reduce(results, axis=0, out=out[0])
        return
    out[-1] = results[-1]
    for phase in reversed(range(len(out) - 1)):  # members that a group takes from its first column
        of(results[phase], out[phase + 1], out=out[phase])
    before = results[0].reshape(-1)
    for phase in range(1, len(out)):  # and from the next; one long row is quicker than many
        found = out[phase].reshape(-1)
        of(found[:-1], before[1:], out=found[:-1])
        before = of(before, results[phase].reshape(-1)) if phase + 1 < len(out) else before
    out[1:, :, -1] = 0


def settle(layout: FilterLayout, inputs: Mapping[str, Array], out: F32) -> None:
    """The largest absolute result of each group of one window, at its level, into `out` (C, groups).

    inputs: as `Filters.inputs` makes them
    """
    gain, shift = inputs[LEVEL]
    shifted = layout.shifted
    constant = (layout.sums[:shifted] * shift)[:, None]
    opposite = -constant
    done = 0
    for number, (first, count) in enumerate(inputs[PLACES].tolist()):
        column, phase = divmod(first, layout.pool)
        groups = inputs[f"{PIECE}{number}"][phase, :, column : column + count]
        part = out[:, done : done + count]
        above = groups[:shifted] + constant
        np.maximum(above, opposite - groups[shifted : 2 * shifted], out=above)
        np.multiply(above, gain, out=part[:shifted])
        np.multiply(groups[2 * shifted :], gain, out=part[shifted:])
        done += count


class Filters:
    """Which filtered chunks windows need, and those that are there.

    A chunk is what one more step of audio adds, so that every window ends with one. Chunks follow from position alone:
    results do not depend on how audio came, nor on what was forgotten and asked for again.
    """

    def __init__(self, layout: FilterLayout, step: int) -> None:
        """step: samples between windows, which `layout.fits`"""
        self.layout = layout
        self._unit = step // layout.stride  # places between windows, and in a chunk
        self._last, self._before = divmod(layout.places, self._unit)
        self._step, self._piece = step, gcd(step, WINDOW)  # samples: of a step, and of which windows are made up
        self._powers: Tape | None = None  # of pieces, from the first window begun on
        self._levels: dict[int, F32] = {}
        self._chunks: dict[int, F32 | None] = {}  # None while asked for
        self._found: dict[int, tuple[list[int], I64]] = {}  # answers of `_pieces`
        self._waiting: dict[int, set[int]] = {}  # windows -> chunks they wait for

    def begin(self, window: int, sound: F32) -> list[int]:
        """The next window, of samples (160000,), is to be segmented: the chunks to ask for that nobody has yet."""
        self._levels[window] = self._level(window, sound)
        needed = range(window, window + self._last + bool(self._before))
        new = [chunk for chunk in needed if chunk not in self._chunks]
        self._chunks |= dict.fromkeys(new)
        self._waiting[window] = {chunk for chunk in needed if self._chunks[chunk] is None}
        return new

    def ready(self, window: int) -> bool:
        """Whether every chunk of a window that was begun is there."""
        return not self._waiting[window]

    def have(self, chunk: int, results: F32) -> list[int]:
        """A chunk, (pool, rows, columns) as `grouped` makes it, is there: windows that waited for nothing else."""
        self._chunks[chunk] = results
        found = [window for window, missing in self._waiting.items() if missing == {chunk}]
        for missing in self._waiting.values():
            missing.discard(chunk)
        return found

    def shape(self, chunk: int) -> tuple[int, int, int]:
        """Of a chunk."""
        start, end = self.samples(chunk)
        return self.layout.pool, self.layout.rows, self.layout.columns(end - start)

    def samples(self, chunk: int) -> tuple[int, int]:
        """Samples, first and one past the last, that a chunk is made of."""
        low, high = self._range(chunk)
        return low * self.layout.stride, (high - 1) * self.layout.stride + self.layout.field

    def inputs(self, window: int) -> dict[str, Array]:
        """What a window is segmented from."""
        chunks, places = self._pieces(window)
        out: dict[str, Array] = {LEVEL: self._levels[window], PLACES: places}
        for number, chunk in enumerate(chunks):
            rows = self._chunks[window + chunk]
            assert rows is not None
            out[f"{PIECE}{number}"] = rows
        return out

    def _pieces(self, window: int) -> tuple[list[int], I64]:
        """Chunks, counted from a window's own, that it takes groups of: where the first begins in each, and how many.

        The same for all windows but the first, whose own chunk is no whole step.
        """
        window = min(window, 1)
        if window not in self._found:
            at = window * self._unit
            end = at + self.layout.places
            chunks, places = [], []
            for chunk in range(self._last + bool(self._before)):
                low, high = self._range(window + chunk)
                count = -(-(min(high, end) - at) // self.layout.pool)
                if count > 0:
                    chunks.append(chunk)
                    places.append((at - low, count))
                    at += count * self.layout.pool
            self._found[window] = chunks, frozen(np.array(places, np.int64))
        return self._found[window]

    def forget(self, first_window: int) -> None:
        """Drop what no window from `first_window` on can need."""
        self._chunks = {chunk: rows for chunk, rows in self._chunks.items() if chunk >= first_window}
        self._waiting = {window: missing for window, missing in self._waiting.items() if window >= first_window}
        self._levels = {window: level for window, level in self._levels.items() if window >= first_window}
        if self._powers is not None:
            self._powers.forget(first_window * self._step // self._piece)

    def _level(self, window: int, sound: F32) -> F32:
        """Of a window, by what is new in it: pieces follow from position alone, as chunks do."""
        first = window * self._step // self._piece
        if self._powers is None:
            self._powers = Tape((2,), np.float64, first)
        known = self._powers.end - first
        self._powers.append(powers(sound[known * self._piece :], self._piece))
        return self.layout.level(self._powers.get(first, self._powers.end))

    def _range(self, chunk: int) -> tuple[int, int]:
        """Places of a chunk."""
        end = self._before + chunk * self._unit if self._before else (chunk + 1) * self._unit
        return max(0, end - self._unit), end
