"""Who speaks in the frames of one window, and what several stages ask about it, found once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from speakrs_stream.core.arrays import F32, I64, U8

MIN_CLEAN = 2
"""Frames above which a local speaker is heard by its speech alone: ceil(589 * 400 / 160000), the embedding network's
smallest input as a share of the window."""


@dataclass(slots=True, eq=False)
class Activity:
    """One window of local speakers, or the beginning of one; not to be changed."""

    bits: U8
    """(frames, 3) of 0 and 1."""
    speaking: U8 = field(init=False)
    """(frames,) how many speak."""
    rows: F32 = field(init=False)
    """(3, frames) the same bits, one row per local speaker, for quick sums."""
    alone: F32 = field(init=False)
    """(3, frames) of 0 and 1: where each is the only one."""
    active: I64 = field(init=False)
    """(3,) frames of speech."""
    clean: I64 = field(init=False)
    """(3,) frames of speech alone."""

    def __post_init__(self) -> None:
        turned = self.bits.T
        both = np.empty((2, *turned.shape), np.float32)
        self.rows, self.alone = both
        self.speaking = np.add.reduce(turned, axis=0, dtype=np.uint8)
        self.rows[:] = turned
        np.multiply(self.rows, self.speaking == 1, out=self.alone)
        # long rows are quick to add up, and float32 counts exactly
        self.active, self.clean = np.add.reduce(both, axis=2).astype(np.int64)

    def masks(self) -> F32:
        """Frames that speak for each local speaker, (3, frames): alone if that is enough, else all of its speech."""
        return np.where((self.clean > MIN_CLEAN)[:, None], self.alone, self.rows)
