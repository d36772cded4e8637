"""What is kept of every window: activity as bits, one embedding per local speaker. 3.3 KB a window at 256 numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, I64, U8, Array, Tape
from speakrs_stream.core.grid import FRAMES_PER_WINDOW
from speakrs_stream.core.powerset import LOCAL_SPEAKERS, pack, unpack

PACKED = (FRAMES_PER_WINDOW * LOCAL_SPEAKERS + 7) // 8
BLOCK = 512
"""Windows unpacked at once."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowResult:
    """What the networks said about one window."""

    index: int
    """Number of the window; it starts at sample `index * step`."""
    activity: Activity
    """Who speaks."""
    embeddings: F32
    """(3, D); NaN for a local speaker without one."""


class History:
    """Every window so far, in order."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._packed = Tape((PACKED,), np.uint8)
        self._embeddings = Tape((LOCAL_SPEAKERS, dimension), np.float32)
        self._clean = Tape((LOCAL_SPEAKERS,), np.int16)
        self._active = Tape((LOCAL_SPEAKERS,), np.int16)

    def __len__(self) -> int:
        return self._packed.end

    def push(self, window: WindowResult) -> None:
        """Keep the next window."""
        if window.index != len(self):
            raise ValueError(f"window {window.index} came where {len(self)} was expected")
        self._packed.append(pack(window.activity.bits)[None])
        self._embeddings.append(window.embeddings[None])
        self._clean.append(window.activity.clean[None])
        self._active.append(window.activity.active[None])

    def activations(self, start: int, end: int) -> U8:
        """Activity of windows start..end, (windows, 589, 3)."""
        return unpack(self._packed.get(start, end))

    def activity(self, window: int) -> Activity:
        """Who speaks in a window."""
        return Activity(self.activations(window, window + 1)[0])

    def result(self, window: int) -> WindowResult:
        """What the networks said about a window."""
        return WindowResult(window, self.activity(window), self.embeddings[window])

    @property
    def embeddings(self) -> F32:
        """(windows, 3, D), a view."""
        return self._embeddings.all()

    @property
    def clean(self) -> Array:
        """Frames in which each local speaker speaks alone, (windows, 3), a view."""
        return self._clean.all()

    @property
    def active(self) -> Array:
        """Frames in which each local speaker speaks, (windows, 3), a view."""
        return self._active.all()

    def state(self) -> dict[str, Array]:
        """Plain arrays from which `restore` makes an equal history."""
        return {"packed": self._packed.all().copy(), "embeddings": self._embeddings.all().copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Take over windows saved by `state`; only an empty history may."""
        if len(self):
            raise ValueError(f"window 0 came where {len(self)} was expected")
        packed, embeddings = state["packed"], state["embeddings"]
        for first in range(0, len(packed), BLOCK):
            part = slice(first, first + BLOCK)
            spoken = np.ascontiguousarray(unpack(packed[part]).transpose(2, 0, 1))  # (3, windows, 589)
            alone = spoken.sum(axis=0, dtype=np.uint8) == 1
            self._packed.append(packed[part])
            self._embeddings.append(embeddings[part])
            self._clean.append(np.count_nonzero(spoken * alone, axis=2).T)
            self._active.append(np.count_nonzero(spoken, axis=2).T)


def training_items(history: History, min_clean_ratio: float) -> tuple[I64, I64]:
    """Windows and local speakers whose embeddings may shape the clustering, window by window.

    Finite embeddings of local speakers that speak alone in at least `min_clean_ratio` of the window.
    """
    finite = np.isfinite(history.embeddings).all(axis=2)
    chosen = finite & (history.clean >= min_clean_ratio * FRAMES_PER_WINDOW)
    window, local = np.nonzero(chosen)
    return window.astype(np.int64), local.astype(np.int64)
