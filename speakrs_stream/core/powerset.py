"""Seven classes of the segmentation network and the three local speakers they stand for.

Plaquet & Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", Interspeech 2023.

class      0    1    2    3    4      5      6
speakers   –    0    1    2    0+1    0+2    1+2
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

from speakrs_stream.core.arrays import F32, U8, frozen
from speakrs_stream.core.grid import FRAMES_PER_WINDOW

LOCAL_SPEAKERS = 3
MAX_SIMULTANEOUS = 2
BITS = frozen(2 ** np.arange(LOCAL_SPEAKERS, dtype=np.uint8))
"""(3,) a bit for each local speaker."""


@cache
def mapping(speakers: int = LOCAL_SPEAKERS, at_once: int = MAX_SIMULTANEOUS) -> U8:
    """Which local speakers each class stands for: (classes, speakers), 0 or 1, subsets by size then order."""
    rows = []
    for size in range(at_once + 1):
        for subset in combinations(range(speakers), size):
            row = np.zeros(speakers, np.uint8)
            row[list(subset)] = 1
            rows.append(row)
    return frozen(np.stack(rows))


def decode(log_probabilities: F32) -> U8:
    """Most likely class of each frame as local speaker activity.

    log_probabilities: (..., 7); returns (..., 3) uint8, 0 or 1, at most two ones a row. Of equal classes the
    first wins. In memory it lies speaker by speaker, as what follows reads it.
    """
    members = _members()[np.argmax(log_probabilities, axis=-1)]
    bits = BITS.reshape(-1, *[1] * members.ndim)
    return np.moveaxis(((members & bits) != 0).view(np.uint8), 0, -1)


@cache
def _members() -> U8:
    """Whom each class stands for, (7,): bit s for local speaker s."""
    return frozen((mapping() * BITS).sum(axis=1, dtype=np.uint8))


def pack(activations: U8) -> U8:
    """Activations (frames, 3) of 0 and 1 as bits, for keeping hours of them."""
    return np.packbits(activations.reshape(-1))


def unpack(packed: U8, frames: int = FRAMES_PER_WINDOW) -> U8:
    """The inverse of `pack`, also over leading axes: (..., bytes) -> (..., frames, 3)."""
    bits = np.unpackbits(packed, axis=-1, count=frames * LOCAL_SPEAKERS)
    return bits.reshape(*packed.shape[:-1], frames, LOCAL_SPEAKERS)
