"""Words from stretches that are heard again and again; the model is a stand-in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_server.captions.engines import HeardWord, Hypothesis, Options
from speakrs_server.captions.whisper import LONGEST, WhisperRecognizer, load
from speakrs_stream.errors import ModelError

RATE = 16_000
TEXT = "the quick brown fox jumps over the lazy dog and runs away".split()


@dataclass(slots=True)
class Ear:
    """Hears word n from second n + 0.2 to n + 0.8, by the loudness of the sound; the last one is garbled."""

    heard: list[int] = field(default_factory=list)

    def __call__(self, samples: NDArray[np.float32]) -> Sequence[HeardWord]:
        self.heard.append(len(samples))
        marks = np.flatnonzero(np.diff(np.concatenate([[0], (samples > 0.001).astype(int)])) == 1)
        words = [
            HeardWord(TEXT[round(samples[at] * 100) - 1], int(at), min(int(at) + 9600, len(samples))) for at in marks
        ]
        if words and words[-1].end == len(samples):
            words[-1] = HeardWord("mumble", words[-1].start, words[-1].end)
        return words


def sound() -> NDArray[np.float32]:
    """A second for each word, its number as loudness, then five quiet ones."""
    samples = np.zeros((len(TEXT) + 5) * RATE, np.float32)
    for number in range(len(TEXT)):
        samples[number * RATE + 3200 : number * RATE + 12_800] = (number + 1) / 100
    return samples


def listen(size: int, start: int = 0) -> tuple[list[Hypothesis], Ear]:
    ear = Ear()
    recognizer, found = WhisperRecognizer(ear), list[Hypothesis]()
    samples = sound()[start:]
    for at in range(0, len(samples), size):
        found += recognizer.feed(samples[at : at + size])
    found += recognizer.finish()
    recognizer.close()
    return found, ear


@pytest.mark.parametrize("size", [1600, 8000, 24_000])
def test_words_are_final_once_two_hearings_agree(size: int) -> None:
    found, ear = listen(size)
    final = [word for hypothesis in found if hypothesis.final for word in hypothesis.words]
    assert [word.text for word in final] == TEXT
    assert [word.start for word in final] == [n * RATE + 3200 for n in range(len(TEXT))]
    assert max(ear.heard) < 8 * RATE, "what is final is not heard again"
    assert found[-1].until == len(sound())
    untils = [hypothesis.until for hypothesis in found if hypothesis.final]
    assert untils == sorted(untils)


def test_going_on_from_what_is_final_gives_the_rest() -> None:
    found, _ = listen(8000)
    for cut in [hypothesis for hypothesis in found if hypothesis.final][:-1]:
        before = [w.text for h in found if h.final and h.until <= cut.until for w in h.words]
        after, _ = listen(8000, cut.until)
        assert before + [w.text for h in after if h.final for w in h.words] == TEXT


def test_sound_that_is_never_agreed_on_does_not_grow() -> None:
    numbers = iter(range(10**6))

    def moody(samples: NDArray[np.float32]) -> Sequence[HeardWord]:
        sizes.append(len(samples))
        return [HeardWord(str(next(numbers)), at, at + RATE // 2) for at in range(0, len(samples) - RATE, RATE)]

    sizes: list[int] = []
    recognizer = WhisperRecognizer(moody)
    found = [h for _ in range(60) for h in recognizer.feed(np.zeros(RATE, np.float32))]
    assert max(sizes) <= LONGEST + RATE
    assert len([word for h in found if h.final for word in h.words]) > 30


def stand_in(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    module = ModuleType("faster_whisper")
    module.WhisperModel = model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)


def test_the_model_is_loaded_and_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Model:
        def __init__(self, name: str, **options: Any) -> None:
            asked.append((name, options["cpu_threads"]))

        def transcribe(self, samples: NDArray[np.float32], **options: Any) -> tuple[list[Any], None]:
            asked.append((len(samples), options["language"], options["word_timestamps"]))
            word = SimpleNamespace(word=" Hi,", start=0.5, end=0.75)
            return [SimpleNamespace(words=[word]), SimpleNamespace(words=None)], None

    stand_in(monkeypatch, Model)
    recognizer = load(Options("tiny", "de", 3)).recognizer()
    assert asked == [("tiny", 3)]
    (first,) = recognizer.feed(np.ones(RATE, np.float32))
    assert first == Hypothesis((HeardWord("Hi,", 8000, 12_000),), RATE, False)
    assert asked[1] == (RATE, "de", True)
    load(Options())
    assert asked[-1] == ("base", 1)


def test_a_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(name: str, **options: Any) -> None:
        raise ConnectionError("no route")

    stand_in(monkeypatch, model)
    with pytest.raises(ModelError, match=r"'base' cannot be had \(ConnectionError\).*captions_model"):
        load(Options())
