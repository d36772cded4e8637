"""Why a conversation goes wrong: code, close code, whether trying again helps, and the two protocol errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from speakrs_stream.errors import SpeakrsError


@dataclass(frozen=True, slots=True)
class Code:
    """One way for a conversation to end."""

    name: str
    """As it stands in `error` messages."""
    close: int
    """WebSocket close code."""
    meaning: str
    """What happened and what the client should do."""

    @property
    def retryable(self) -> bool:
        """Whether to connect again and resume: never after 44xx."""
        return not 4400 <= self.close < 4500


CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.name: code
        for code in (
            Code("internal", 1011, "a fault of the server; resume"),
            Code("draining", 1012, "the server stops or restarts; resume after `retry_after_ms`"),
            Code("bad_message", 4400, "a message that is not valid here; mend the client"),
            Code("unauthorized", 4401, "no token, or one that is not accepted"),
            Code("forbidden", 4403, "the token does not allow this"),
            Code("unknown_session", 4404, "there is no such session, or it is over and forgotten"),
            Code("version", 4406, "the subprotocol is not spoken here"),
            Code("hello_timeout", 4408, "the first message did not come in time"),
            Code("superseded", 4409, "the session goes on over a newer connection"),
            Code("expired", 4410, "the session or the resume token is too old; start a new session"),
            Code("frame_too_large", 4413, "an audio frame is longer than the limits say"),
            Code("unsupported_audio", 4415, "encoding, rate or channels are not supported"),
            Code("bad_audio", 4422, "what was sent is no sound"),
            Code("audio_gap", 4423, "a frame does not follow the one before and does not say so"),
            Code("too_fast", 4429, "more messages, audio or viewers than allowed"),
            Code("idle", 4440, "no audio and no ping for too long"),
            Code("max_duration", 4441, "the session reached its longest length; its result is kept"),
            Code("engine_failed", 4500, "the networks failed on this session; resume"),
            Code("full", 4503, "no more sessions fit, or none of this token; start again after `retry_after_ms`"),
            Code("storage_full", 4507, "the journal cannot be written; resume when there is room again"),
            Code("slow_consumer", 4508, "the client stopped reading; resume"),
            Code("ingest_overrun", 4509, "far more audio came than could be worked on; resume, the journal has it"),
        )
    }
)
"""Code -> what it means. 44xx: never try again by yourself. 45xx, 1011, 1012: connect again and resume."""


class ProtocolError(SpeakrsError):
    """A conversation that cannot go on, or a message that cannot be taken."""

    def __init__(
        self, code: str, message: str, *, fatal: bool = True, ref: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        """code: a key of `CODES`; fatal: whether the connection ends; ref: type of the message it is about;
        retry_after_ms: when to come back, where that is known."""
        super().__init__(message)
        self.code = CODES[code]
        self.fatal = fatal
        self.ref = ref
        self.retry_after_ms = retry_after_ms


class LocalProtocolError(ProtocolError):
    """We were about to say something the protocol does not allow: our bug."""


class RemoteProtocolError(ProtocolError):
    """The other side said something the protocol does not allow."""
