"""Sounds that are not speech: whole windows of them, the same for a seed, and what the bundle takes them for."""

from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.grid import WINDOW
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY
from training.sounds import SOUNDS, claimed, heard


@pytest.mark.parametrize("name", SOUNDS)
def test_a_window_of_it(name: str) -> None:
    first, again, other = (heard(SOUNDS[name], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (WINDOW,) and first.dtype == np.float32 and np.isfinite(first).all()
    assert 0 < np.abs(first).max() <= 1
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_nobody_is_heard_in_a_quiet_room() -> None:
    found = claimed(EMBEDDED_DIRECTORY / "segmentation.onnx", windows=2, seed=3)
    assert set(found) == set(SOUNDS)
    assert found["silence"] == found["hum"] == found["clicks"] == 0
    assert all(0 <= share <= 100 for share in found.values())
