"""The messages of `speakrs.v1`: one JSON object per text frame, told apart by `type`.

Times are whole milliseconds of stream time, which the samples count. Speakers are `S1`, `S2` …, turns `t_0001` …; no
number is used twice in a session. Messages with `seq` are durable: they count up by one from 1 without a gap, and are
sent again after a resume. The others are passing and never sent again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

import msgspec
from msgspec import Meta, Struct

from speakrs_server.codes import RemoteProtocolError

PROTOCOL = "1.0"
SUBPROTOCOL = "speakrs.v1"
TOKEN_SUBPROTOCOL = "speakrs.auth."
MAX_MESSAGE = 65_536
"""Bytes of one message from a client at most."""

Ms = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Samples = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
SpeakerId = Annotated[str, Meta(pattern=r"^S[1-9][0-9]{0,8}$")]
AnySpeakerId = Annotated[str, Meta(pattern=r"^(S[1-9][0-9]{0,8}|UU)$")]
TurnId = Annotated[str, Meta(pattern=r"^t_[0-9A-HJKMNP-TV-Z]{4,13}$")]
SessionId = Annotated[str, Meta(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
ShortText = Annotated[str, Meta(min_length=1, max_length=200)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Token = Annotated[str, Meta(min_length=1, max_length=8_192)]
Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
Durability = Literal["none", "written", "synced"]


class _Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all messages have in common: unknown fields are ignored, absent ones have their default."""


# -- parts ---------------------------------------------------------------------------------------------------------


class AudioFormat(_Message, frozen=True, kw_only=True):
    """Sound as the client sends it; channels are averaged. framing: `header16` frames carry their position, `raw`
    ones are nothing but samples."""

    encoding: Encoding = "pcm_s16le"
    sample_rate: Annotated[int, Meta(ge=8_000, le=96_000)] = 16_000
    channels: Annotated[int, Meta(ge=1, le=8)] = 1
    framing: Literal["header16", "raw"] = "header16"


class SpeakerHint(_Message, frozen=True, kw_only=True):
    """What is known of the number of speakers; `count` for exactly so many."""

    count: Annotated[int, Meta(ge=1, le=100)] | None = None
    min: Annotated[int, Meta(ge=1, le=100)] | None = None
    max: Annotated[int, Meta(ge=1, le=100)] | None = None


class WordsOption(_Message, frozen=True, kw_only=True):
    """Whether words will be sent, and how long one waits for a label before it goes out as provisional."""

    enabled: bool = True
    max_wait_ms: Annotated[int, Meta(ge=0, le=120_000)] = 1_500


class Word(_Message, frozen=True, kw_only=True):
    """A word of the client's recognizer. `text` may be left out: nothing here needs it."""

    id: Id
    start_ms: Ms
    end_ms: Ms
    text: Annotated[str, Meta(max_length=200)] | None = None


class Share(_Message, frozen=True, kw_only=True):
    """Another speaker's share of a word, 0 to 1."""

    speaker: SpeakerId
    share: float


class LabelledWord(_Message, frozen=True, kw_only=True):
    """Who said a word: the speaker with the largest share of it; `UU` when nobody speaks within a quarter second."""

    id: Id
    speaker: AnySpeakerId
    share: float = 0.0
    also: tuple[Share, ...] = ()


class RelabelledWord(_Message, frozen=True, kw_only=True):
    """A word whose speaker turned out to be somebody else."""

    id: Id
    speaker: AnySpeakerId


class Resume(_Message, frozen=True, kw_only=True):
    """What to come back with after a lost connection, and for how long."""

    token: str
    window_s: int


class Limits(_Message, frozen=True, kw_only=True):
    """What a session may do."""

    max_frame_bytes: int
    max_frame_ms: int
    max_unacked_ms: int
    max_rate: float
    max_session_s: int
    idle_s: float


class Models(_Message, frozen=True, kw_only=True):
    """Which networks listen: name of the bundle and hash of its manifest."""

    bundle: str
    sha256: str


class OpenTurn(_Message, frozen=True, kw_only=True):
    """A turn that is shown and may still change."""

    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms


class KnownSpeaker(_Message, frozen=True, kw_only=True):
    """A speaker: its name if it has one, and the speaker it was merged into."""

    speaker: SpeakerId
    name: str | None = None
    merged_into: SpeakerId | None = None


class Airtime(_Message, frozen=True, kw_only=True):
    """How long a speaker of the live result spoke."""

    id: SpeakerId
    speech_ms: Ms
    name: str | None = None


class Results(_Message, frozen=True, kw_only=True):
    """Where the results are; put another suffix for another format."""

    live: str
    final: str


class Digests(_Message, frozen=True, kw_only=True):
    """SHA-256 of the audio as it was sent (without headers) and of both RTTM files."""

    audio: str
    live_rttm: str
    final_rttm: str


# -- client to server ------------------------------------------------------------------------------------------------


