"""What a training run may be given beside the recipe: coded copies, rooms of pyroomacoustics, sub-centres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from training import codecs, rooms
from training.data import RATE


def voice(seconds: float = 1.5) -> NDArray[np.float32]:
    """Harmonics that come and go, in white noise."""
    rng = np.random.default_rng(3)
    times = np.arange(round(seconds * RATE)) / RATE
    waves = sum(np.sin(2 * np.pi * pitch * times) / pitch for pitch in np.arange(130, 3000, 130))
    loud = np.interp(times, np.arange(0, seconds + 0.1, 0.1), rng.random(len(np.arange(0, seconds + 0.1, 0.1))))
    return np.asarray(20 * waves * loud + 0.002 * rng.standard_normal(len(times)), dtype=np.float32)


def lag(late: NDArray[np.float32], early: NDArray[np.float32]) -> int:
    """Samples by which `late` is behind."""
    return int(np.argmax(signal.correlate(late, early))) - (len(early) - 1)


@pytest.mark.parametrize("name", codecs.CODECS)
def test_a_codec_keeps_length_and_time_and_changes_the_sound(name: str) -> None:
    codec, samples = codecs.CODECS[name], voice()
    for compression in codec.compression or (0.0,):
        found = codecs.coded(samples, codec, compression)
        assert found.dtype == np.float32 and len(found) == len(samples)
        assert abs(lag(found, samples)) <= 16
        assert np.abs(found - samples).max() > 1e-3
        assert np.corrcoef(found, samples)[0, 1] > 0.5


def test_a_telephone_carries_nothing_above_four_kilohertz() -> None:
    hiss = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    spectrum = np.abs(np.fft.rfft(codecs.coded(hiss, codecs.CODECS["a-law"], 0.0)))
    assert spectrum[4500:].max() < 0.05 * np.median(spectrum[500:3000])


def test_codecs_are_drawn_by_the_generator() -> None:
    samples = voice(0.5)
    first, again, other = (codecs.through_codec(samples, np.random.default_rng(seed)) for seed in (1, 1, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_rooms_of_pyroomacoustics_have_their_direct_sound_first_and_follow_the_seed() -> None:
    pytest.importorskip("pyroomacoustics", reason="needs pyroomacoustics: pip install -e '.[train]'")
    found = rooms.build(3, 2, 5, rooms.image_source_room)
    assert found.shape == (3, 2, rooms.LENGTH) and found.dtype == np.float32
    np.testing.assert_array_equal(found, rooms.build(3, 2, 5, rooms.image_source_room))
    energy = np.cumsum(found.astype(np.float64) ** 2, axis=2)
    assert (energy[:, :, 30] < 0.01 * energy[:, :, -1]).all()
    assert (energy[:, :, 55] > 0.02 * energy[:, :, -1]).all()
    assert np.abs(found[:, :, :80]).max(axis=(1, 2)) == pytest.approx(1)


def test_mouths_are_near_the_microphone() -> None:
    rng = np.random.default_rng(0)
    size, microphone = np.array([9.0, 7.0, 3.0]), np.array([1.5, 1.5, 1.0])
    away = [np.linalg.norm(rooms.seat(size, microphone, rng) - microphone) for _ in range(50)]
    assert 0.2 <= min(away) and 3 < max(away) <= rooms.FURTHEST


def test_the_nearest_subcentre_is_the_class() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[train]'")
    from training.teaching import Teaching

    torch.manual_seed(0)
    mean = torch.zeros(256)
    several, one = Teaching(4, 8, mean, subcentres=3), Teaching(4, 8, mean)
    given = torch.randn(6, 8), torch.tensor([0, 1, 2, 3, 1, -1]), torch.rand(6, 256), 0.2
    with torch.no_grad():
        several.centres.copy_(one.centres.repeat_interleave(3, 0))
        same = several(*given)[0]
        assert float(same) == pytest.approx(float(one(*given)[0]), rel=1e-5)
        # a further centre at the crop itself makes the crop easier, wherever the other two are
        several.centres[3 * 2 + 1] = given[0][2]
        assert float(several(*given)[0]) < float(same) - 0.1


def test_subcentres_of_a_placed_voice_lie_together_but_apart() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[train]'")
    from training.teaching import Teaching

    torch.manual_seed(0)
    teaching = Teaching(5, 192, torch.zeros(256), subcentres=3)
    teaching.fit(torch.randn(400, 192), torch.randn(400, 256))
    teaching.place(torch.tensor([1, 3]), torch.randn(2, 256))
    unit = torch.nn.functional.normalize(teaching.centres.detach()).reshape(5, 3, 192)
    cosines = unit @ unit.transpose(1, 2)
    between = cosines[:, [0, 0, 1], [1, 2, 2]]
    assert (between[[1, 3]] > 0.8).all() and (between[[1, 3]] < 0.999).all()
    assert (between[[0, 2, 4]].abs() < 0.5).all()


class Nobody:
    """A teacher that says nothing."""

    def utterance(self, samples: NDArray[np.float32], hop: float) -> NDArray[np.float32]:
        return np.ones(256, dtype=np.float32)


def test_a_bank_with_codecs_is_the_same_bank_and_a_third_kind(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[train]'")
    import soundfile

    from training import melbank
    from training.augment import Augmenter

    voices = tmp_path / "voices"
    voices.mkdir()
    for name in (10001, 10002):
        soundfile.write(voices / f"{name}-1-0000.flac", voice(3.0) * 0.5, RATE)
    responses = rooms.build(2, 2, 1)
    for folder, coded in (("plain", False), ("coded", True)):
        melbank.build(voices, responses, tmp_path / folder, 0, 2, 1.0, Nobody(), 21, coded)  # type: ignore[arg-type]
    for kind in ("dry", "room"):
        plain, coded_too = (np.load(tmp_path / folder / f"{kind}.npy") for folder in ("plain", "coded"))
        np.testing.assert_array_equal(plain, coded_too)
    third = np.load(tmp_path / "coded" / "codec.npy")
    assert third.shape == plain.shape and np.abs(third - plain).max() > 1
    plain_bank, bank = (melbank.MelBank([tmp_path / folder]) for folder in ("plain", "coded"))
    assert bank.coded and not plain_bank.coded
    assert not melbank.MelBank([tmp_path / "coded", tmp_path / "plain"]).coded
    heard, dry = bank.crops(np.zeros(3, np.int64), np.arange(3), 120, np.random.default_rng(0))
    assert (heard[0] == dry[0]).all() and not (heard[1] == dry[1]).all() and not (heard[2] == heard[1]).all()
    assert Augmenter(bank, 1).batch(8, 20).fbank.isfinite().all()
