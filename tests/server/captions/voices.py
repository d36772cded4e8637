"""An engine that tests understand: it "recognizes" every stretch of sound as one word that says where it begins.

Run as `tests.server.captions.voices:load`; options make it slow, crash, or refuse.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakrs_server.captions.engines import HeardWord, Hypothesis, Options
from speakrs_stream.errors import ConfigError

BLOCK = 1_600
"""Samples that are loud or quiet as a whole."""
LOUD = 0.06


class Voices:
    """One stream: words begin and end where blocks of 100 ms become loud and quiet."""

    def __init__(self, options: Options) -> None:
        self._how = options
        self._rest = np.zeros(0, np.float32)
        self._at = 0
        self._word: int | None = None

    def feed(self, samples: NDArray[np.float32]) -> Sequence[Hypothesis]:
        if self._how.model.startswith("slow"):
            time.sleep(len(samples) / 16_000 * float(self._how.model[4:]))
        self._rest = np.concatenate([self._rest, samples])
        found = []
        while len(self._rest) >= BLOCK:
            loud = float(np.abs(self._rest[:BLOCK]).max()) > LOUD
            self._rest = self._rest[BLOCK:]
            if self._word is None and loud:
                self._word = self._at
                found.append(Hypothesis((HeardWord("m", self._at, self._at + BLOCK),), self._at + BLOCK, False))
            elif self._word is not None and not loud:
                found.append(self._end())
            self._at += BLOCK
        if self._how.model.startswith("crash"):  # once for each file that is named
            marker = Path(self._how.model[5:])
            if self._at >= 16_000 * 5 and marker.exists():
                marker.unlink()
                os._exit(3)
        if self._how.model == "raise" and self._at >= 16_000:
            raise RuntimeError("secret words")
        return found

    def _end(self) -> Hypothesis:
        assert self._word is not None
        word, self._word = HeardWord(f"word at {self._word // 160}", self._word, self._at), None
        return Hypothesis((word,), self._at, True)

    def finish(self) -> Sequence[Hypothesis]:
        return [self._end()] if self._word is not None else []

    def close(self) -> None:
        self._rest = self._rest[:0]


class VoicesEngine:
    """Makes streams."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def recognizer(self) -> Voices:
        return Voices(self._options)


def load(options: Options) -> VoicesEngine:
    """Load it."""
    print("engines may print")  # noqa: T201
    if options.model == "refuse":
        raise ConfigError("this model is refused; take another")
    return VoicesEngine(options)
