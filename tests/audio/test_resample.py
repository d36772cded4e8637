from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.audio.resample import Resampler, resampled_length
from speakrs_stream.errors import ConfigError, SessionFinished

RATES = (4_000, 8_000, 11_025, 16_000, 16_001, 22_050, 44_100, 48_000, 96_000, 384_000)


def resampled(samples: NDArray[np.float32], rate: int, size: int) -> NDArray[np.float32]:
    """`samples` at `rate` pushed in pieces of `size`."""
    resampler = Resampler(rate)
    parts = [resampler.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
def test_blocks_of_any_size_give_the_same_samples(rate: int) -> None:
    samples = (0.1 * np.random.default_rng(rate).standard_normal(20_011)).astype(np.float32)
    whole = resampled(samples, rate, len(samples))
    assert len(whole) == resampled_length(len(samples), rate) and whole.dtype == np.float32
    for size in (97, 4_096):
        np.testing.assert_array_equal(resampled(samples, rate, size), whole)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50, 1_000])
def test_short_signals_have_their_exact_length_too(rate: int, count: int) -> None:
    assert len(resampled(np.ones(count, np.float32), rate, 7)) == resampled_length(count, rate)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_pitch_place_and_level(rate: int) -> None:
    seconds = 2
    tone = np.sin(2 * np.pi * 1_000 * np.arange(seconds * rate) / rate).astype(np.float32)
    expected = np.sin(2 * np.pi * 1_000 * np.arange(seconds * 16_000) / 16_000)
    middle = slice(1_000, -1_000)
    assert np.abs(resampled(tone, rate, 1_000)[middle] - expected[middle]).max() < 1e-3


def test_what_cannot_be_kept_is_removed() -> None:
    tone = np.sin(2 * np.pi * 12_000 * np.arange(48_000) / 48_000).astype(np.float32)
    assert np.abs(resampled(tone, 48_000, 1_000)[500:-500]).max() < 1e-3


def test_latency_is_what_is_held_back() -> None:
    resampler = Resampler(48_000)
    given = len(resampler.push(np.zeros(48_000, np.float32)))
    assert resampler.latency == 16_000 - given > 0
    assert len(resampler.finish()) == 16_000 - given and resampler.latency == 0
    straight = Resampler(16_000)
    straight.push(np.zeros(10, np.float32))
    assert straight.latency == 0


def test_the_input_is_left_alone_and_not_shared() -> None:
    samples = np.ones(10, np.float32)
    Resampler(16_000).push(samples)[0] = 5
    assert samples[0] == 1


def test_misuse() -> None:
    for rate in (0, 3_999, 384_001):
        with pytest.raises(ConfigError, match="outside 4000"):
            Resampler(rate)
    resampler = Resampler(8_000)
    resampler.finish()
    with pytest.raises(SessionFinished):
        resampler.push(np.zeros(1, np.float32))
    with pytest.raises(SessionFinished):
        resampler.finish()


def test_lengths_round_ties_to_even() -> None:
    assert [resampled_length(n, 32_000) for n in (1, 2, 3, 5)] == [0, 1, 2, 2]
    assert resampled_length(44_100 * 43_200, 44_100) == 16_000 * 43_200
