"""Why a connection ended or never came about, and whether to try again. Pure.

StreamFailed                    the stream cannot go on
├── Unreachable                 nobody answers there, or not any more
├── Untrusted                   the server's certificate cannot be trusted
├── Unspoken                    what answers there does not speak speakrs.v1
├── Refused                     the server says no, and will again
│   └── Unauthorized            because of the token
└── SessionGone                 the server ended the session, or forgot what it had acknowledged
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from speakrs_server.messages import Error
from speakrs_stream.errors import SpeakrsError


class StreamFailed(SpeakrsError):
    """The stream cannot go on."""


class Unreachable(StreamFailed):
    """Nobody answers there, or not any more."""


class Untrusted(StreamFailed):
    """The server's certificate cannot be trusted."""


class Unspoken(StreamFailed):
    """What answers there does not speak speakrs.v1."""


class Refused(StreamFailed):
    """The server says no, and will again."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
        """As in docs/protocol.md, such as `too_fast`."""


class Unauthorized(Refused):
    """The server says no because of the token."""


class SessionGone(StreamFailed):
    """The server ended the session, or forgot what it had acknowledged."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How a connection ended, or why there was none."""

    kind: Literal["closed", "silence", "status", "handshake", "tls", "certificate", "network"]
    """Closed, gone quiet; or there was none: a status instead, broken off, not secure, not trusted, not there."""
    code: int = 1006
    """Close code or HTTP status."""
    reason: str = ""
    """What was said about it."""
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again."""


CLOSES = {4401: "unauthorized", 4403: "forbidden", 4404: "unknown_session", 4406: "version", 4410: "expired"}
"""Close codes that have an exception of their own."""
TOKEN = "; give a token with --token-file or token="


def verdict(loss: Loss, said: Error | None, *, before: bool) -> StreamFailed | None:
    """What to raise; None to try again.

    said: the fatal error that the server told in front of the close; before: whether there was a session already
    """
    match loss.kind:
        case "certificate":
            return Untrusted(f"the server's certificate cannot be trusted: {loss.reason}")
        case "tls" if not before:
            return Untrusted(f"no secure connection: {loss.reason}; if that server has no TLS, write ws://")
        case "status":
            return _of_status(loss, before)
        case "closed":
            refused = said is not None and not said.retryable
            if not refused and not 4400 <= loss.code < 4500:
                return None
            code = said.code if said is not None else CLOSES.get(loss.code, loss.reason or str(loss.code))
            return refusal(code, said.message if said is not None else f"the server closed with {loss.code} {code}")
    return None


def refusal(code: str, message: str) -> StreamFailed:
    """The exception for an error of the protocol that is not to be tried again."""
    match code:
        case "unauthorized":
            return Unauthorized(f"not authorized: {message}{TOKEN}", code)
        case "forbidden":
            return Unauthorized(f"not allowed: {message}", code)
        case "version":
            return Unspoken(f"the server speaks another version: {message}")
        case "unknown_session" | "expired":
            return SessionGone(f"the session is gone: {message}")
        case "superseded":
            return Refused(f"{message}; only the newest connection may send", code)
    return Refused(f"the server refused: {message}", code)


def _of_status(loss: Loss, before: bool) -> StreamFailed | None:
    told = f": {loss.reason}" if loss.reason else ""
    match loss.code:
        case 401:
            return Unauthorized(f"not authorized{told}{TOKEN}", "unauthorized")
        case 403:
            return Unauthorized(f"not allowed{told}", "forbidden")
        case 429 | 503 | 500 | 502 | 504:
            return None
        case 404 if before:
            return SessionGone(f"the session is gone{told}")
    if loss.code == 0:
        return None if before else Unspoken(f"no server of speakrs.v1 is at that address{told}")
    return Unspoken(f"no server of speakrs.v1 is at that address: HTTP status {loss.code}{told}")


def described(loss: Loss) -> str:
    """A loss in a few words, for people."""
    match loss.kind:
        case "silence":
            return "the server went quiet"
        case "closed" if loss.code == 1006:
            return "the connection broke"
        case "closed" | "status":
            return f"{loss.reason or 'closed'} ({loss.code})"
        case "tls":
            return f"no secure connection: {loss.reason}"
    return loss.reason or "the network failed"
