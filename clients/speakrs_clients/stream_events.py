"""What a user of a stream is told: the server's messages, and that the connection was lost and is there again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from speakrs_server import messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import ServerMessage


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection is gone; the stream goes on by itself."""

    reason: str
    """In a few words."""
    retry_in_s: float
    """Seconds until the next attempt."""
    failures: int
    """Attempts that failed in a row."""


@dataclass(frozen=True, slots=True)
class ConnectionResumed:
    """The stream goes on over a new connection; nothing is missing."""

    epoch: int
    """Connections that the session has had; 0 where a viewer came back."""
    outage_s: float
    """Seconds since the connection was lost."""


Event: TypeAlias = ServerMessage | ConnectionLost | ConnectionResumed
"""What a user is told, and what `match` can tell apart."""
SILENT = (messages.AudioAck, messages.Heartbeat, messages.Pong, messages.SessionResumed, messages.SessionShared)
"""Signs of life and tokens, which the client deals with itself."""


class _Typed(msgspec.Struct):
    type: str


_KNOWN = {message.__struct_config__.tag for message in messages.SERVER_MESSAGES}


def understood(data: str) -> ServerMessage | None:
    """A server's message; None for a type that is not known. RemoteProtocolError for what is none."""
    try:
        return messages.decode_server(data)
    except RemoteProtocolError:
        try:
            kind = msgspec.json.decode(data, type=_Typed).type
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            kind = ""
        if kind and kind not in _KNOWN:
            return None
        raise
