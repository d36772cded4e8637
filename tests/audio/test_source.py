from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.audio.source import ArrayAudio, open_array
from speakrs_stream.errors import BadFormat, ConfigError

NOISE = (0.1 * np.random.default_rng(0).standard_normal(50_000)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_blocks_are_even_and_add_up(rate: int) -> None:
    audio = open_array(NOISE, rate)
    blocks = list(audio.blocks(0.25))
    assert {len(block) for block in blocks[:-1]} == {4_000} and 0 < len(blocks[-1]) <= 4_000
    assert sum(map(len, blocks)) == audio.samples == round(50_000 * 16_000 / rate)
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(list(audio.blocks(3.0))))
    np.testing.assert_array_equal(audio.read(), np.concatenate(blocks))
    assert audio.duration == 50_000 / rate


def test_at_16_khz_nothing_changes_and_nothing_is_shared() -> None:
    samples = NOISE.copy()
    for block in open_array(samples, 16_000).blocks():
        np.testing.assert_array_equal(block, NOISE)
        block[:] = 7
    np.testing.assert_array_equal(samples, NOISE)


def test_channels_are_averaged_or_chosen() -> None:
    both = np.stack([NOISE, 0.5 * NOISE], axis=1)
    np.testing.assert_allclose(open_array(both, 16_000).read(), 0.75 * NOISE, atol=1e-7)
    np.testing.assert_array_equal(open_array(both, 16_000, channel=1).read(), 0.5 * NOISE)
    with pytest.raises(ConfigError, match="there is no channel 2"):
        open_array(both, 16_000, channel=2)


def test_integers_give_the_same_as_floats() -> None:
    whole = np.rint(NOISE * 32768).astype(np.int16)
    np.testing.assert_array_equal(open_array(whole, 16_000).read(), (whole / 32768).astype(np.float32))


def test_channels_that_cancel_are_noticed() -> None:
    audio = open_array(np.stack([NOISE, -NOISE], axis=1), 16_000)
    assert np.abs(audio.read()).max() == 0
    assert any("cancel each other out" in warning for warning in audio.report.warnings)
    chosen = open_array(np.stack([NOISE, -NOISE], axis=1), 16_000, channel=0)
    chosen.read()
    assert chosen.report.warnings == ()


def test_the_report_starts_over_with_the_blocks() -> None:
    samples = NOISE.copy()
    samples[5] = np.nan
    audio = open_array(samples, 16_000)
    for _ in range(2):
        audio.read()
        assert (audio.report.non_finite, audio.report.samples) == (1, 50_000)


def test_unscaled_floats_name_the_source() -> None:
    with pytest.raises(BadFormat, match=r"the array: .* divide them by 32768"):
        open_array(NOISE * 32768, 16_000).read()
    with pytest.raises(BadFormat, match=r"the array: .* divide them by 32768"):
        open_array(NOISE[:100] * 32768, 16_000).read()


def test_silence_and_nothing() -> None:
    silent = open_array(np.zeros(16_000), 16_000)
    assert silent.read().shape == (16_000,) and silent.report.silent
    empty = open_array(np.zeros(0), 16_000)
    assert empty.read().shape == (0,) and empty.samples == 0 and empty.report.warnings == ()


def test_misuse() -> None:
    with pytest.raises(BadFormat, match="sample rate is 100 Hz"):
        open_array(NOISE, 100)
    with pytest.raises(BadFormat, match="full scale is not known"):
        open_array(np.zeros(5, np.int64), 16_000)
    for seconds in (0, -1, 4_000, float("nan")):
        with pytest.raises(ConfigError, match="block"):
            open_array(NOISE, 16_000).blocks(seconds)
    with ArrayAudio(NOISE, 16_000) as audio:
        assert audio.channels == 1
