"""Frames in front of the watermark: who is shown where, recomputed from the windows that still reach them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.aggregation import votes
from speakrs_stream.core.arrays import I64, U8, Array
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, nearest_frame
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.reconstruction import top_speakers


@dataclass(slots=True, eq=False)
class Placed:
    """A window on the time axis, with whom its local speakers are taken for."""

    window: int
    """Its number; below 0 for a preview."""
    start: int
    """Global frame of its first frame."""
    activations: U8
    """(frames, 3) of 0 and 1."""
    numbers: I64
    """(3,) speaker numbers; UNASSIGNED for nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Who is shown where."""

    start: int
    """Global frame of row 0."""
    matrix: U8
    """(frames, P) of 0 and 1."""
    numbers: I64
    """(P,) speaker number of each column, ascending."""

    @property
    def end(self) -> int:
        """One past the last global frame."""
        return self.start + len(self.matrix)

    @classmethod
    def nothing(cls, start: int = 0) -> Shown:
        """No frames."""
        return cls(start, np.zeros((0, 0), np.uint8), np.zeros(0, np.int64))

    def shares(self, start: int, activations: U8) -> dict[int, Array]:
        """Number -> (3,) share of each local speaker's activity on which that number is shown."""
        low, high = max(start, self.start), min(start + len(activations), self.end)
        if low >= high or not len(self.numbers):
            return {}
        heard = activations[low - start : high - start].astype(np.float32)
        together = heard.T @ self.matrix[low - self.start : high - self.start].astype(np.float32)
        share = together / np.maximum(activations.sum(axis=0, dtype=np.int64), 1)[:, None]
        return {int(number): share[:, column] for column, number in enumerate(self.numbers)}


def show(windows: list[Placed], counts: U8, start: int, before: Shown) -> Shown:
    """Top speakers of frames from `start` on: votes of all windows, ties to whoever was shown there before.

    counts: (frames,) how many speak in each frame from `start` on; before: what was shown until now.
    """
    named = np.unique(np.concatenate([np.zeros(0, np.int64), *[w.numbers for w in windows]]))
    numbers = named[named > 0]
    totals = np.zeros((len(counts), len(numbers)), np.int32)
    column = {int(number): index for index, number in enumerate(numbers)}
    for placed in windows:
        low, high = max(placed.start, start), min(placed.start + len(placed.activations), start + len(counts))
        if low < high:
            columns = np.array([column.get(int(number), -1) for number in placed.numbers])
            piece = placed.activations[low - placed.start : high - placed.start]
            totals[low - start : high - start] += 2 * votes(piece, columns, len(numbers)).astype(np.int32)
    low, high = max(start, before.start), min(start + len(counts), before.end)
    if low < high:
        for index, number in enumerate(before.numbers):
            if int(number) in column:
                shown = before.matrix[low - before.start : high - before.start, index]
                rows = totals[low - start : high - start, column[int(number)]]
                rows += (shown > 0) & (rows > 0)
    return Shown(start, top_speakers(totals, counts, allow_silent=False), numbers)


def window_frames(window: int, step: int) -> tuple[int, int]:
    """First and one past the last global frame of a window."""
    start = nearest_frame(window * step)
    return start, start + FRAMES_PER_WINDOW


def preview_counts(activations: U8) -> U8:
    """How many speak in each frame of a lone window, (frames,)."""
    assert activations.shape[1] == LOCAL_SPEAKERS
    return np.asarray(activations.sum(axis=1), np.uint8)
