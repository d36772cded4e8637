"""Equal error rates of an embedding."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[train]'")

from training import evaluate, meetings


def test_meetings_are_judged_by_windows_that_share_no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = 40
    vectors = np.zeros((windows, 3, 4), dtype=np.float32)
    names = ["a" if window % 2 else "b" for window in range(windows)]
    for window, name in enumerate(names):
        vectors[window, 0] = [1, 0, 0, 0] if name == "a" else [0, 1, 0, 0]
    items = [(window, 0, name) for window, name in enumerate(names)]
    empty = meetings.Meeting("m", 0, np.zeros((windows, 589, 3), np.uint8), np.zeros((1, 80), np.float32), ())
    monkeypatch.setattr(evaluate, "training_items", lambda meeting: items)
    monkeypatch.setattr(evaluate, "embeddings", lambda meeting, trunk, head: vectors)
    same, different = evaluate.local_scores(empty, np.asarray, np.asarray)
    assert len(same) + len(different) == (windows - 10) * (windows - 9) // 2
    assert (same == 1).all() and (different == 0).all()


def test_half_of_the_scores_the_wrong_way_round_is_an_error_rate_of_a_half() -> None:
    high, low = np.full(10, 0.9), np.full(10, 0.1)
    assert evaluate.equal_error_rate(high, low) == 0
    assert evaluate.equal_error_rate(low, high) == 100
    mixed = np.concatenate([high, low]) + np.arange(20) * 1e-6
    assert evaluate.equal_error_rate(mixed, mixed + 5e-7) == pytest.approx(50, abs=5)


def test_networks_of_a_checkpoint_take_and_give_arrays() -> None:
    from training.network import Embedder, frame_counts

    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = Embedder().eval()
    trunk, head = evaluate.networks(model)
    fbank = np.random.default_rng(0).standard_normal((1, 200, 80)).astype(np.float32)
    features = trunk(fbank)
    assert features.shape == (1, frame_counts(200), 512)
    whole = np.concatenate([features[0].mean(axis=0), features[0].std(axis=0, ddof=1)])[None]
    with torch.no_grad():
        expected = model(torch.from_numpy(fbank), torch.ones(1, features.shape[1])).numpy()
    np.testing.assert_allclose(head(whole), expected, atol=1e-3)
