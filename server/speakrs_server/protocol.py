"""One connection's conversation as a state machine: messages and frames in, checked requests out; no socket, no clock.

Any bytes lead to a valid request, to nothing (audio that was there already), or to RemoteProtocolError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from speakrs_server import frames, messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.frames import AudioFrame
from speakrs_server.limits import RATE_WINDOW, Bucket
from speakrs_server.messages import AudioFormat, ClientMessage

Role = Literal["ingest", "view"]
Phase = Literal["hello", "open", "ending"]
LONGEST_GAP_S = 3_600
"""Seconds of missing audio that become silence."""
FIRST: Mapping[Role, tuple[type[msgspec.Struct], ...]] = {
    "ingest": (messages.SessionStart, messages.SessionResume),
    "view": (messages.SessionView,),
}
"""What may come first."""
LENGTH_WARNINGS_S = (600, 300, 60)
"""Seconds of audio left, of the longest that a session may have, at which a warning is due."""
NEARLY = 0.25
"""Share of what may come at once, left over, at which a client that sends too fast is warned."""
WARN_AGAIN_S = 10.0
"""Seconds between warnings of sending too fast."""
IDLE_WARNINGS = (0.5, 0.8)
"""Shares of the idle time after which a warning is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationLimits:
    """What one conversation may do; see `Settings`."""

    max_frame_bytes: int = 65_536
    """Bytes of a frame."""
    max_frame_ms: int = 1_000
    """Milliseconds of a frame."""
    max_unacked_ms: int = 10_000
    """Milliseconds of audio that may come at once."""
    max_rate: float = 2.0
    """Times real time."""
    max_session_s: int = 43_200
    """Seconds of audio."""
    idle_s: float = 60.0
    """Seconds without audio and ping."""
    hello_timeout_s: float = 5.0
    """Seconds until the first message."""
    control_rate: float = 20.0
    """Messages per second."""


