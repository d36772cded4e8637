"""What is kept of every window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, U8
from speakrs_stream.core.history import BLOCK, PACKED, History, WindowResult, training_items
from tests.core.voices import activity, voices


def filled(seg: U8, emb: F32) -> History:
    history = History(emb.shape[2])
    for index, (window, rows) in enumerate(zip(seg, emb, strict=True)):
        history.push(WindowResult(index, Activity(window), rows))
    return history


def example(windows: int = 40) -> tuple[U8, F32]:
    emb = voices(np.arange(3 * windows) % 3).reshape(windows, 3, 32)
    emb[np.random.default_rng(4).random((windows, 3)) < 0.2] = np.nan
    return activity(4, windows), emb


def test_everything_comes_back() -> None:
    seg, emb = example()
    history = filled(seg, emb)
    assert len(history) == 40
    np.testing.assert_array_equal(history.activations(0, 40), seg)
    np.testing.assert_array_equal(history.activations(7, 9), seg[7:9])
    np.testing.assert_array_equal(history.embeddings, emb)
    np.testing.assert_array_equal(history.active, seg.sum(axis=1))
    alone = seg * (seg.sum(axis=2, keepdims=True) == 1)
    np.testing.assert_array_equal(history.clean, alone.sum(axis=1))


def test_windows_come_in_order() -> None:
    seg, emb = example(3)
    history = filled(seg[:2], emb[:2])
    for wrong in (0, 1, 3):
        with pytest.raises(ValueError, match=f"window {wrong} came where 2"):
            history.push(WindowResult(wrong, Activity(seg[2]), emb[2]))
    assert len(history) == 2


def test_an_hour_is_small() -> None:
    seg, emb = example(3)
    state = filled(seg, emb).state()
    assert PACKED == 221
    assert sum(rows.nbytes for rows in state.values()) == 3 * (221 + 3 * 32 * 4)


def test_a_restored_history_goes_on() -> None:
    seg, emb = example(10)
    first, second = filled(seg[:6], emb[:6]), History(32)
    second.restore(first.state())
    for history in (first, second):
        for index in range(6, 10):
            history.push(WindowResult(index, Activity(seg[index]), emb[index]))
    for name in ("embeddings", "clean", "active"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.activations(0, 10), second.activations(0, 10))
    with pytest.raises(ValueError, match="window 0 came where 10"):
        second.restore(first.state())


def test_a_long_history_is_restored_block_by_block() -> None:
    seg, emb = activity(5, BLOCK + 5), np.zeros((BLOCK + 5, 3, 2), np.float32)
    first, second = filled(seg, emb), History(2)
    second.restore(first.state())
    assert len(second) == BLOCK + 5
    np.testing.assert_array_equal(second.clean, first.clean)
    np.testing.assert_array_equal(second.active, first.active)
    np.testing.assert_array_equal(second.activations(BLOCK - 1, BLOCK + 5), seg[BLOCK - 1 :])


def test_what_is_pushed_is_copied() -> None:
    seg, emb = example(1)
    history = filled(seg, emb)
    before = seg.copy()
    seg[:] = 1
    emb[:] = 7
    np.testing.assert_array_equal(history.activations(0, 1), before)
    assert not (history.embeddings == 7).any()


def test_training_items_speak_alone_long_enough_and_are_finite() -> None:
    seg = np.zeros((3, 589, 3), np.uint8)
    seg[0, :118, 0] = 1  # just enough: 0.2 * 589 = 117.8
    seg[0, 200:317, 1] = 1  # one frame short
    seg[1, :300, 0] = 1
    seg[1, 182:400, 1] = 1  # 118 frames of overlap: the first is left with 182, the second with 100
    seg[2, :, 2] = 1
    emb = voices(np.arange(9) % 3).reshape(3, 3, 32)
    history = filled(seg, emb)
    assert [rows.tolist() for rows in training_items(history, 0.2)] == [[0, 1, 2], [0, 0, 2]]
    assert [rows.tolist() for rows in training_items(history, 1.0)] == [[2], [2]], "the whole window is enough for all"
    assert [rows.tolist() for rows in training_items(history, 0.15)] == [[0, 0, 1, 1, 2], [0, 1, 0, 1, 2]]
    for bad in (np.nan, np.inf):
        emb[1, 0, 5] = bad
        assert training_items(filled(seg, emb), 0.2)[0].tolist() == [0, 2]


def test_golden_items(shared: Path) -> None:
    golden = np.load(shared / "golden" / "two_speakers.npz")
    history = filled(golden["segmentation_data"].astype(np.uint8), golden["embeddings_data"])
    windows, local = training_items(history, 0.2)
    np.testing.assert_array_equal(windows, golden["train_chunk_idx"])
    np.testing.assert_array_equal(local, golden["train_speaker_idx"])
    np.testing.assert_array_equal(history.embeddings[windows, local], golden["train_embeddings"])
