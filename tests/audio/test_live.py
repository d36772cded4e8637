from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.audio.live import FILLING, LONGEST_GAP, InputFaults, LiveInput
from speakrs_stream.audio.pcm import MOST_TOO_LARGE
from speakrs_stream.audio.resample import resampled_length
from speakrs_stream.audio.source import open_array
from speakrs_stream.errors import AudioError, BadFormat, SessionFinished, WrongRate

RATES = (4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_056, 44_100, 48_000, 96_000)


def sound(length: int, seed: int = 0) -> NDArray[np.float32]:
    """Coloured noise, (length,) float32."""
    noise = np.random.default_rng(seed).standard_normal(length + 8)
    return np.asarray(0.1 * np.convolve(noise, np.ones(4) / 2, "valid")[:length], np.float32)


def saved(live: LiveInput) -> LiveInput:
    """The same input, by way of what a snapshot can hold."""
    plain, arrays = live.state()
    return LiveInput.restore(json.loads(json.dumps(plain)), {name: rows.copy() for name, rows in arrays.items()})


def pushed(live: LiveInput, samples: NDArray[Any], sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Everything that comes out, pieces of `sizes` over and over."""
    out, at, number = [], 0, 0
    while at < len(samples):
        size = int(sizes[number % len(sizes)])
        out.append(live.push(samples[at : at + size]))
        at, number = at + size, number + 1
    return np.concatenate([*out, live.finish()])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [0, 1, 2, 31_999, 70_001])
def test_pieces_of_any_size_give_what_the_whole_gives(rate: int, length: int) -> None:
    samples = sound(length)
    whole = open_array(samples, rate).read()
    assert len(whole) == resampled_length(length, rate)
    for seed in range(3):
        sizes = np.random.default_rng(seed).integers(0, 20_000, 20) if seed else np.array([997, 1])
        got = pushed(LiveInput(rate), samples, sizes)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize("rate", RATES)
def test_a_restored_input_goes_on_with_the_same_sound(rate: int) -> None:
    """At 16 kHz to the last bit, elsewhere up to rounding: the resampler starts anew a second before."""
    generator = np.random.default_rng(rate)
    for length in (rate // 50, 3 * rate, 5 * rate + 1, 5 * rate + 3):
        samples = sound(length, rate)
        whole = open_array(samples, rate).read()
        live, out, at = LiveInput(rate), [], 0
        while at < length:
            size = int(generator.integers(1, rate // 2))
            out.append(live.push(samples[at : at + size]))
            at += size
            for _ in range(int(generator.integers(3))):
                live = saved(live)
        out.append(live.finish())
        again = np.concatenate(out)
        assert len(again) == len(whole)
        np.testing.assert_allclose(again, whole, rtol=0, atol=0 if rate == 16_000 else 1e-6)
        assert live.position == length


def test_a_saved_input_is_small_and_keeps_its_counts() -> None:
    live = LiveInput(48_000)
    broken = sound(480_000)
    broken[[5, 70_000]] = np.nan
    broken[9] = 1.0
    live.push(broken)
    live.push(sound(10), at=480_100)
    again = saved(live)
    assert again.report == live.report and again.report.non_finite == 2 and again.report.clipped == 1
    assert again.faults == live.faults == InputFaults(gaps=1, missing=100)
    assert again.position == live.position == 480_110
    assert len(live.state()[1]["tail"]) <= 3 * 48_000
    whole = LiveInput(16_000)
    whole.push(sound(160_000))
    assert len(whole.state()[1]["tail"]) == 0, "without a resampler there is nothing to start anew"


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_gaps_become_silence_and_repeats_are_dropped(rate: int) -> None:
    generator = np.random.default_rng(rate)
    samples = sound(6 * rate)
    for _ in range(5):
        live, out, heard = LiveInput(rate), [], np.zeros(0, np.float32)
        gaps = missing = repeats = repeated = 0
        while len(heard) < len(samples) - rate:
            jump = int(generator.integers(1, rate)) * int(generator.choice([0, 0, 1, -1]))
            at = max(0, len(heard) + jump)
            piece = samples[at : at + int(generator.integers(0, rate))]
            if at > len(heard):
                gaps, missing = gaps + 1, missing + at - len(heard)
                heard = np.pad(heard, (0, at - len(heard)))
            again = min(len(heard) - at, len(piece))
            if again:
                repeats, repeated = repeats + 1, repeated + again
            heard = np.concatenate([heard, piece[again:]])
            out.append(live.push(piece, at=at))
            assert live.position == len(heard)
        assert live.faults == InputFaults(gaps, missing, repeats, repeated)
        assert live.report.samples == len(heard) - missing, "what is dropped or filled in is not counted"
        out.append(live.finish())
        np.testing.assert_array_equal(np.concatenate(out), open_array(heard, rate).read())


def test_a_gap_may_last_an_hour() -> None:
    live = LiveInput(4_000)
    out = [live.push(sound(100)), live.push(sound(100), at=100 + LONGEST_GAP * 4_000), live.finish()]
    assert sum(map(len, out)) == resampled_length(200 + LONGEST_GAP * 4_000, 4_000)
    assert live.faults == InputFaults(1, LONGEST_GAP * 4_000) and LONGEST_GAP > FILLING
    assert not np.concatenate(out)[10_000:-10_000].any()


def test_channels_are_averaged_and_integers_scaled() -> None:
    both = np.stack([sound(5_000), sound(5_000, 1)], axis=1)
    whole = np.rint(both * 32768).astype(np.int16)
    for samples, rate in ((both, 16_000), (whole, 16_000), (both, 44_100), (both[:, :1], 8_000)):
        live = LiveInput(rate)
        got = np.concatenate([live.push(samples), live.finish()])
        np.testing.assert_array_equal(got, open_array(samples, rate).read())
    assert LiveInput(16_000).push([0.5, 0.25]).tolist() == [0.5, 0.25]


def test_what_is_pushed_is_not_changed_or_shared() -> None:
    samples = sound(1_000)
    samples[3] = np.inf
    kept = samples.copy()
    LiveInput(16_000).push(samples)[:] = 7
    np.testing.assert_array_equal(samples, kept)


@pytest.mark.parametrize(
    ("samples", "extra", "error"),
    [
        (sound(10), {"sample_rate": 8_000}, WrongRate),
        (sound(10), {"at": -1}, AudioError),
        (sound(10), {"at": 100 + LONGEST_GAP * 16_000 + 1}, AudioError),
        (np.zeros((2, 3, 4), np.float32), {}, BadFormat),
        (np.zeros((2, 100), np.float32), {}, BadFormat),
        (np.zeros((5, 0), np.float32), {}, BadFormat),
        (np.zeros(5, bool), {}, BadFormat),
        ([[1.0], [1.0, 2.0]], {}, BadFormat),
    ],
)
def test_what_is_refused_leaves_no_trace(samples: Any, extra: dict[str, int], error: type[Exception]) -> None:
    live = LiveInput(16_000)
    live.push(sound(100))
    before = live.state()[0]
    with pytest.raises(error):
        live.push(samples, **extra)
    assert live.state()[0] == before
    assert len(live.push(sound(10))) == 10


def test_integers_that_nobody_scaled_are_refused_soon_or_at_the_end() -> None:
    wrong = (20_000 * sound(MOST_TOO_LARGE * 2)).astype(np.float32)
    live = LiveInput(16_000)
    with pytest.raises(BadFormat, match="divide them by 32768"):
        for start in range(0, len(wrong), 1_000):
            live.push(wrong[start : start + 1_000])
    short = LiveInput(16_000)
    short.push(wrong[:800])
    with pytest.raises(BadFormat, match="divide them by 32768"):
        short.finish()


def test_after_the_end_nothing_more_is_taken() -> None:
    for make in (lambda live: live, saved):
        live = LiveInput(44_100)
        live.push(sound(100))
        assert len(live.finish()) == 36
        ended = make(live)
        assert ended.finished and len(ended.finish()) == 0
        with pytest.raises(SessionFinished):
            ended.push(sound(10))
        assert ended.position == 100
