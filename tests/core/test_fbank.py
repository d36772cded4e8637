"""The filter bank: Kaldi's numbers, and the same bits however the audio is chopped."""

from __future__ import annotations

from pathlib import Path

import kaldi_native_fbank
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.embedding.fbank import (
    BATCH,
    FBANK_PER_WINDOW,
    FLOOR,
    FRAME,
    HOP,
    MELS,
    Fbank,
    fbank,
    fbank_count,
    mel_filters,
)
from tests.checks import pieces


def kaldi(samples: F32) -> Array:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = 16_000
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = MELS
    options.mel_opts.low_freq = 20
    options.mel_opts.high_freq = 0  # up to half the sample rate
    options.use_energy = False
    options.energy_floor = 0
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(16_000, (samples * np.float32(32_768)).tolist())
    bank.input_finished()
    return np.array([bank.get_frame(index) for index in range(bank.num_frames_ready)])


def noise(n: int, seed: int = 0, loudness: float = 0.1) -> F32:
    return (loudness * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


TIME = np.arange(48_000) / 16_000
SOUNDS = {
    "noise": noise(48_000),
    "loud noise": noise(48_000, 1, 0.9),
    "faint noise": noise(48_000, 2, 1e-5),
    "chord": (0.3 * np.sin(2 * np.pi * 220 * TIME) + 0.2 * np.sin(2 * np.pi * 3_520 * TIME)).astype(np.float32),
    "silence": np.zeros(48_000, np.float32),
}


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
def test_equal_to_kaldi(sound: F32) -> None:
    np.testing.assert_allclose(fbank(sound), kaldi(sound), rtol=0, atol=1e-3)


def test_closer_to_the_exact_numbers_than_kaldi_where_single_precision_runs_out() -> None:
    # 60 dB between bands, and a faint noise on a large offset: Kaldi itself is further off than 1e-3
    sweep = (0.5 * np.sin(2 * np.pi * (100 + 1_200 * TIME) * TIME)).astype(np.float32)
    offset = (noise(48_000, 3) * np.exp(-3 * TIME) + 0.2 * (TIME > 1.5)).astype(np.float32)
    for sound in (sweep, offset):
        frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64) * 32_768, FRAME)[::HOP]
        frames = frames - frames.mean(axis=1, keepdims=True)
        emphasised = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
        power = np.abs(np.fft.rfft(emphasised * hamming, 512)) ** 2
        exact = np.log(np.maximum(power @ mel_filters().astype(np.float64), FLOOR))
        ours, theirs = np.abs(fbank(sound) - exact).max(), np.abs(kaldi(sound) - exact).max()
        assert ours < theirs and theirs > 1e-3


def test_equal_to_kaldi_on_speech(shared: Path) -> None:
    speech, _ = soundfile.read(shared / "golden" / "two_speakers.wav", frames=160_000, dtype="float32")
    assert np.abs(fbank(speech) - kaldi(speech)).max() < 1e-3
    room, _ = soundfile.read(shared / "speech" / "ami" / "trn00.flac", frames=160_000, dtype="float32")
    assert np.abs(fbank(room) - kaldi(room)).max() < 1e-3


def test_silence_is_the_floor() -> None:
    assert (fbank(np.zeros(FRAME, np.float32)) == np.float32(np.log(np.float32(FLOOR)))).all()


@pytest.mark.parametrize("heard", [0, 1, 159, 160, 161, 5_000, 39_999])
def test_padding_has_the_same_bits_as_silence_between_sounds(heard: int) -> None:
    """Nothing is computed for it; a last sample that is not 0 makes it an ordinary pause."""
    padded = np.zeros(40_000, np.float32)
    padded[:heard] = np.random.default_rng(heard).standard_normal(heard) / 10
    pause = padded.copy()
    pause[-1] = 0.5
    untouched = fbank_count(len(pause) - 1) - 3
    np.testing.assert_array_equal(fbank(padded)[:untouched], fbank(pause)[:untouched])


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (160_000, 998)])
def test_frame_counts(samples: int, frames: int) -> None:
    assert fbank_count(samples) == frames
    assert fbank(np.zeros(samples, np.float32)).shape == (frames, MELS)
    assert FBANK_PER_WINDOW == 998


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9_000), min_size=1, max_size=12).filter(any))
def test_chopping_changes_no_bit(sizes: list[int]) -> None:
    samples = noise(20_000)
    bank = Fbank()
    for piece in pieces(samples, sizes):
        bank.push(piece)
    whole = fbank(samples)
    assert bank.frames.end == len(whole)
    assert (bank.frames.all() == whole).all()


