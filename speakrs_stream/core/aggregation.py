"""Overlap-add of windows onto the global frame grid: how many speak at once, and who has how many votes.

Plain averaging and summing; this pipeline uses no Hamming window and no warm-up margins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import U8, Array, Tape
from speakrs_stream.core.grid import FRAME_STEP, FRAMES_PER_WINDOW, nearest_frame, total_frames

UNASSIGNED = -2
"""Cluster of a local speaker that stands for nobody."""

RECENT = 4 * FRAMES_PER_WINDOW
"""Frames in front of the newest window of which it is kept how many windows cover them; of older ones it is counted."""


class SpeakerCount:
    """How many people speak in each global frame, updated as windows arrive.

    A frame's count is the mean over the windows that cover it of their number of active local speakers, rounded
    with ties to even. It is settled once no later window reaches the frame.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.windows = 0
        self._sums = Tape((), np.int16)
        self._covers = Tape((), np.int16)  # windows that reach each of the latest frames

    def push(self, activity: Activity) -> None:
        """Add the next window's activity."""
        start = nearest_frame(self.windows * self.step)
        end = start + len(activity.bits)
        more = end - self._sums.end
        if more > 0:
            self._sums.append(np.zeros(more, np.int16))
            self._covers.append(np.zeros(more, np.int16))
        self._sums.get(start, end)[:] += activity.speaking
        self._covers.get(start, end)[:] += 1
        self._covers.forget(start - RECENT)
        self.windows += 1

    def state(self) -> tuple[list[int], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        return [self.windows, self._sums.start], {"sums": self._sums.all().copy()}

    def restore(self, plain: list[int], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        self.windows, start = plain
        self._sums = Tape.of(arrays["sums"], start)
        recent = max(start, self._sums.end - FRAMES_PER_WINDOW - RECENT)
        self._covers = Tape.of(self._covering(recent, self._sums.end), recent)

    def counts(self, start: int, end: int) -> U8:
        """Counts of frames start..end as they stand, (frames,) uint8; 0 where no window reaches."""
        return self.counted(start, end)[0]

    def counted(
        self, start: int, end: int, ahead: Activity | None = None, without: Sequence[Activity] = ()
    ) -> tuple[U8, NDArray[np.int16]]:
        """Counts of frames start..end, (frames,) uint8, and how many windows cover each of them, (frames,).

        without: activity of the latest windows, in order, counted as if they had not been pushed
        ahead: activity where the next window will be then, counted as if it had been pushed
        """
        sums, covers = np.zeros(end - start, np.int16), np.zeros(end - start, np.int16)
        have = min(end, self._sums.end)
        if have > start:
            sums[: have - start] = self._sums.get(start, have)
            recent = start >= self._covers.start
            covers[: have - start] = self._covers.get(start, have) if recent else self._covering(start, have)
        known = self.windows - len(without)
        changes: list[tuple[np.ufunc, int, Activity]] = [(np.add, known, ahead)] if ahead else []
        changes += [(np.subtract, window, activity) for window, activity in enumerate(without, known)]
        for change, window, activity in changes:
            at = nearest_frame(window * self.step)
            inside = slice(max(at - start, 0), max(min(at + len(activity.bits), end) - start, 0))
            speaking = activity.speaking[max(start - at, 0) :][: len(sums[inside])]
            change(sums[inside], speaking, out=sums[inside])
            change(covers[inside], 1, out=covers[inside])
        return np.rint(sums / np.maximum(covers, 1)).astype(np.uint8), covers

    def _covering(self, start: int, end: int) -> NDArray[np.int16]:
        """How many windows cover each of the frames start..end, (frames,)."""
        covers = np.zeros(end - start, np.int16)
        first = (start - FRAMES_PER_WINDOW - 1) * FRAME_STEP // self.step  # ends before `start`, if it is a window
        for window in range(max(first, 0), self.windows):
            at = nearest_frame(window * self.step) - start
            if at >= len(covers):
                break
            covers[max(at, 0) : max(at + FRAMES_PER_WINDOW, 0)] += 1
        return covers

    def finish(self) -> U8:
        """Counts of the whole grid, (frames,) uint8."""
        return self.counts(0, total_frames(self.windows, self.step))


def votes(activations: U8, clusters: Array, width: int) -> NDArray[np.uint8]:
    """One window's activity by cluster: (frames, 3) and (3,) -> (frames, width), the larger where two share one."""
    out = np.zeros((len(activations), width), np.uint8)
    for local, cluster in enumerate(clusters):
        if cluster >= 0:
            np.maximum(out[:, cluster], activations[:, local], out=out[:, cluster])
    return out


def add_votes(totals: Array, first: int, step: int, activations: U8, clusters: Array, start: int = 0) -> None:
    """Add windows' votes to `totals`, whose row 0 is global frame `start`.

    totals: (frames, K) integer, changed in place; activations: (windows, 589, 3); clusters: (windows, 3);
    first: index of the first of these windows. Rows outside `totals` are left out.
    """
    width = totals.shape[1]
    for number, (window, who) in enumerate(zip(activations, clusters, strict=True)):
        at = nearest_frame((first + number) * step) - start
        low, high = max(at, 0), min(at + FRAMES_PER_WINDOW, len(totals))
        if low < high:
            totals[low:high] += votes(window, who, width)[low - at : high - at]
