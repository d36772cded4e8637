from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.snapshot import DTYPES, VERSION, pack, unpack
from speakrs_stream.errors import SnapshotMismatch

PLAIN = {"name": "Ann \ud800 \U0001f600", "numbers": [1, -2, 10**15, 0.1, 1e-300], "none": None, "deep": {"flag": True}}
ARRAYS = {
    "empty": np.zeros((0, 3), np.float32),
    "matrix": np.arange(6.0).reshape(2, 3),
    "scalar": np.array(7, np.int64),
    "bits": np.array([0, 1, 255], np.uint8),
    "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "every other": np.arange(10, dtype=np.int16)[::2],
    "big-endian": np.arange(3, dtype=">f8"),
    "not a number": np.array([np.nan, np.inf, -0.0], np.float32),
}


def test_everything_comes_back_as_it_was() -> None:
    plain, arrays = unpack(pack(PLAIN, ARRAYS, "x"), "x")
    assert plain == PLAIN
    assert list(arrays) == list(ARRAYS)
    for name, rows in arrays.items():
        assert rows.dtype == ARRAYS[name].dtype.newbyteorder("<") and rows.dtype.str in DTYPES
        np.testing.assert_array_equal(rows, ARRAYS[name])
        rows[...] = 1  # its own memory, not a view of the bytes


def test_equal_states_give_equal_bytes() -> None:
    assert pack(PLAIN, ARRAYS, "x") == pack(PLAIN, ARRAYS, "x")


def test_any_changed_or_missing_byte_is_noticed() -> None:
    data = pack(PLAIN, ARRAYS, "x")
    for place in range(len(data)):
        for flip in (1, 128):
            broken = bytearray(data)
            broken[place] ^= flip
            with pytest.raises(SnapshotMismatch):
                unpack(bytes(broken), "x")
        with pytest.raises(SnapshotMismatch):
            unpack(data[:place], "x")
    for more in (b"\0", data):
        with pytest.raises(SnapshotMismatch):
            unpack(data + more, "x")


def test_random_bytes_are_refused() -> None:
    generator = np.random.default_rng(0)
    for length in (0, 3, 38, 39, 41, 42, 43, 500):
        with pytest.raises(SnapshotMismatch, match="not a snapshot"):
            unpack(generator.bytes(length), "x")
        with pytest.raises(SnapshotMismatch):
            unpack(b"SPKS" + generator.bytes(length), "x")
        with pytest.raises(SnapshotMismatch):
            unpack(b"SPKS" + VERSION.to_bytes(2, "big") + generator.bytes(length), "x")


def test_another_maker_is_named() -> None:
    data = pack(PLAIN, ARRAYS, "one bundle")
    with pytest.raises(SnapshotMismatch, match="another model bundle or configuration"):
        unpack(data, "another bundle")
    newer = data[:4] + (VERSION + 1).to_bytes(2, "big") + data[6:]
    with pytest.raises(SnapshotMismatch, match=f"version {VERSION + 1}"):
        unpack(newer, "one bundle")


def test_what_cannot_be_saved_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="broken is"):
        pack({}, {"broken": np.array([True])}, "x")