def test_one_sample_at_a_time() -> None:
    samples = noise(FRAME + 20 * HOP)
    bank = Fbank()
    for piece in pieces(samples, [1]):
        bank.push(piece)
    assert (bank.frames.all() == fbank(samples)).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 200))
def test_a_slice_of_the_audio_gives_a_slice_of_the_frames(first: int) -> None:
    samples = noise(60_000, 4)
    whole = fbank(samples)
    assert (fbank(samples[first * HOP :], first) == whole[first:]).all()
    np.testing.assert_allclose(fbank(samples[first * HOP :]), whole[first:], atol=1e-4)


def test_long_pushes_are_computed_piece_by_piece() -> None:
    samples = noise((2 * BATCH + 7) * HOP + FRAME, 5)
    bank = Fbank()
    bank.push(samples[:5_000])
    bank.push(samples[5_000:])
    assert bank.frames.end == 2 * BATCH + 8
    assert (bank.frames.all() == fbank(samples)).all()
    np.testing.assert_allclose(
        bank.frames.get(BATCH - 2, BATCH + 2), fbank(samples[(BATCH - 2) * HOP :])[:4], atol=1e-4
    )


def test_frames_keep_their_numbers_when_forgotten_and_samples_do_not_pile_up() -> None:
    samples = noise(32_000, 6)
    bank = Fbank()
    for piece in pieces(samples, [1_000]):
        bank.push(piece)
        bank.forget(bank.frames.end - 10)
        assert len(bank.state()[1]["samples"]) < FRAME + HOP
        assert len(bank.state()[1]["frames"]) <= 10
    assert (bank.frames.get(bank.frames.end - 10, bank.frames.end) == fbank(samples)[-10:]).all()
    with pytest.raises(IndexError):
        bank.frames.get(0, 5)


def test_input_is_left_alone() -> None:
    samples = noise(8_000, 7)
    before = samples.copy()
    fbank(samples)
    bank = Fbank()
    bank.push(samples)
    assert (samples == before).all()
    samples[:] = 0  # what was pushed is a copy
    bank.push(noise(1_000, 8))
    assert (bank.frames.all() == fbank(np.concatenate([before, noise(1_000, 8)]))).all()


def test_a_restored_bank_goes_on_to_the_same_bits() -> None:
    samples = noise(20_000, 9)
    for cut in (0, 100, 7_777):
        bank, again = Fbank(), Fbank()
        bank.push(samples[:cut])
        again.restore(*bank.state())
        again.push(samples[cut:])
        assert (again.frames.all() == fbank(samples)).all()


def test_filters_are_triangles_of_height_at_most_one() -> None:
    filters = mel_filters()
    assert filters.shape == (257, MELS) and not filters.flags.writeable
    assert (filters[-1] == 0).all(), "the highest bin has no weight"
    assert filters.min() == 0 and filters.max() <= 1
    for column in filters.T:
        inside = np.flatnonzero(column)
        assert len(inside) and (np.diff(inside) == 1).all(), "one stretch of bins"
        peak = int(column.argmax())
        assert (np.diff(column[inside[0] : peak + 1]) > 0).all()
        assert (np.diff(column[peak : inside[-1] + 1]) < 0).all()
    # neighbouring triangles share their edges: between the first and the last centre their weights add up to one
    centres = filters.argmax(axis=0)
    np.testing.assert_allclose(filters[centres[0] + 1 : centres[-1]].sum(axis=1), 1, atol=1e-5)