class SessionStart(_Message, frozen=True, kw_only=True, tag="session.start"):
    """Open a session. First message of an ingest connection, unless it resumes one.

    `token` where no header or subprotocol carries it. `mode` file: send as fast as acks allow. `max_delay_ms`: how
    long a turn may stay provisional. `durability`: what `audio.ack.durable` promises. `keep_audio` until_final deletes
    the sound once the result is there.
    """

    token: Token | None = None
    client: Annotated[str, Meta(max_length=200)] | None = None
    audio: AudioFormat = AudioFormat()
    mode: Literal["live", "file"] = "live"
    max_delay_ms: Annotated[int, Meta(ge=1_000, le=120_000)] | None = None
    provisional: bool = True
    provisional_interval_ms: Annotated[int, Meta(ge=0, le=10_000)] = 250
    speakers: SpeakerHint = SpeakerHint()
    durability: Durability | None = None
    keep_audio: Literal["until_final", "with_result"] = "until_final"
    resume_window_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    words: WordsOption = WordsOption(enabled=False)
    metadata: Annotated[dict[Id, ShortText], Meta(max_length=32)] = {}


class SessionResume(_Message, frozen=True, kw_only=True, tag="session.resume"):
    """Go on with a session over a new connection. `token` is the newest resume token, `last_seq` the last durable
    message that was received."""

    session: SessionId
    token: Token
    last_seq: Seq = 0


class SessionView(_Message, frozen=True, kw_only=True, tag="session.view"):
    """First message of a viewer that carries no token otherwise."""

    token: Token | None = None
    provisional: bool = True
    provisional_interval_ms: Annotated[int, Meta(ge=0, le=10_000)] = 250


class SpeakerRename(_Message, frozen=True, kw_only=True, tag="speaker.rename"):
    """Give a speaker a name."""

    speaker: SpeakerId
    name: ShortText


class SpeakerSame(_Message, frozen=True, kw_only=True, tag="speaker.same"):
    """Two numbers are one person: `speaker` is given up for `into`."""

    speaker: SpeakerId
    into: SpeakerId


class SpeakerDifferent(_Message, frozen=True, kw_only=True, tag="speaker.different"):
    """Two numbers are two people, whatever their voices seem to say."""

    first: SpeakerId
    second: SpeakerId


class TurnReject(_Message, frozen=True, kw_only=True, tag="turn.reject"):
    """A turn is not who it is shown as."""

    turn: TurnId


class SpeakersHint(_Message, frozen=True, kw_only=True, tag="speakers.hint"):
    """From now on there are so many speakers."""

    count: Annotated[int, Meta(ge=1, le=100)] | None = None
    min: Annotated[int, Meta(ge=1, le=100)] | None = None
    max: Annotated[int, Meta(ge=1, le=100)] | None = None


class WordsAdd(_Message, frozen=True, kw_only=True, tag="words.add"):
    """Words to be given speakers; `offset_ms` is added to their times."""

    batch: Id
    words: Annotated[tuple[Word, ...], Meta(max_length=500)]
    offset_ms: Ms = 0


class SessionShare(_Message, frozen=True, kw_only=True, tag="session.share"):
    """Ask for a token that lets others view this session."""


class SessionEnd(_Message, frozen=True, kw_only=True, tag="session.end"):
    """No more audio comes. `last_sample`: how much was sent in all, at the client's rate; checked where given."""

    last_sample: Samples | None = None


