"""The segmentation's first filters, run once over a stream instead of once a window.

PyanNet brings a window to one level (a mean taken off, a gain), runs 80 filters over it, and takes the largest of
every three absolute results. Filters are linear: those of the levelled window are those of the plain samples, times
the gain, plus a constant. So plain samples are filtered once, and each window applies its own gain and constant to
what it shares with its neighbours. That is the same function, up to the order of rounding.

Results of a filter are numbered by position in the stream, `stride` samples apart. A window takes the largest of
`pool` of them, first those that begin with its first sample; a *place* is where such a group may begin. Neighbouring
windows need not group alike (a second is not a whole number of groups), so a chunk holds the single results, dealt out
to `pool` rows: row p has results p, p + pool, p + 2 pool …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.arrays import F32, Array
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
        """Length of a chunk's rows, given its samples: groups are filled up at the end with results of silence."""
        results = (samples - self.taps) // self.stride + 1
        return -(-results // self.pool)

    def fits(self, step: int) -> bool:
        """Whether windows so many samples apart can share results."""
        return step % self.stride == 0 and step <= self.places * self.stride

    def level(self, window: F32) -> F32:
        """What a window (160000,) makes of plain results, (2,): factor, and multiple of `sums` to add before it."""
        mean = np.add.reduce(window, dtype=np.float64) / len(window)
        apart = window - np.float32(mean)
        np.square(apart, out=apart)
        gain = self.gain / np.sqrt(float(np.add.reduce(apart)) / len(window) + self.epsilon)
        return np.array([abs(gain), self.bias / gain - mean], np.float32)


def settle(layout: FilterLayout, inputs: Mapping[str, Array], out: F32) -> None:
    """The largest absolute result of each group of one window, at its level, into `out` (C, groups).

    inputs: as `Filters.inputs` makes them
    """
    gain, shift = inputs[LEVEL]
    constants = (layout.sums * shift)[:, None]
    odd = int(np.flatnonzero(layout.sums)[-1:].sum()) + 1  # filters from here on give 0 on a constant
    rows = np.empty_like(inputs[f"{PIECE}0"])
    done = 0
    for number, (first, count) in enumerate(inputs[PLACES].tolist()):
        piece = inputs[f"{PIECE}{number}"]
        used = rows if rows.shape == piece.shape else np.empty_like(piece)
        np.add(piece[:, :odd], constants[:odd], out=used[:, :odd])
        np.abs(used[:, :odd], out=used[:, :odd])
        np.abs(piece[:, odd:], out=used[:, odd:])
        part = out[:, done : done + count]
        for member in range(layout.pool):
            column, row = divmod(first + member, layout.pool)
            values = used[row, :, column : column + count]
            if member:
                np.maximum(part, values, out=part)
            else:
                part[:] = values
        part *= gain
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
        self._chunks: dict[int, F32 | None] = {}  # None while asked for
        self._waiting: dict[int, set[int]] = {}  # windows -> chunks they wait for

    def begin(self, window: int) -> list[int]:
        """A window is to be segmented: the chunks to ask for that nobody has asked for yet."""
        needed = range(window, window + self._last + bool(self._before))
        new = [chunk for chunk in needed if chunk not in self._chunks]
        self._chunks |= dict.fromkeys(new)
        self._waiting[window] = {chunk for chunk in needed if self._chunks[chunk] is None}
        return new

    def ready(self, window: int) -> bool:
        """Whether every chunk of a window that was begun is there."""
        return not self._waiting[window]

    def have(self, chunk: int, results: F32) -> list[int]:
        """A chunk, (pool, C, columns), is there: windows that waited for nothing else."""
        self._chunks[chunk] = results
        found = [window for window, missing in self._waiting.items() if missing == {chunk}]
        for missing in self._waiting.values():
            missing.discard(chunk)
        return found

    def shape(self, chunk: int) -> tuple[int, int, int]:
        """Of a chunk's results."""
        start, end = self.samples(chunk)
        return self.layout.pool, len(self.layout.sums), self.layout.columns(end - start)

    def samples(self, chunk: int) -> tuple[int, int]:
        """Samples, first and one past the last, that a chunk is made of."""
        low, high = self._range(chunk)
        return low * self.layout.stride, (high - 1) * self.layout.stride + self.layout.field

    def inputs(self, window: int, level: F32) -> dict[str, Array]:
        """What a window is segmented from."""
        layout, at = self.layout, window * self._unit
        end = at + layout.places
        places: list[tuple[int, int]] = []
        pieces: dict[str, Array] = {}
        for chunk in range(window, window + self._last + bool(self._before)):
            low, high = self._range(chunk)
            count = -(-(min(high, end) - at) // layout.pool)
            rows = self._chunks[chunk]
            assert rows is not None
            if count > 0:
                pieces[f"{PIECE}{len(places)}"] = rows
                places.append((at - low, count))
                at += count * layout.pool
        return {LEVEL: level, PLACES: np.array(places, np.int64), **pieces}

    def forget(self, first_window: int) -> None:
        """Drop what no window from `first_window` on can need."""
        self._chunks = {chunk: rows for chunk, rows in self._chunks.items() if chunk >= first_window}
        self._waiting = {window: missing for window, missing in self._waiting.items() if window >= first_window}

    def _range(self, chunk: int) -> tuple[int, int]:
        """Places of a chunk."""
        end = self._before + chunk * self._unit if self._before else (chunk + 1) * self._unit
        return max(0, end - self._unit), end
