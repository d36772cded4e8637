"""The made-up networks understand made-up conversations, however these are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, fbank
from speakrs_stream.core.grid import FRAME_MIDDLE, FRAME_STEP, FRAMES_PER_WINDOW, WINDOW, Span
from speakrs_stream.core.powerset import decode
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError
from speakrs_stream.inference import fake
from speakrs_stream.inference.fake import FakeBackend, Utterance, fake_bundle, script, speak
from speakrs_stream.inference.networks import Networks

KINDS = ("split", "padded", "flowing", "multimask")


def test_scripts() -> None:
    assert script("A 0-5, C 4.5-9") == [Utterance(0, Span(0, 80000)), Utterance(2, Span(72000, 144000))]
    for wrong in ("A", "A 5", "A 5-4", "Z 0-1", "AB 0-1", "A x-y", ""):
        with pytest.raises(ConfigError):
            script(wrong)


def test_speech_is_as_long_as_asked() -> None:
    lines = script("A 0-1")
    assert speak(lines).shape == (16000,)
    assert speak(lines, 20000).shape == (20000,)
    assert speak(lines, 8000).dtype == np.float32
    assert speak([]).shape == (0,)


def frame(second: float) -> int:
    """First frame of a window whose middle is at or after a second."""
    return int(np.ceil((second * 16000 - FRAME_MIDDLE) / FRAME_STEP))


def test_segmentation_hears_who_speaks() -> None:
    lines = script("D 1-4, A 3-6, C 7-9")
    activity = decode(fake.segment(speak(lines, WINDOW)[None]))[0]
    assert activity.shape == (FRAMES_PER_WINDOW, 3)
    expected = np.zeros_like(activity)
    for column, utterance in enumerate(lines):  # numbered in the order they are heard
        expected[frame(utterance.span.start / 16000) : frame(utterance.span.end / 16000), column] = 1
    wrong = np.flatnonzero((activity != expected).any(axis=1))
    edges = [frame(second) for second in (1, 3, 4, 6, 7, 9)]
    assert len(wrong) <= len(edges)
    assert all(min(abs(at - edge) for edge in edges) <= 1 for at in wrong)


def test_silence_and_crowds() -> None:
    quiet = speak([], WINDOW)[None]
    assert not decode(fake.segment(quiet)).any()
    assert not decode(fake.segment(np.zeros((1, WINDOW), np.float32))).any()
    crowd = decode(fake.segment(speak(script("A 0-10, B 0-10, C 0-10, D 5-10"))[None]))[0]
    assert crowd.sum(axis=1).max() == 2
    assert crowd[: frame(4)].sum(axis=0).tolist() == [frame(4), frame(4), 0]


def test_batches_change_nothing() -> None:
    sound = speak(script("A 0-9, B 8-20"))
    windows = np.stack([sound[start : start + WINDOW] for start in (0, 40_000, 160_000)])
    together = fake.segment(windows)
    for number, window in enumerate(windows):
        np.testing.assert_array_equal(together[number], fake.segment(window[None])[0])


@pytest.mark.parametrize("voice", range(fake.VOICES))
@pytest.mark.parametrize("normalised", [False, True])
def test_every_voice_has_its_direction(voice: int, normalised: bool) -> None:
    networks = Networks(fake_bundle("multimask"), FakeBackend())
    other = (voice + 3) % fake.VOICES
    sound = speak([Utterance(voice, Span(0, 100_000)), Utterance(other, Span(80_000, 150_000))], WINDOW, seed=voice)
    bank = fbank(sound)
    if normalised:
        bank -= bank.mean(axis=0)
    masks = np.zeros((1, 3, FRAMES_PER_WINDOW), np.float32)
    masks[0, 0, 5:280] = 1
    masks[0, 2, 380:540] = 1
    found = networks.multimask(bank[None], masks)[0]
    assert found.shape == (3, fake.DIMENSION)
    assert np.isnan(found[1]).all()  # nobody under this mask
    for row, expected in ((0, voice), (2, other)):
        cosine = found[row] @ fake.directions().T / (2 * np.linalg.norm(found[row]))
        assert cosine[expected] > 0.95
        assert np.delete(cosine, expected).max() < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_trunks_have_the_promised_shape(kind: str) -> None:
    networks = Networks(fake_bundle(kind), FakeBackend())
    trunk = networks.bundle.embedding.trunk
    if trunk is None:
        assert networks.batches == {"segmentation": None, "multimask": None}
        return
    for length in (1, 2, 3, 10, FBANK_PER_WINDOW):
        shape = networks.trunk(np.zeros((2, length, 80), np.float32)).shape
        assert shape == (2, trunk.feature_count(length), fake.VOICES)


def test_a_fast_conversation() -> None:
    sound = speak(script("A 0.5-6, B 5-11, C 12-20, A 19-26, D 35-43, B 44-51"), 52 * 16000)
    backend: Any = FakeBackend()
    turns = [
        Engine(fake_bundle("flowing"), backend=backend, embedding=name).diarize(sound, sample_rate=16000).turns
        for name in ("exact", "fast")
    ]
    assert turns[0] == turns[1] and len(turns[0]) == 6


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="there are split, padded, flowing, multimask"):
        fake_bundle("cut")


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_conversation(kind: str) -> None:
    sound = speak(script("A 0.5-6, B 5-11, C 12-20, A 19-26, D 27-35, B 36-41"), 42 * 16000)
    backend: Any = FakeBackend()
    found = Engine(fake_bundle(kind), backend=backend).diarize(sound, sample_rate=16000)
    assert [turn.speaker[-1] for turn in found.turns] == ["0", "1", "2", "0", "3", "1"]
    for turn, (start, end) in zip(
        found.turns, [(0.5, 6), (5, 11), (12, 20), (19, 26), (27, 35), (36, 41)], strict=True
    ):
        assert abs(turn.start - start) < 0.05 and abs(turn.end - end) < 0.05
