"""Voices to speak with: read speech of known people, pauses cut out.

Files are named SPEAKER-CHAPTER-UTTERANCE.flac as in LibriSpeech, in any nesting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import BadFormat, ConfigError

Samples = NDArray[np.float32]

HOP = SAMPLE_RATE // 100
"""Samples between two energy measurements (10 ms)."""

FRAME = SAMPLE_RATE // 40
"""Samples in one energy measurement (25 ms)."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Speech of one person as phrases without pauses inside."""

    speaker: str
    """Identity, shared by all files of the person."""

    phrases: tuple[Samples, ...]
    """Mono float32 at 16 kHz, each at a level of 0.05 RMS."""

    @property
    def seconds(self) -> float:
        """Material in all phrases."""
        return sum(len(phrase) for phrase in self.phrases) / SAMPLE_RATE


class Reader:
    """Reads a voice aloud phrase by phrase, and starts over when the material ends."""

    def __init__(self, voice: Voice, start: int = 0) -> None:
        self._phrases = voice.phrases
        self._next = start % len(self._phrases)

    def read(self, samples: int) -> Samples:
        """The next phrases, joined and cut to `samples` samples, faded at both ends: (samples,)."""
        parts: list[Samples] = []
        missing = samples
        while missing > 0:
            phrase = self._phrases[self._next]
            self._next = (self._next + 1) % len(self._phrases)
            parts.append(faded(phrase[:missing]))
            missing -= len(parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def faded(samples: Samples, seconds: float = 0.008) -> Samples:
    """A copy with raised-cosine edges, so that joints do not click."""
    length = min(len(samples) // 2, round(seconds * SAMPLE_RATE))
    result = samples.copy()
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
        result[:length] *= ramp
        result[-length:] *= ramp[::-1]
    return result


def find_voices(folder: Path, only: Iterable[str] | None = None) -> dict[str, list[Path]]:
    """Utterance files by speaker, both sorted; `only` keeps these speakers.

    Raises ConfigError when nothing is left.
    """
    allowed = None if only is None else set(only)
    voices: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.flac")):
        speaker = path.stem.split("-")[0]
        if allowed is None or speaker in allowed:
            voices.setdefault(speaker, []).append(path)
    if not voices:
        kept = "" if allowed is None else f" by one of the {len(allowed)} speakers asked for"
        raise ConfigError(f"{folder} holds no SPEAKER-CHAPTER-UTTERANCE.flac{kept}")
    return dict(sorted(voices.items()))


def load_voice(speaker: str, paths: Iterable[Path], *, speed: float = 1.0) -> Voice:
    """Read utterances and cut their pauses.

    A `speed` other than 1 plays them faster or slower, pitch and formants included, which makes another person of it.
    Raises BadFormat when there is no speech in any file.
    """
    phrases: list[Samples] = []
    for path in paths:
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadFormat(f"{path} cannot be read: {error}") from error
        mono = samples.mean(axis=1)
        target = SAMPLE_RATE / speed
        if rate != target:
            mono = soxr.resample(mono, rate, target)
        found = [mono[start:end] for start, end in speech_runs(mono)]
        if found:
            loudness = float(np.sqrt(np.mean(np.concatenate(found) ** 2)))
            phrases += [np.asarray(phrase * (0.05 / loudness), dtype=np.float32) for phrase in found]
    if not phrases:
        raise BadFormat(f"no speech found in the files of speaker {speaker}")
    return Voice(speaker, tuple(phrases))


def speech_runs(
    samples: Samples, *, max_pause: float = 0.12, min_speech: float = 0.1, margin: float = 0.02
) -> list[tuple[int, int]]:
    """Stretches (first sample, one past the last) of a clean recording in which somebody speaks.

    Energy against a threshold between the quietest and the loudest tenth of the file; gaps up to `max_pause` seconds
    are bridged (stops are silent), bursts under `min_speech` dropped, `margin` kept on both sides.
    """
    if len(samples) < FRAME:
        return []
    count = 1 + (len(samples) - FRAME) // HOP
    squares = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = np.arange(count) * HOP
    level = 10.0 * np.log10((squares[starts + FRAME] - squares[starts]) / FRAME + 1e-12)
    floor, peak = np.percentile(level, [10, 95])
    if peak < -80.0:
        return []
    threshold = np.clip(floor + 0.4 * (peak - floor), peak - 32.0, peak - 9.0)
    runs = _runs(level > threshold)
    bridged: list[list[int]] = []
    for start, end in runs:
        if bridged and start - bridged[-1][1] <= max_pause * 100:
            bridged[-1][1] = end
        else:
            bridged.append([start, end])
    middle, keep = (FRAME - HOP) // 2, round(margin * SAMPLE_RATE)
    return [
        (max(0, start * HOP + middle - keep), min(len(samples), end * HOP + middle + keep))
        for start, end in bridged
        if end - start >= min_speech * 100
    ]


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    change = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(change[::2], change[1::2], strict=True)]
