"""Sound that is being recorded: what any source of it does, the ring between two threads, and how loud it is.

A reader that falls behind loses the oldest sound, never the newest, and every block says where it lies, so that a gap
can become silence of the right length.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from threading import Condition
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.audio.pcm import CLIPPED, to_mono
from speakrs_stream.errors import ConfigError

Samples = NDArray[np.float32]

CAPACITY = 30.0
"""Seconds of sound that wait for a reader at most."""

SILENCE = -120.0
"""Decibels that stand for no sound at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Sound as it was recorded."""

    at: int
    """Position of the first sample since the start, at the device's rate; lost sound counts."""

    samples: Samples
    """(n,) or (n, channels)."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it has been lately, in dB of full scale."""

    rms: float = SILENCE
    """Power over about a tenth of a second."""

    peak: float = SILENCE
    """Largest sample of about the last second."""

    clipped: int = 0
    """Samples at full scale since the start."""


class SoundSource(Protocol):
    """Anything that sound comes from while time passes: a microphone, or a recording that plays one."""

    name: str
    """For people."""

    sample_rate: int
    """Hertz."""

    @property
    def captured(self) -> int:
        """Samples since the start, lost ones included."""
        ...

    @property
    def dropped(self) -> int:
        """Samples that were lost."""
        ...

    @property
    def level(self) -> Level:
        """How loud it is."""
        ...

    def open(self) -> None:
        """Start listening; also after it was lost. Raises AudioError where that cannot be."""
        ...

    def pause(self) -> None:
        """Hear nothing until `resume`; the clock stands still."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def read(self, timeout: float) -> Block | None:
        """The next block, or None after `timeout` seconds without one. DeviceLost when there is no device any more."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will ever come again: a recording has an end, a microphone has none."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class Ring:
    """Blocks between a thread that cannot wait and one that works; when it is full the oldest are dropped."""

    def __init__(self, capacity: int) -> None:
        """capacity: samples."""
        if capacity < 1:
            raise ConfigError(f"a ring needs room for at least one sample, got {capacity}")
        self._capacity = capacity
        self._blocks: deque[Block] = deque()
        self._held = 0
        self._change = Condition()
        self.captured = 0
        """Samples pushed or skipped since the start."""
        self.dropped = 0
        """Samples skipped, or pushed out before anybody took them."""

    def push(self, samples: Samples) -> None:
        """Add a copy of samples (n,) or (n, channels); never waits for a reader."""
        kept = np.array(samples[-self._capacity :], np.float32)
        with self._change:
            at = self.captured + len(samples) - len(kept)
            self.dropped += len(samples) - len(kept)
            self.captured += len(samples)
            while self._blocks and self._held + len(kept) > self._capacity:
                gone = len(self._blocks.popleft().samples)
                self._held -= gone
                self.dropped += gone
            if len(kept):
                self._blocks.append(Block(at, kept))
                self._held += len(kept)
            self._change.notify_all()

    def skip(self, samples: int) -> None:
        """Sound was lost before it got here: what follows lies later."""
        with self._change:
            self.captured += max(0, samples)
            self.dropped += max(0, samples)

    def take(self, timeout: float) -> Block | None:
        """The oldest block; None where none comes within `timeout` seconds."""
        with self._change:
            if not self._change.wait_for(lambda: self._blocks, timeout):
                return None
            block = self._blocks.popleft()
            self._held -= len(block.samples)
            self._change.notify_all()
            return block

    def wait_for_room(self, samples: int, timeout: float) -> bool:
        """Wait until `samples` more fit; False where they do not within `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._held + samples <= self._capacity, timeout)

    @property
    def waiting(self) -> int:
        """Samples that nobody has taken yet."""
        with self._change:
            return self._held


class LevelMeter:
    """Levels of sound pushed block by block; bounded, and cheap enough for a callback."""

    def __init__(self, sample_rate: int) -> None:
        self._rms_span, self._peak_span = sample_rate // 10, sample_rate
        self._position = 0
        self._clipped = 0
        self._recent: deque[tuple[int, int, float, float]] = deque()  # end, length, sum of squares, peak

    def push(self, samples: Samples) -> None:
        """Add sound (n,) or (n, channels)."""
        if not samples.size:
            return
        sane = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        mono, magnitude = to_mono(sane), np.abs(sane)
        self._position += len(samples)
        self._clipped += int((magnitude >= CLIPPED).sum())
        power = float(np.dot(mono, mono))
        self._recent.append((self._position, len(samples), power, float(magnitude.max())))
        while self._recent[0][0] <= self._position - self._peak_span:
            self._recent.popleft()

    @property
    def level(self) -> Level:
        """As it stands; safe to ask from another thread."""
        recent = list(self._recent)
        power, length = 0.0, 0
        for _, count, squares, _ in reversed(recent):
            power, length = power + squares, length + count
            if length >= self._rms_span:
                break
        rms = math.sqrt(power / length) if length else 0.0
        return Level(decibels(rms), decibels(max((peak for *_, peak in recent), default=0.0)), self._clipped)


def decibels(amplitude: float) -> float:
    """20 log10 of an amplitude of which 1 is full scale; `SILENCE` at least."""
    return max(SILENCE, 20 * math.log10(amplitude)) if amplitude > 0 else SILENCE
