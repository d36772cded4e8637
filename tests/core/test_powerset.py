"""Classes and the local speakers they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.powerset import decode, mapping, pack, unpack


def test_the_seven_classes_in_order() -> None:
    active = ["".join(str(speaker) for speaker in np.flatnonzero(row)) for row in mapping()]
    assert active == ["", "0", "1", "2", "01", "02", "12"]
    assert not mapping().flags.writeable


@pytest.mark.parametrize("speakers", [2, 3, 4])
def test_golden_mappings(shared: Path, speakers: int) -> None:
    golden = np.load(shared / "golden" / "powerset.npz")
    known = [name for name in golden.files if name.startswith(f"mapping_{speakers}_")]
    assert known
    for name in known:
        np.testing.assert_array_equal(mapping(speakers, int(name[-1])), golden[name])


def test_golden_decoding(shared: Path) -> None:
    golden = np.load(shared / "golden" / "powerset.npz")
    np.testing.assert_array_equal(decode(golden["logits"]), golden["hard"])


def test_ties_go_to_the_first_class() -> None:
    rows = np.zeros((3, 7), np.float32)
    rows[1, [3, 5]] = 1
    rows[2] = np.nan  # a network gone wrong hears nobody
    decoded = decode(rows)
    assert decoded.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert decoded.dtype == np.uint8


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_decoding_any_shape(seed: int, windows: int) -> None:
    logs = np.random.default_rng(seed).standard_normal((windows, 20, 7)).astype(np.float32)
    decoded = decode(logs)
    assert decoded.shape == (windows, 20, 3)
    assert decoded.sum(axis=-1).max() <= 2
    for window, rows in enumerate(logs):
        for frame, row in enumerate(rows):
            assert decoded[window, frame].tolist() == mapping()[max(range(7), key=lambda c: row[c])].tolist()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 600))
def test_bits_keep_everything(seed: int, frames: int) -> None:
    activity = np.random.default_rng(seed).integers(0, 2, (frames, 3), np.uint8)
    packed = pack(activity)
    assert packed.nbytes == -(-frames * 3 // 8)
    np.testing.assert_array_equal(unpack(packed, frames), activity)
    np.testing.assert_array_equal(unpack(np.stack([packed, packed]), frames), np.stack([activity, activity]))
