"""Recorded sound from anywhere as mono blocks at 16 kHz: gate, mix down, resample, cut into even blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.audio.pcm import Gate, GateReport, in_columns, scaled, to_mono
from speakrs_stream.audio.resample import HIGHEST_RATE, LOWEST_RATE, Resampler, resampled_length
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import BadFormat, ConfigError

Samples = NDArray[np.float32]

CANCELLED = 0.01
"""Share of the channels' power below which their mean counts as cancelled out (-20 dB)."""


class AudioSource(ABC):
    """A recording of known rate and layout that is read piece by piece; a context manager.

    A subclass reads; this class makes what was read fit for the pipeline.
    """

    def __init__(self, name: str, sample_rate: int, channels: int, frames: int | None, channel: int | None) -> None:
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise BadFormat(
                f"{name}: the sample rate is {sample_rate} Hz; {LOWEST_RATE} … {HIGHEST_RATE} Hz can be used"
            )
        if channel is not None and not 0 <= channel < channels:
            raise ConfigError(f"{name} has {channels} channels, counted from 0; there is no channel {channel}")
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = frames
        self._channel = channel
        self._gate = Gate()
        self._notes: list[str] = []
        self._power_in = 0.0
        self._power_out = 0.0

    @property
    def samples(self) -> int | None:
        """Length at 16 kHz, as far as it is known before everything is read; None when the file does not say."""
        return None if self.frames is None else resampled_length(self.frames, self.sample_rate)

    @property
    def duration(self) -> float | None:
        """Length in seconds, as far as it is known before everything is read."""
        return None if self.frames is None else self.frames / self.sample_rate

    @property
    def report(self) -> GateReport:
        """What was found and mended so far; complete once `blocks()` has ended."""
        notes = list(self._notes)
        if self._power_out < CANCELLED * self._power_in:
            notes.append(
                "the channels cancel each other out when mixed (one is wired upside down); choose a single channel"
            )
        return replace(self._gate.report, notes=tuple(notes))

    def blocks(self, seconds: float = 10.0) -> Iterator[Samples]:
        """Mono blocks of `seconds` at 16 kHz, (n,) float32; the last one may be shorter. Starts over when called again.

        Not-numbers become 0, channels are averaged unless one was chosen, and all blocks together have exactly
        the recording's length. Raises BadFormat when nothing can be decoded or the samples make no sense.
        """
        if not 0 < seconds <= 3600:
            raise ConfigError(f"a block of {seconds} s is impossible; choose more than 0 and up to 3600 s")
        return self._blocks(max(1, round(seconds * SAMPLE_RATE)))

    def _blocks(self, size: int) -> Iterator[Samples]:
        self._gate = Gate()
        self._notes.clear()
        self._power_in = self._power_out = 0.0
        resampler = Resampler(self.sample_rate)
        waiting: list[Samples] = []
        held = 0
        for raw in self._read():
            ready = resampler.push(self._mono(self._gated(raw)))
            waiting.append(ready)
            held += len(ready)
            if held >= size:
                joined = np.concatenate(waiting)
                whole = held - held % size
                for start in range(0, whole, size):
                    yield joined[start : start + size].copy()
                waiting, held = [joined[whole:]], held - whole
        try:
            self._gate.finish()
        except BadFormat as error:
            raise BadFormat(f"{self.name}: {error}") from error
        rest = np.concatenate([*waiting, resampler.finish()])
        for start in range(0, len(rest), size):
            yield rest[start : start + size].copy()

    def read(self) -> Samples:
        """Everything at once: (n,) float32 at 16 kHz. For short recordings; `blocks()` keeps memory small."""
        return np.concatenate([np.zeros(0, np.float32), *self.blocks()])

    def close(self) -> None:  # noqa: B027 - only sources that hold a file have something to close
        """Let go of the file, if there is one."""

    def __enter__(self) -> AudioSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read(self) -> Iterator[Samples]:
        """The recording from its start, (n, channels) float32 at `sample_rate`, in pieces of bounded size."""

    def _gated(self, raw: Samples) -> Samples:
        try:
            return self._gate.push(raw)
        except BadFormat as error:
            raise BadFormat(f"{self.name}: {error}") from error

    def _mono(self, samples: Samples) -> Samples:
        if self.channels == 1:
            return samples[:, 0]
        if self._channel is not None:
            return samples[:, self._channel].copy()
        mixed = to_mono(samples)
        self._power_in += float(np.square(samples, dtype=np.float64).sum()) / self.channels
        self._power_out += float(np.square(mixed, dtype=np.float64).sum())
        return mixed


class ArrayAudio(AudioSource):
    """Samples that are in memory already."""

    def __init__(self, samples: ArrayLike, sample_rate: int, *, channel: int | None = None) -> None:
        """samples: (n,) or (n, channels), see `pcm.from_array`; sample_rate: hertz. Raises BadFormat."""
        self._values = in_columns(samples)
        scaled(self._values[:0])  # refuses kinds that have no scale before anything is read
        super().__init__("the array", sample_rate, self._values.shape[1], len(self._values), channel)

    def _read(self) -> Iterator[Samples]:
        size = max(1, 2**20 // self.channels)
        for start in range(0, len(self._values), size):
            yield scaled(self._values[start : start + size])


def open_array(samples: ArrayLike, sample_rate: int, *, channel: int | None = None) -> ArrayAudio:
    """An array behind the same interface as a file: `with open_array(x, 44_100) as audio: audio.blocks()`."""
    return ArrayAudio(samples, sample_rate, channel=channel)