class Conversation:
    """What has been said so far, as far as it decides what may be said next."""

    def __init__(self, limits: ConversationLimits, role: Role, now: float) -> None:
        """now: seconds of a clock that only goes forward, here and in every method."""
        self.limits = limits
        self.role = role
        self.phase: Phase = "hello"
        self.audio = AudioFormat()
        self.position = 0
        """Sample at the client's rate that is expected next."""
        self.repeated = 0
        """Samples that came again and were dropped."""
        self.missing = 0
        """Samples that were declared missing."""
        self._live = True
        self._began = now
        self._heard = now
        self._warned = 0
        self._lengths = [left for left in LENGTH_WARNINGS_S if left < limits.max_session_s]
        self._fast = float("-inf")
        self._control = Bucket(limits.control_rate, 2 * limits.control_rate, now)
        self._sound = Bucket(limits.max_rate, 1.0, now)

    def opened(self, audio: AudioFormat, *, live: bool, position: int, now: float) -> None:
        """The session is there: audio of this format may come from `position` on."""
        self.phase = "open"
        self.audio, self.position, self._live = audio, position, live
        burst = RATE_WINDOW * self.limits.max_rate + self.limits.max_unacked_ms / 1000
        self._sound = Bucket(self.limits.max_rate, burst, now)
        self._heard, self._warned = now, 0

    def text(self, data: bytes | str, now: float) -> ClientMessage:
        """A message; RemoteProtocolError where it is none, or not allowed now."""
        if not self._control.take(1, now):
            raise RemoteProtocolError("too_fast", f"at most {self.limits.control_rate:g} messages per second")
        message = messages.decode_client(data)
        kind = messages.type_of(message)
        if isinstance(message, messages.Ping):
            self._alive(now)
            return message
        if self.phase == "hello":
            first = (
                (messages.SessionStart, messages.SessionResume) if self.role == "ingest" else (messages.SessionView,)
            )
            if not isinstance(message, first):
                raise RemoteProtocolError("bad_message", f"{kind} cannot come first", ref=kind)
            return message
        if self.role == "view":
            raise RemoteProtocolError("forbidden", "viewers cannot change the session", ref=kind)
        if isinstance(message, messages.SessionStart | messages.SessionResume | messages.SessionView):
            raise RemoteProtocolError("bad_message", f"{kind} can only come first", ref=kind)
        if isinstance(message, messages.SessionShare):
            return message
        if self.phase == "ending" and not isinstance(message, messages.SessionEnd):
            # not fatal: a client that comes back cannot know whether its end had arrived, and says all of it again
            raise RemoteProtocolError("bad_message", f"{kind} cannot follow session.end", fatal=False, ref=kind)
        if isinstance(message, messages.SessionEnd):
            last = message.last_sample
            if last is not None and last != self.position:
                raise RemoteProtocolError(
                    "audio_gap", f"session.end says {last} samples, {self.position} were received", ref=kind
                )
            self.phase = "ending"
        if isinstance(message, messages.WordsAdd):
            bad = [word.id for word in message.words if word.end_ms < word.start_ms]
            if bad:
                raise RemoteProtocolError("bad_message", f"word {bad[0]} ends before it starts", fatal=False, ref=kind)
        self._alive(now)
        return message

    def binary(self, data: bytes, now: float) -> AudioFrame | None:
        """Audio that is new, cut to its new part; None where all of it was there. RemoteProtocolError otherwise."""
        if self.role == "view":
            raise RemoteProtocolError("forbidden", "viewers cannot send audio")
        if self.phase != "open":
            raise RemoteProtocolError("bad_message", "audio comes between session.started and session.end")
        frame = frames.unpack(data, self.audio, self.position, self.limits.max_frame_ms, self.limits.max_frame_bytes)
        rate = self.audio.sample_rate
        if self._live and not self._sound.take(frame.samples / rate, now):
            raise RemoteProtocolError("too_fast", f"at most {self.limits.max_rate:g} times real time")
        missing = frame.offset - self.position
        if missing > 0 and not frame.discontinuity:
            raise RemoteProtocolError("audio_gap", f"frame at sample {frame.offset}, expected {self.position}")
        if missing > LONGEST_GAP_S * rate:
            raise RemoteProtocolError("audio_gap", f"more than {LONGEST_GAP_S} s are missing: start a new session")
        if frame.offset + frame.samples > self.limits.max_session_s * rate:
            raise RemoteProtocolError("max_duration", f"a session has at most {self.limits.max_session_s} s")
        self._alive(now)
        again = min(max(-missing, 0), frame.samples)
        self.repeated += again
        if again == frame.samples:
            return None
        self.missing += max(missing, 0)
        self.position = frame.offset + frame.samples
        if not again:
            return frame
        width = len(frame.payload) // frame.samples
        return AudioFrame(
            frame.offset + again,
            frame.samples - again,
            frame.payload[again * width :],
            frame.discontinuity,
            frame.number,
        )

    def tick(self, now: float) -> list[messages.Warn]:
        """What time alone leads to: warnings, or RemoteProtocolError."""
        if self.phase == "hello":
            if now - self._began >= self.limits.hello_timeout_s:
                raise RemoteProtocolError("hello_timeout", "the first message did not come in time")
            return []
        if self.phase == "ending" or self.role == "view":
            return []
        return [*self._too_long(), *self._too_fast(now), *self._too_quiet(now)]

    def _too_long(self) -> list[messages.Warn]:
        left = self.limits.max_session_s - self.position / self.audio.sample_rate
        due = [share for share in self._lengths if left <= share]
        if not due:
            return []
        self._lengths = [share for share in self._lengths if share < min(due)]
        return [messages.Warn(code="max_duration", message=f"the session has room for {left:.0f} s of audio")]

    def _too_fast(self, now: float) -> list[messages.Warn]:
        audio = self._live and self._sound.left(now) < NEARLY
        if now - self._fast < WARN_AGAIN_S or not (audio or self._control.left(now) < NEARLY):
            return []
        self._fast = now
        most = (
            f"{self.limits.max_rate:g} times real time" if audio else f"{self.limits.control_rate:g} messages a second"
        )
        return [messages.Warn(code="too_fast", message=f"no more than {most} for long, or the connection is closed")]

    def _too_quiet(self, now: float) -> list[messages.Warn]:
        silent = now - self._heard
        if silent >= self.limits.idle_s:
            raise RemoteProtocolError("idle", f"no audio and no ping for {self.limits.idle_s:g} s")
        due = sum(silent >= share * self.limits.idle_s for share in IDLE_WARNINGS)
        if due <= self._warned:
            return []
        self._warned = due
        left = self.limits.idle_s - silent
        return [messages.Warn(code="idle", message=f"no audio and no ping; the connection closes in {left:.0f} s")]

    def deadline(self) -> float | None:
        """When `tick` is due next; None where time changes nothing."""
        if self.phase == "hello":
            return self._began + self.limits.hello_timeout_s
        if self.phase == "ending" or self.role == "view":
            return None
        shares = (*IDLE_WARNINGS, 1.0)
        return self._heard + shares[self._warned] * self.limits.idle_s

    def _alive(self, now: float) -> None:
        self._heard, self._warned = now, 0
