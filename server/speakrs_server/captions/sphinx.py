"""Words by PocketSphinx: English, with the model that comes in its wheel.

Its own voice activity detection cuts the sound into utterances; long ones are cut where they are. The search is
narrowed to what keeps up with live speech on one core; the passes over whole utterances come too late and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakrs_server.captions.engines import HeardWord, Hypothesis, Options
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError

SEARCH = {"fwdflat": False, "bestpath": False, "maxhmmpf": 3000, "maxwpf": 5, "ds": 2, "topn": 2}
"""How widely it searches; see docs/serving.md for what this costs."""
FRAME = SAMPLE_RATE // 100
"""Samples of one of its frames."""
LONGEST = 15 * SAMPLE_RATE
"""Samples after which an utterance is cut."""
INTERIM = SAMPLE_RATE // 2
"""Samples of speech between hypotheses that may change."""
QUIET = 10 * SAMPLE_RATE
"""Samples without speech after which it says that nothing was said."""
BEFORE = SAMPLE_RATE
"""Samples before the end of what was heard in which speech may have begun unnoticed."""
WORD = re.compile(r"[a-z0-9'._-]+", re.IGNORECASE)


class SphinxEngine:
    """Makes recognizers; each has a model of its own, as their search keeps state in it."""

    def __init__(self, model: str) -> None:
        """model: folder of another acoustic model than the one in the wheel, with its dictionary and language model."""
        self._paths: dict[str, str] = {}
        if model:
            folder = Path(model)
            dictionary, language = next(folder.glob("*.dict"), None), next(folder.glob("*.lm.bin"), None)
            if dictionary is None or language is None or not (folder / "mdef").exists():
                raise ConfigError(f"{model} is no PocketSphinx model: it needs mdef, a .dict and a .lm.bin file")
            self._paths = {"hmm": str(folder), "dict": str(dictionary), "lm": str(language)}

    def recognizer(self) -> SphinxRecognizer:
        """Start a stream."""
        import pocketsphinx

        decoder = pocketsphinx.Decoder(loglevel="FATAL", samprate=SAMPLE_RATE, **SEARCH, **self._paths)
        return SphinxRecognizer(decoder, pocketsphinx.Endpointer(sample_rate=SAMPLE_RATE))


class SphinxRecognizer:
    """One stream."""

    def __init__(self, decoder: Any, endpointer: Any) -> None:
        """decoder, endpointer: of the pocketsphinx package, fresh."""
        self._decoder, self._ends = decoder, endpointer
        self._rest = b""
        self._heard = 0  # samples looked at
        self._told = 0  # the same when something was last said
        self._settled = 0
        self._began: int | None = None  # where the utterance begins; None outside of one
        self._spoken = 0  # samples of it that were searched

    def feed(self, samples: NDArray[np.float32]) -> Sequence[Hypothesis]:
        """See `engines.Recognizer`."""
        self._rest += (np.clip(samples, -1.0, 32767 / 32768) * 32768).astype("<i2").tobytes()
        found: list[Hypothesis] = []
        size = self._ends.frame_bytes
        whole = len(self._rest) // size * size
        for at in range(0, whole, size):
            found += self._frame(self._rest[at : at + size])
        self._rest = self._rest[whole:]
        if self._began is not None and self._spoken - self._told >= INTERIM:
            self._told = self._spoken
            found.append(Hypothesis(self._words(self._began), self._began + self._spoken, False))
        return found

    def _frame(self, frame: bytes) -> list[Hypothesis]:
        self._heard += len(frame) // 2
        speech = self._ends.process(frame)
        return self._speech(speech) if speech is not None else self._silence()

    def _silence(self) -> list[Hypothesis]:
        until = self._heard - BEFORE
        if self._began is not None or until - self._settled < QUIET:
            return []
        self._settled = until
        return [Hypothesis((), until, True)]

    def _speech(self, speech: bytes) -> list[Hypothesis]:
        if self._began is None:
            self._begin(round(self._ends.speech_start * SAMPLE_RATE))
        self._search(speech)
        if not self._ends.in_speech:
            return [self._end()]
        if self._spoken >= LONGEST:
            done = self._end()
            self._begin(done.until)
            return [done]
        return []

    def _search(self, speech: bytes) -> None:
        if speech:  # nothing at all is too little for it
            self._decoder.process_raw(speech, no_search=False, full_utt=False)
            self._spoken += len(speech) // 2

    def _begin(self, at: int) -> None:
        self._began, self._spoken, self._told = at, 0, 0
        self._decoder.start_utt()

    def _end(self) -> Hypothesis:
        assert self._began is not None
        self._decoder.end_utt()
        self._settled = min(self._began + self._spoken, self._heard)
        done = Hypothesis(self._words(self._began), self._settled, True)
        self._began = None
        return done

    def _words(self, began: int) -> tuple[HeardWord, ...]:
        """What the search thinks; marks of silence and noise are no words, and numbers tell pronunciations apart."""
        found = []
        for segment in self._decoder.seg() or ():
            text = re.sub(r"\(\d+\)$", "", segment.word)
            if WORD.fullmatch(text):
                start, end = segment.start_frame * FRAME, (segment.end_frame + 1) * FRAME
                found.append(HeardWord(text, began + start, began + min(end, max(self._spoken, start))))
        return tuple(found)

    def finish(self) -> Sequence[Hypothesis]:
        """See `engines.Recognizer`."""
        speech = self._ends.end_stream(self._rest or bytes(2))  # it takes one sample at least
        self._heard += len(self._rest) // 2
        self._rest = b""
        found: list[Hypothesis] = []
        if speech is not None:
            if self._began is None:
                self._begin(round(self._ends.speech_start * SAMPLE_RATE))
            self._search(speech)
        if self._began is not None:
            found.append(self._end())
        return [*found, Hypothesis((), self._heard, True)]

    def close(self) -> None:
        """See `engines.Recognizer`."""
        self._decoder = self._ends = None


def load(options: Options) -> SphinxEngine:
    """See `engines.Load`."""
    if options.language not in ("", "en") and not options.model:
        raise ConfigError(
            f"the model in PocketSphinx' wheel speaks en, not {options.language}; give another by its folder"
        )
    return SphinxEngine(options.model)
