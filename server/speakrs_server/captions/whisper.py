"""Words by Whisper, through faster-whisper: many languages, good; its model is downloaded once.

Whisper hears stretches, not streams, so the newest seconds are heard again and again, and words are final once two
hearings in a row agree on them (LocalAgreement: Liu et al. 2020; Macháček et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakrs_server.captions.engines import HeardWord, Hypothesis, Options
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ModelError

Hear = Callable[[NDArray[np.float32]], Sequence[HeardWord]]
"""Words in (n,) float32 samples at 16 kHz."""
MODEL = "base"
"""What is taken where no model is named."""
STEP = SAMPLE_RATE
"""Samples between two hearings at least."""
EDGE = SAMPLE_RATE // 2
"""Samples before the end in which a word may be cut."""
LONGEST = 20 * SAMPLE_RATE
"""Samples after which words count as final though hearings do not agree."""
QUIET = 4 * SAMPLE_RATE
"""Samples without a word after which all but the last second is given up."""


class WhisperRecognizer:
    """One stream."""

    def __init__(self, hear: Hear) -> None:
        """hear: finds words in a stretch of sound."""
        self._hear = hear
        self._sound = np.zeros(0, np.float32)
        self._start = 0  # sample of the stream that is the first of `_sound`
        self._fresh = 0
        self._before: tuple[HeardWord, ...] = ()

    def feed(self, samples: NDArray[np.float32]) -> Sequence[Hypothesis]:
        """See `engines.Recognizer`."""
        self._sound = np.concatenate([self._sound, samples])
        self._fresh += len(samples)
        if self._fresh < STEP:
            return []
        self._fresh = 0
        words = self._words()
        end = self._start + len(self._sound)
        agreed = [word for word in _agreed(self._before, words) if word.end <= end - EDGE]
        if not agreed and len(self._sound) >= LONGEST:
            agreed = [word for word in words if word.end <= end - EDGE]
        if agreed:
            return self._settle(agreed, words[len(agreed) :])
        if not words and len(self._sound) >= QUIET:
            self._drop(end - SAMPLE_RATE)
            self._before = ()
            return [Hypothesis((), self._start, True)]
        if len(self._sound) >= LONGEST:  # one word without end: no word at all
            self._drop(end - SAMPLE_RATE)
            words = ()
        self._before = words
        return [Hypothesis(words, end, False)]

    def _settle(self, agreed: Sequence[HeardWord], rest: tuple[HeardWord, ...]) -> list[Hypothesis]:
        end = self._start + len(self._sound)
        self._drop(agreed[-1].end)
        self._before = rest
        found = [Hypothesis(tuple(agreed), self._start, True)]
        return [*found, Hypothesis(rest, end, False)] if rest else found

    def _drop(self, until: int) -> None:
        self._sound = self._sound[until - self._start :]
        self._start = until

    def _words(self) -> tuple[HeardWord, ...]:
        """What is heard now, in samples of the stream, within the sound and in order."""
        found, last = [], 0
        for word in self._hear(self._sound) if len(self._sound) else ():
            start, end = (min(max(at, last), len(self._sound)) for at in (word.start, word.end))
            if word.text and end > start:
                found.append(HeardWord(word.text, self._start + start, self._start + end))
                last = end
        return tuple(found)

    def finish(self) -> Sequence[Hypothesis]:
        """See `engines.Recognizer`."""
        words = self._words()
        self._drop(self._start + len(self._sound))
        return [Hypothesis(words, self._start, True)]

    def close(self) -> None:
        """See `engines.Recognizer`."""
        self._sound = np.zeros(0, np.float32)


def _agreed(before: Sequence[HeardWord], now: Sequence[HeardWord]) -> list[HeardWord]:
    """The beginning that two hearings have in common, as heard now."""
    found = []
    for old, new in zip(before, now, strict=False):
        if _plain(old.text) != _plain(new.text):
            break
        found.append(new)
    return found


def _plain(text: str) -> str:
    return re.sub(r"[^\w]", "", text).casefold()


class WhisperEngine:
    """The model, loaded once for all streams of its process."""

    def __init__(self, model: Any, language: str) -> None:
        """model: a `faster_whisper.WhisperModel`; language: empty to find out."""
        self._model, self._language = model, language

    def recognizer(self) -> WhisperRecognizer:
        """Start a stream."""
        return WhisperRecognizer(self.hear)

    def hear(self, samples: NDArray[np.float32]) -> list[HeardWord]:
        """Words in a stretch of sound."""
        segments, _ = self._model.transcribe(
            samples,
            language=self._language or None,
            word_timestamps=True,
            vad_filter=True,
            beam_size=1,
            condition_on_previous_text=False,
        )
        return [
            HeardWord(word.word.strip(), round(word.start * SAMPLE_RATE), round(word.end * SAMPLE_RATE))
            for segment in segments
            for word in segment.words or ()
        ]


def load(options: Options) -> WhisperEngine:
    """See `engines.Load`; ModelError where the model is neither here nor can be downloaded."""
    import faster_whisper

    name = options.model or MODEL
    try:
        model = faster_whisper.WhisperModel(name, device="auto", compute_type="default", cpu_threads=options.threads)
    except Exception as error:  # whatever the hub, its client or the runtime raise
        raise ModelError(
            f"the Whisper model {name!r} cannot be had ({type(error).__name__}): without a network, download it "
            "elsewhere (a folder with model.bin, config.json and tokenizer.json) and give its folder as captions_model"
        ) from error
    return WhisperEngine(model, options.language)