class Ping(_Message, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `pong`; also keeps a silent connection open."""

    id: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


Command: TypeAlias = SpeakerRename | SpeakerSame | SpeakerDifferent | TurnReject | SpeakersHint
ClientMessage: TypeAlias = (
    SessionStart | SessionResume | SessionView | Command | WordsAdd | SessionShare | SessionEnd | Ping
)

# -- server to client ------------------------------------------------------------------------------------------------


class SessionStarted(_Message, frozen=True, kw_only=True, tag="session.started"):
    """The session is open: send audio."""

    seq: Seq
    protocol: str
    session: SessionId
    server: str
    models: Models
    audio: AudioFormat
    max_delay_ms: int
    durability: Durability
    resume: Resume
    limits: Limits
    heartbeat_s: float


class SessionResumed(_Message, frozen=True, kw_only=True, tag="session.resumed"):
    """The session goes on: send audio from `next_sample`; durable messages from `replay_from` follow."""

    session: SessionId
    epoch: int
    next_sample: Samples
    replay_from: Seq
    resume: Resume


class Snapshot(_Message, frozen=True, kw_only=True, tag="snapshot"):
    """What is shown now, after everything up to durable message `as_of`."""

    as_of: Seq
    open_turns: tuple[OpenTurn, ...]
    speakers: tuple[KnownSpeaker, ...]
    final_until_ms: Ms
    processed_until_ms: Ms


class AudioAck(_Message, frozen=True, kw_only=True, tag="audio.ack"):
    """How far the audio is, in samples at the client's rate. What is below `durable` may be forgotten."""

    received: Samples
    durable: Samples
    processed: Samples


class TurnProvisional(_Message, frozen=True, kw_only=True, tag="turn.provisional"):
    """Somebody is heard; edges and speaker may change. `was`: the speaker it was shown as before."""

    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms
    was: SpeakerId | None = None


class TurnFinal(_Message, frozen=True, kw_only=True, tag="turn.final"):
    """A turn is settled. `latency_ms`: time between the end of the turn being received and this message."""

    seq: Seq
    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms
    latency_ms: int | None = None


class TurnRetracted(_Message, frozen=True, kw_only=True, tag="turn.retracted"):
    """A turn that was shown did not happen, or became part of another."""

    seq: Seq
    turn: TurnId
    rev: int


class WatermarkMoved(_Message, frozen=True, kw_only=True, tag="watermark"):
    """Nothing before `final_until_ms` will change."""

    seq: Seq
    final_until_ms: Ms
    processed_until_ms: Ms


class SpeakerCreated(_Message, frozen=True, kw_only=True, tag="speaker.created"):
    """A new voice has a number."""

    seq: Seq
    speaker: SpeakerId
    at_ms: Ms


class SpeakerMerged(_Message, frozen=True, kw_only=True, tag="speaker.merged"):
    """Two numbers are one person: read `into` wherever `speaker` stands, past and future."""

    seq: Seq
    speaker: SpeakerId
    into: SpeakerId


class SpeakerSplit(_Message, frozen=True, kw_only=True, tag="speaker.split"):
    """One number was two people; what is not final yet is shown anew by the messages that follow."""

    seq: Seq
    speaker: SpeakerId
    into: tuple[SpeakerId, ...]


class SpeakerNamed(_Message, frozen=True, kw_only=True, tag="speaker.named"):
    """A number has a name."""

    seq: Seq
    speaker: SpeakerId
    name: str


class WordsLabelled(_Message, frozen=True, kw_only=True, tag="words.labelled"):
    """Who said the words: durable, with `seq`, once they are settled; without it while they are provisional."""

    status: Literal["provisional", "final"]
    words: tuple[LabelledWord, ...]
    seq: Seq | None = None


class WordsRelabelled(_Message, frozen=True, kw_only=True, tag="words.relabelled"):
    """Words that were final and now belong to somebody else; `cause` is the message that says why."""

    seq: Seq
    words: tuple[RelabelledWord, ...]
    cause: Seq


class Flow(_Message, frozen=True, kw_only=True, tag="flow"):
    """How well the server keeps up: `slow` asks a client that can to send less at once."""

    state: Literal["ok", "slow"]
    lag_ms: Ms


class Warn(_Message, frozen=True, kw_only=True, tag="warning"):
    """Something a person should know; the session goes on."""

    code: str
    message: str


class SessionFinalizing(_Message, frozen=True, kw_only=True, tag="session.finalizing"):
    """All audio is there; the rest is being worked on."""

    seq: Seq
    left_ms: Ms


class SessionFinal(_Message, frozen=True, kw_only=True, tag="session.final"):
    """The end. `samples`: audio received, at the client's rate. `rttm` is the final result where it is short;
    `live_to_final` says which live speaker is which."""

    seq: Seq
    samples: Samples
    audio_ms: Ms
    speakers: tuple[Airtime, ...]
    live_to_final: dict[str, str]
    results: Results
    sha256: Digests
    rttm: str | None = None


class Heartbeat(_Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Sign of life. `t`: server's clock in milliseconds since 1970; `lag_ms`: received and not yet worked on."""

    t: Ms
    received_ms: Ms
    processed_ms: Ms
    lag_ms: Ms


class SessionShared(_Message, frozen=True, kw_only=True, tag="session.shared"):
    """Answer to `session.share`: a token for viewers of this session, good for nothing else and so many seconds; none
    where the server asks for none."""

    token: str | None = None
    expires_s: int | None = None


class Pong(_Message, frozen=True, kw_only=True, tag="pong"):
    """Answer to a `ping`."""

    id: int


class Error(_Message, frozen=True, kw_only=True, tag="error"):
    """Something is refused. `fatal`: the connection is closed next. `ref`: type of the message it is about."""

    code: str
    message: str
    fatal: bool
    retryable: bool
    ref: str | None = None
    retry_after_ms: int | None = None


DurableMessage: TypeAlias = (
    SessionStarted
    | TurnFinal
    | TurnRetracted
    | WatermarkMoved
    | SpeakerCreated
    | SpeakerMerged
    | SpeakerSplit
    | SpeakerNamed
    | WordsLabelled
    | WordsRelabelled
    | SessionFinalizing
    | SessionFinal
)
PassingMessage: TypeAlias = (
    SessionResumed | Snapshot | AudioAck | TurnProvisional | Flow | Warn | Heartbeat | SessionShared | Pong | Error
)
ServerMessage: TypeAlias = DurableMessage | PassingMessage

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
