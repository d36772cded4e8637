"""Masks of speakers per frame."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.frames import (
    best_mapping,
    changes,
    columns,
    frame_of,
    paint,
    renamed,
    runs,
    speakers_in,
)
from speakrs_stream.scoring import Labelled, score

REFERENCE = [Labelled(0.0, 4.0, "A"), Labelled(3.0, 8.0, "B"), Labelled(9.0, 10.0, "A")]
HYPOTHESIS = [Labelled(0.2, 3.5, "x"), Labelled(3.5, 9.5, "y"), Labelled(9.5, 10.0, "z")]


def test_mapping_equals_that_of_the_score() -> None:
    """All edges lie on the 10 ms grid, so both ways of mapping agree."""
    theirs, ours = paint(REFERENCE, 1_000, "AB"), paint(HYPOTHESIS, 1_000, "xyz")
    mapping = best_mapping(ours, theirs, 3, 2)
    assert {"xyz"[i]: "AB"[j] for i, j in mapping.items()} == score(REFERENCE, HYPOTHESIS).mapping


def test_masks_count_and_move() -> None:
    masks = np.array([0, 1, 3, 1 << 63], np.uint64)
    assert speakers_in(masks).tolist() == [0, 1, 2, 1]
    assert renamed(masks, {0: 5, 1: 0}).tolist() == [0, 32, 33, 0]
    assert columns(masks, 2).tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]


def test_changes_are_exchange_or_switch() -> None:
    before = np.array([0, 1, 1, 3, 3], np.uint64)
    after = np.array([1, 2, 1, 5, 4], np.uint64)
    exchanged, switched = changes(before, after)
    assert exchanged.tolist() == [0, 1, 0, 1, 1]
    assert switched.tolist() == [1, 0, 0, 0, 1]


def test_edges() -> None:
    assert frame_of(-500) == 0
    assert [frame_of(sample) for sample in (0, 80, 81, 240, 160_000)] == [0, 0, 1, 1, 1_000]
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    with pytest.raises(ValueError, match="65 speakers"):
        paint([], 1, [str(number) for number in range(65)])
