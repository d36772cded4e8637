"""Who speaks in a window, beside loops over frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.grid import FRAMES_PER_WINDOW

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_clean_masks_leave_out_overlap_where_enough_is_left(seed: int) -> None:
    generator = np.random.default_rng(seed)
    activations = np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)
    for local in range(3):
        start = int(generator.integers(FRAMES_PER_WINDOW))
        activations[start : start + int(generator.choice([1, 2, 3, 4, 200])), local] = 1
    found = Activity(activations)
    masks = found.masks()
    assert masks.shape == (3, FRAMES_PER_WINDOW) and masks.dtype == np.float32
    for local in range(3):
        speaks = [bool(row[local]) for row in activations]
        alone = [on and int(row.sum()) == 1 for on, row in zip(speaks, activations, strict=True)]
        assert masks[local].astype(bool).tolist() == (alone if sum(alone) > 2 else speaks)
    assert found.active.tolist() == activations.sum(axis=0).tolist() and (found.rows == activations.T).all()
    assert found.speaking.tolist() == activations.sum(axis=1).tolist()
    counted = [sum(bool(row[local]) and int(row.sum()) == 1 for row in activations) for local in range(3)]
    assert found.clean.tolist() == found.alone.sum(axis=1).tolist() == counted


def test_three_clean_frames_are_enough_and_two_are_not() -> None:
    activations = np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)
    activations[100:200, 0] = 1
    activations[103:200, 1] = 1  # three frames of the first are clean
    activations[197:203, 2] = 1  # three of the third
    masks = Activity(activations).masks()
    assert masks[0].sum() == 3 and masks[2].sum() == 3
    activations[102, 1] = 1
    assert Activity(activations).masks()[0].sum() == 100


def test_the_beginning_of_a_window() -> None:
    """Bits lie speaker by speaker where they were decoded, and frame by frame where they were unpacked."""
    bits = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.uint8)
    for order in (bits, np.asfortranarray(bits)):
        found = Activity(order)
        assert found.speaking.tolist() == [1, 2, 0] and found.alone.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
        assert found.active.tolist() == [2, 1, 0] and found.clean.tolist() == [1, 0, 0]
    nothing = Activity(bits[:0])
    assert nothing.masks().shape == (3, 0) and nothing.active.tolist() == [0, 0, 0]
