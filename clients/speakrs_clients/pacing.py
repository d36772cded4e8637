"""How much a client may send now: what the server's limits leave, so that it never has to refuse. Pure."""

from __future__ import annotations

from speakrs_server.frames import HEADER
from speakrs_server.messages import Limits

COMMANDS_PER_S = 10.0
"""Commands that are sent per second, half of what a server takes."""
RATE = 0.95
"""Share of `max_rate` that live audio is sent with once it lies behind, as after an outage."""
BURST_S = 5.0
"""Seconds of audio that may be sent at once in front of that, times `max_rate`."""
SLACK_MS = 1_000
"""Audio that a server holds back anyway before it counts as not worked on."""


class Allowance:
    """So much per second, with a burst; time is given by the caller."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """rate: units per second; burst: units that may be taken at once; now: seconds of any clock."""
        self._rate, self._burst, self._level, self._at = rate, burst, burst, now

    def ready(self, now: float) -> float:
        """When something may be taken; `now` where it may be at once."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        return now if self._level > 0 else now - self._level / self._rate + 1e-3

    def take(self, amount: float) -> None:
        """It was taken; the level may fall below nothing, and has to come back."""
        self._level -= amount


class Pacing:
    """The limits of one connection."""

    def __init__(self, limits: Limits, *, live: bool, sample_rate: int, width: int, frame_ms: int, now: float) -> None:
        """live: whether real time is the measure, else it is how fast the server works

        width: bytes of one sample of all channels; frame_ms: milliseconds of audio in one frame, where that is allowed
        """
        self.frame = min(
            max(sample_rate * min(frame_ms, limits.max_frame_ms) // 1000, 1),
            (limits.max_frame_bytes - HEADER.size) // width,
        )
        """Samples of one frame."""
        rate = limits.max_rate * RATE
        self._live, self._sample_rate = live, sample_rate
        self._sound = Allowance(rate, rate * BURST_S, now)
        self._control = Allowance(COMMANDS_PER_S, COMMANDS_PER_S, now)
        self._window = (limits.max_unacked_ms * (2 if live else 1) + SLACK_MS) * sample_rate // 1000

    def sound_ready(self, now: float) -> float:
        """When a frame may be sent, as far as time decides."""
        return self._sound.ready(now) if self._live else now

    def fits(self, sent: int, processed: int) -> bool:
        """Whether one more frame may be sent, as far as the server's work decides; positions are samples.

        A server pauses a file, or closes a live connection, with too much audio that it has not worked on.
        """
        return sent - processed + self.frame <= self._window

    def sound(self, samples: int) -> None:
        """A frame was sent."""
        self._sound.take(samples / self._sample_rate)

    def control_ready(self, now: float) -> float:
        """When a command may be sent."""
        return self._control.ready(now)

    def control(self) -> None:
        """A command was sent."""
        self._control.take(1)
