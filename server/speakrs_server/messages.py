"""The messages of `speakrs.v1`: one JSON object per text frame, told apart by `type`.

Times are whole milliseconds of stream time, which the samples count. Speakers are `S1`, `S2` …, turns `t_0001` …; no
number is used twice in a session. Messages with `seq` are durable: they count up by one from 1 without a gap, and are
sent again after a resume. The others are passing and never sent again.
"""

from __future__ import annotations

from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from speakrs_server.client_messages import (
    ClientMessage,
    Command,
    Flush,
    Ping,
    SessionEnd,
    SessionResume,
    SessionShare,
    SessionStart,
    SessionView,
    SpeakerDifferent,
    SpeakerRename,
    SpeakerSame,
    SpeakersHint,
    TurnReject,
    WordsAdd,
)
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.message_parts import (
    Airtime,
    AnySpeakerId,
    AudioFormat,
    Channel,
    Digests,
    Durability,
    Encoding,
    Id,
    KnownSpeaker,
    KnownVoice,
    LabelledWord,
    Limits,
    Models,
    Ms,
    OpenTurn,
    RelabelledWord,
    Results,
    Resume,
    Samples,
    Seq,
    SessionId,
    Share,
    ShortText,
    SpeakerHint,
    SpeakerId,
    Token,
    TurnId,
    Word,
    WordsOption,
)
from speakrs_server.server_messages import (
    AudioAck,
    DurableMessage,
    Error,
    Flow,
    Heartbeat,
    PassingMessage,
    Pong,
    ServerMessage,
    SessionFinal,
    SessionFinalizing,
    SessionResumed,
    SessionShared,
    SessionStarted,
    Snapshot,
    SpeakerCreated,
    SpeakerIdentified,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnFinal,
    TurnProvisional,
    TurnRetracted,
    Warn,
    WatermarkMoved,
    WordsLabelled,
    WordsRelabelled,
)

__all__ = [
    "CLIENT_MESSAGES",
    "MAX_MESSAGE",
    "PROTOCOL",
    "SERVER_MESSAGES",
    "SUBPROTOCOL",
    "TOKEN_SUBPROTOCOL",
    "Airtime",
    "AnySpeakerId",
    "AudioAck",
    "AudioFormat",
    "Channel",
    "ClientMessage",
    "Command",
    "Digests",
    "Durability",
    "DurableMessage",
    "Encoding",
    "Error",
    "Flow",
    "Flush",
    "Heartbeat",
    "Id",
    "KnownSpeaker",
    "KnownVoice",
    "LabelledWord",
    "Limits",
    "Models",
    "Ms",
    "OpenTurn",
    "PassingMessage",
    "Ping",
    "Pong",
    "RelabelledWord",
    "Results",
    "Resume",
    "Samples",
    "Seq",
    "ServerMessage",
    "SessionEnd",
    "SessionFinal",
    "SessionFinalizing",
    "SessionId",
    "SessionResume",
    "SessionResumed",
    "SessionShare",
    "SessionShared",
    "SessionStart",
    "SessionStarted",
    "SessionView",
    "Share",
    "ShortText",
    "Snapshot",
    "SpeakerCreated",
    "SpeakerDifferent",
    "SpeakerHint",
    "SpeakerId",
    "SpeakerIdentified",
    "SpeakerMerged",
    "SpeakerNamed",
    "SpeakerRename",
    "SpeakerSame",
    "SpeakerSplit",
    "SpeakersHint",
    "Token",
    "TurnFinal",
    "TurnId",
    "TurnProvisional",
    "TurnReject",
    "TurnRetracted",
    "Warn",
    "WatermarkMoved",
    "Word",
    "WordsAdd",
    "WordsLabelled",
    "WordsOption",
    "WordsRelabelled",
    "decode_client",
    "decode_server",
    "encode",
    "for_viewers",
    "plain",
    "type_of",
]

PROTOCOL = "1.0"
SUBPROTOCOL = "speakrs.v1"
TOKEN_SUBPROTOCOL = "speakrs.auth."
MAX_MESSAGE = 65_536
"""Bytes of one message from a client at most."""

CLIENT_MESSAGES: tuple[type[Struct], ...] = (*get_args(ClientMessage),)
SERVER_MESSAGES: tuple[type[Struct], ...] = (*get_args(ServerMessage),)

_client = msgspec.json.Decoder(ClientMessage)
_server = msgspec.json.Decoder(ServerMessage)
_encoder = msgspec.json.Encoder()


def encode(message: Struct) -> bytes:
    """A message as JSON."""
    return _encoder.encode(message)


def for_viewers(data: bytes) -> bytes:
    """An encoded message as viewers may read it: without the token that would let them take the session over."""
    if b'"session.started"' not in data[:40]:
        return data
    started = decode_server(data)
    assert isinstance(started, SessionStarted)
    return encode(msgspec.structs.replace(started, resume=Resume(token="", window_s=started.resume.window_s)))


def type_of(message: Struct) -> str:
    """The `type` of a message."""
    return str(message.__struct_config__.tag)


def decode_client(data: bytes | str) -> ClientMessage:
    """A client's message; RemoteProtocolError for anything else.

    A type that is not known is refused without ending the conversation, so that newer clients can speak to us.
    """
    if len(data) > MAX_MESSAGE:
        raise RemoteProtocolError("bad_message", f"a message has at most {MAX_MESSAGE} bytes")
    try:
        return cast(ClientMessage, _client.decode(data))
    except msgspec.ValidationError as error:
        fatal = not _is_unknown_type(data)
        raise RemoteProtocolError("bad_message", f"not a message of {SUBPROTOCOL}: {error}", fatal=fatal) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError("bad_message", f"not JSON: {str(error)[:200]}") from None


def decode_server(data: bytes | str) -> ServerMessage:
    """A server's message, for clients; RemoteProtocolError for anything else."""
    try:
        return cast(ServerMessage, _server.decode(data))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError("bad_message", f"not a message of {SUBPROTOCOL}: {str(error)[:200]}") from None


def _is_unknown_type(data: bytes | str) -> bool:
    class Typed(Struct):
        type: str

    try:
        kind = msgspec.json.decode(data, type=Typed).type
    except (msgspec.DecodeError, RecursionError):
        return False
    return kind not in {message.__struct_config__.tag for message in CLIENT_MESSAGES}


def plain(message: Struct) -> dict[str, Any]:
    """A message as plain values, for tests and logs."""
    value = msgspec.to_builtins(message)
    assert isinstance(value, dict)
    return value
