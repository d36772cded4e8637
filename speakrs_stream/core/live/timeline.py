"""Frames in front of the watermark: who is shown where, recomputed from the windows that still reach them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F32, I64, U8
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, nearest_frame
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.reconstruction import clean_runs, runs, top_rows


@dataclass(slots=True, eq=False)
class Placed:
    """A window on the time axis, with whom its local speakers are taken for."""

    window: int
    """Its number; below 0 for a preview."""
    start: int
    """Global frame of its first frame."""
    activity: Activity
    """Who speaks."""
    numbers: I64 = field(default_factory=lambda: np.full(LOCAL_SPEAKERS, UNASSIGNED, np.int64))
    """(3,) speaker numbers; UNASSIGNED for nobody."""
    _last: tuple[I64, list[tuple[int, F32]]] | None = field(init=False, default=None)
    """Numbers, and what `heard` said of them."""

    @property
    def end(self) -> int:
        """One past its last global frame."""
        return self.start + len(self.activity.bits)

    def heard(self) -> list[tuple[int, F32]]:
        """Numbers and (frames,) whether the window hears each; once where two local speakers are taken for one."""
        if self._last is None or self._last[0] is not self.numbers:  # numbers are replaced, not written over
            self._last = self.numbers, self._heard()
        return self._last[1]

    def _heard(self) -> list[tuple[int, F32]]:
        rows = self.activity.rows
        found = [(number, rows[local]) for local, number in enumerate(self.numbers.tolist()) if number > 0]
        if len({number for number, _ in found}) == len(found):
            return found
        merged: dict[int, F32] = {}
        for number, row in found:
            merged[number] = np.maximum(merged[number], row) if number in merged else row
        return list(merged.items())


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Who is shown where."""

    start: int
    """Global frame of row 0."""
    matrix: U8
    """(frames, P) of 0 and 1, best with columns that are contiguous."""
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

    def lasting(self, end: int) -> Shown:
        """The same up to frame `end`: whoever is shown last goes on until there."""
        if not len(self.matrix) or end <= self.end:
            return self
        more = np.repeat(self.matrix[-1:], end - self.end, axis=0)
        return Shown(self.start, np.concatenate([self.matrix, more]), self.numbers)

    def shares(self, windows: Sequence[Placed]) -> F32:
        """Share of each local speaker's activity on which each number is shown: (windows, 3, P)."""
        share = np.zeros((len(windows), LOCAL_SPEAKERS, len(self.numbers)), np.float32)
        if not share.size:
            return share
        shown = self.matrix.astype(np.float32)
        for index, placed in enumerate(windows):
            low, high = max(placed.start, self.start), min(placed.end, self.end)
            if low < high:
                rows = placed.activity.rows[:, low - placed.start : high - placed.start]
                np.matmul(rows, shown[low - self.start : high - self.start], out=share[index])
        share /= np.maximum([placed.activity.active for placed in windows], 1)[..., None]
        return share


UNIT = 8
"""Into how many parts a vote is divided."""


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """How many windows hear each speaker in each frame."""

    start: int
    """Global frame of column 0."""
    numbers: list[int]
    """Whom a window hears anywhere, ascending."""
    rows: F32
    """(P, frames) votes, times `UNIT`."""

    @classmethod
    def of(cls, windows: Sequence[Placed], start: int, frames: int, known: Votes | None = None) -> Votes:
        """Votes of windows in so many frames from `start` on.

        known: those of all of `windows` but the last, and of others that reach none of these frames
        """
        numbers = sorted({number for placed in windows for number, _ in placed.heard()})
        row = {number: index for index, number in enumerate(numbers)}
        rows = np.zeros((len(numbers), frames), np.float32)
        if known is not None:
            have = known.rows[:, start - known.start :]
            if known.numbers == numbers:
                rows[:, : have.shape[1]] = have
            else:
                for number, theirs in zip(known.numbers, have, strict=True):
                    if number in row:
                        rows[row[number], : len(theirs)] = theirs
        for placed in windows if known is None else windows[-1:]:
            at = placed.start - start
            first, last = max(at, 0), max(min(at + FRAMES_PER_WINDOW, frames), at)
            for number, heard in placed.heard():
                part = heard[first - at : last - at]
                rows[row[number], first : first + len(part)] += UNIT * part
        return cls(start, numbers, rows)


def show(
    votes: Votes, counts: U8, covers: NDArray[np.int16], before: Shown, *, hold: float = 0.0, share: float = 0.0
) -> Shown:
    """Top speakers of frames from `votes.start` on; ties go to whoever was shown there before.

    counts, covers: (frames,) how many speak in each frame, and how many windows vote there; before: what was shown
    until now, and has `hold` more votes, and `share` more for each window of the frame, where any still hears it
    """
    start, frames = votes.start, len(counts)
    totals = votes.rows
    low, high = max(start, before.start), min(start + frames, before.end)
    if low < high:
        row = {number: index for index, number in enumerate(votes.numbers)}
        both = [(index, row[number]) for index, number in enumerate(before.numbers.tolist()) if number in row]
        if both:
            theirs, ours = (list(one) for one in zip(*both, strict=True))
            shown = before.matrix[low - before.start : high - before.start].T[theirs]
            led = totals[ours, low - start : high - start]
            # parts of a vote by which whoever is shown leads: at least one, to win ties
            lead = np.rint(UNIT * (hold + share * covers[low - start : high - start].astype(np.float32))) + 1
            led += lead * ((shown > 0) & (led > 0))
            totals = totals.copy()
            totals[ours, low - start : high - start] = led
    matrix = top_rows(totals, counts, allow_silent=False).T
    return Shown(start, matrix, np.array(votes.numbers, np.int64))


def smoothed(shown: Shown, carried: Collection[int], min_on: int, min_off: int) -> Shown:
    """The same without stretches of less than `min_on` frames, and with pauses of less than `min_off` filled.

    carried: speakers of whom a turn reaches up to the first frame, which then goes on whatever its length
    """
    if not (min_on or min_off):
        return shown
    matrix = np.zeros_like(shown.matrix)
    for column, number in enumerate(shown.numbers.tolist()):
        found = runs(shown.matrix[:, column])
        before = max(min_on, 1)  # what is carried stands as a stretch before the first frame that is long enough
        if number in carried:
            reaches = len(found) > 0 and found[0, 0] == 0
            first = [[-before, int(found[0, 1]) if reaches else 0]]
            found = np.concatenate([first, found[1:] if reaches else found])
        for low, high in clean_runs(found, min_on, min_off):
            matrix[max(low, 0) : high, column] = 1
    return Shown(shown.start, matrix, shown.numbers)


def window_frames(window: int, step: int) -> tuple[int, int]:
    """First and one past the last global frame of a window."""
    start = nearest_frame(window * step)
    return start, start + FRAMES_PER_WINDOW
