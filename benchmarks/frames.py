"""Who speaks in each hundredth of a second, as bit masks: what live metrics compare.

A recording is a row of 10 ms frames; each holds one 64-bit number with a bit per speaker. Two such rows are compared
with a few integer operations however long the recording is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.scoring import Labelled

Masks: TypeAlias = NDArray[np.uint64]

FRAME = SAMPLE_RATE // 100
"""Samples in a frame (10 ms)."""

SECONDS = FRAME / SAMPLE_RATE
"""Seconds in a frame."""

MOST_SPEAKERS = 64
"""Speakers one row can tell apart."""

_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], dtype=np.uint8)


def frame_of(sample: int) -> int:
    """First frame whose middle is at or after `sample`; never negative."""
    return max(0, -(-(sample - FRAME // 2) // FRAME))


def speakers_in(masks: Masks) -> NDArray[np.int64]:
    """How many bits are set in each frame."""
    parts = _ONES[np.ascontiguousarray(masks).view(np.uint16).reshape(-1, 4)]
    return np.asarray(parts.sum(axis=1, dtype=np.int64))


def paint(turns: Iterable[Labelled], frames: int, labels: Sequence[str]) -> Masks:
    """Turns in seconds as masks (frames,); bit i is `labels[i]`. Raises ValueError for more than 64 labels."""
    if len(labels) > MOST_SPEAKERS:
        raise ValueError(f"{len(labels)} speakers, at most {MOST_SPEAKERS} can be compared")
    bit = {label: np.uint64(1 << index) for index, label in enumerate(labels)}
    masks = np.zeros(frames, np.uint64)
    for turn in turns:
        first, last = (frame_of(round(edge * SAMPLE_RATE)) for edge in (turn.start, turn.end))
        masks[first:last] |= bit[turn.speaker]
    return masks


def columns(masks: Masks, count: int) -> NDArray[np.float32]:
    """Masks as a matrix (frames, count) of 0 and 1."""
    shifts = np.arange(count, dtype=np.uint64)
    return ((masks[:, None] >> shifts) & np.uint64(1)).astype(np.float32)


def shared_frames(hypothesis: Masks, reference: Masks, ours: int, theirs: int) -> NDArray[np.float64]:
    """Frames that speaker i of one row and speaker j of the other have in common: (ours, theirs)."""
    both = np.flatnonzero((hypothesis != 0) & (reference != 0))
    total = np.zeros((ours, theirs))
    for part in np.array_split(both, max(1, len(both) // 200_000)):
        total += columns(hypothesis[part], ours).T @ columns(reference[part], theirs)
    return total


def best_mapping(hypothesis: Masks, reference: Masks, ours: int, theirs: int) -> dict[int, int]:
    """Bit of the hypothesis -> bit of the reference, one-to-one, sharing most time."""
    common = shared_frames(hypothesis, reference, ours, theirs)
    rows, found = linear_sum_assignment(-common)
    return {int(i): int(j) for i, j in zip(rows, found, strict=True) if common[i, j] > 0}


def renamed(masks: Masks, mapping: Mapping[int, int]) -> Masks:
    """Masks with bit i moved to bit mapping[i]; bits that are not in the mapping are dropped."""
    result = np.zeros_like(masks)
    for ours, theirs in mapping.items():
        result |= ((masks >> np.uint64(ours)) & np.uint64(1)) << np.uint64(theirs)
    return result


def changes(before: Masks, after: Masks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Speakers exchanged for others, and speakers added or taken away, in each frame."""
    old, new, kept = speakers_in(before), speakers_in(after), speakers_in(before & after)
    return np.minimum(old, new) - kept, np.abs(old - new)


def runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of true values: first frame and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
