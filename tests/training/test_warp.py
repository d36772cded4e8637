"""Voices made out of others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training import warp

SAME = warp.Warp(1.0, warp.KNOTS.copy(), np.zeros(len(warp.FINE)))


def voiced(seconds: float = 1.0, pitch: float = 120.0, formant: float = 1000.0) -> NDArray[np.float32]:
    """Harmonics of `pitch` under one formant."""
    times = np.arange(round(seconds * warp.RATE)) / warp.RATE
    harmonics = np.arange(pitch, 7900, pitch)
    levels = 1 / (1 + ((harmonics - formant) / 250) ** 2)
    waves = levels[:, None] * np.sin(2 * np.pi * harmonics[:, None] * times)
    return np.asarray(0.1 * waves.sum(axis=0), dtype=np.float32)


def strongest(samples: NDArray[np.float32]) -> float:
    """Frequency of the strongest partial, Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * warp.RATE / len(samples))


def test_nothing_changed_is_the_same_sound() -> None:
    samples = voiced()
    found = warp.apply(samples, SAME, np.random.default_rng(0))
    np.testing.assert_allclose(found, samples, atol=1e-5)


def test_pitch_shortens_the_sound_and_raises_everything() -> None:
    samples = voiced()
    found = warp.apply(samples, warp.Warp(1.25, SAME.source, SAME.gain), np.random.default_rng(0))
    assert len(found) == pytest.approx(len(samples) / 1.25, abs=2)
    assert strongest(found) == pytest.approx(1.25 * strongest(samples), abs=20)


def test_the_warp_moves_the_formant_but_not_the_pitch() -> None:
    samples = voiced()
    found = warp.apply(samples, warp.Warp(1.0, warp.KNOTS / 1.3, SAME.gain), np.random.default_rng(0))
    assert strongest(found) == pytest.approx(1300, abs=130)
    assert strongest(found) % 120 in (pytest.approx(0, abs=2), pytest.approx(120, abs=2))


def test_breath_is_heard_in_the_high_frequencies_only() -> None:
    samples = voiced()
    breathy = warp.Warp(1.0, SAME.source, SAME.gain, breath=0.5)
    change = np.abs(np.fft.rfft(warp.apply(samples, breathy, np.random.default_rng(0)) - samples))
    assert change[4000:].max() > 20 * change[:1400].max()


def test_drawn_voices_differ_and_follow_the_seed() -> None:
    first, second = warp.draw(np.random.default_rng(1)), warp.draw(np.random.default_rng(2))
    assert first.pitch != second.pitch
    assert warp.draw(np.random.default_rng(1)).pitch == first.pitch
    near = [abs(np.log(warp.draw(np.random.default_rng(seed), 0.1).pitch)) for seed in range(20)]
    assert max(near) < 0.04
