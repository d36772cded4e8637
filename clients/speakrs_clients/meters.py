"""How far behind a stream is and how hard it works, over the last half minute. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from speakrs_stream.core.grid import SAMPLE_RATE

SPAN = 30 * SAMPLE_RATE
"""Samples of audio looked back on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures for the header; None until there is something to go by."""

    provisional: float | None = None
    """Median seconds from a sound to the first turn that shows it."""

    final: float | None = None
    """Median seconds from a sound to the moment after which its turns do not change."""

    rtf: float | None = None
    """Seconds of work for a second of audio."""


@dataclass(frozen=True, slots=True)
class _Delay:
    """A stretch of audio that became shown, or final."""

    position: int
    samples: int
    delay: float


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection to a server is."""

    lost: str = ""
    """Why there is none at the moment; empty where there is one."""
    waiting: float = 0.0
    """Seconds of sound that are not safe at the server yet."""
    resumes: int = 0
    """How often it was lost and came back."""


class Paces:
    """Takes in every push of audio; positions are samples at 16 kHz."""

    def __init__(self) -> None:
        self._shown: deque[_Delay] = deque()
        self._settled: deque[_Delay] = deque()
        self._work: deque[tuple[int, int, float]] = deque()  # position, samples, seconds of work
        self._processed = 0
        self._watermark = 0

    def push(self, *, position: int, samples: int, work: float, captured: int, processed: int, watermark: int) -> None:
        """Audio was pushed and answered.

        position: end of what was pushed; samples: its length; work: seconds it took; captured: how far the
        microphone is by now; processed, watermark: how far the stream is by now
        """
        _note(self._shown, position, captured, self._processed, processed)
        _note(self._settled, position, captured, self._watermark, watermark)
        self._processed, self._watermark = max(self._processed, processed), max(self._watermark, watermark)
        self._work.append((position, samples, work))
        while self._work and self._work[0][0] < position - SPAN:
            self._work.popleft()

    @property
    def pace(self) -> Pace:
        """As it stands."""
        audio = sum(samples for _, samples, _ in self._work) / SAMPLE_RATE
        work = sum(work for _, _, work in self._work)
        return Pace(_median(self._shown), _median(self._settled), work / audio if audio >= 1 else None)


def _note(delays: deque[_Delay], position: int, captured: int, before: int, now: int) -> None:
    """Audio from `before` to `now` became known; on average it was heard half of that earlier."""
    if now > before:
        middle = (before + now) / 2
        delays.append(_Delay(position, now - before, (captured - middle) / SAMPLE_RATE))
    while delays and delays[0].position < position - SPAN:
        delays.popleft()


def _median(delays: deque[_Delay]) -> float | None:
    """Half of the audio was faster."""
    if not delays:
        return None
    half = sum(entry.samples for entry in delays) / 2
    for entry in sorted(delays, key=lambda entry: entry.delay):
        half -= entry.samples
        if half <= 0:
            return max(0.0, entry.delay)
    return None
