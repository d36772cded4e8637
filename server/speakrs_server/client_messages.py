"""What a client may say."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from speakrs_server.message_parts import (
    AudioFormat,
    Durability,
    Id,
    Message,
    Ms,
    Samples,
    Seq,
    SessionId,
    ShortText,
    SpeakerHint,
    SpeakerId,
    Token,
    TurnId,
    Word,
    WordsOption,
)


class SessionStart(Message, frozen=True, kw_only=True, tag="session.start"):
    """Open a session. First message of an ingest connection, unless it resumes one.

    `token` where no header or subprotocol carries it. `mode` file: send as fast as acks allow. `max_delay_ms`: within
    which a turn is final. `revisions`: `labels` lets a final turn get another speaker when two turn out to
    be one, with `none` it keeps the one it has. `turns`: `exclusive` for one speaker at a time. `durability`: what
    `audio.ack.durable` promises. `keep_audio` until_final deletes the sound once the result is there. Without `words` a
    server with captions listens for them.
    """

    token: Token | None = None
    client: Annotated[str, Meta(max_length=200)] | None = None
    audio: AudioFormat = AudioFormat()
    mode: Literal["live", "file"] = "live"
    max_delay_ms: Annotated[int, Meta(ge=1_000, le=120_000)] | None = None
    provisional: bool = True
    provisional_interval_ms: Annotated[int, Meta(ge=0, le=10_000)] = 250
    revisions: Literal["labels", "none"] = "labels"
    turns: Literal["overlapping", "exclusive"] = "overlapping"
    speakers: SpeakerHint = SpeakerHint()
    durability: Durability | None = None
    keep_audio: Literal["until_final", "with_result"] = "until_final"
    resume_window_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    words: WordsOption | None = None
    metadata: Annotated[dict[Id, ShortText], Meta(max_length=32)] = {}  # noqa: RUF012 - msgspec copies it


class SessionResume(Message, frozen=True, kw_only=True, tag="session.resume"):
    """Go on with a session over a new connection. `token` is the newest resume token, `last_seq` the last durable
    message that was received."""

    session: SessionId
    token: Token
    last_seq: Seq = 0


class SessionView(Message, frozen=True, kw_only=True, tag="session.view"):
    """First message of a viewer that carries no token otherwise. `provisional`: turns and words that may change too."""

    token: Token | None = None
    provisional: bool = True
    provisional_interval_ms: Annotated[int, Meta(ge=0, le=10_000)] = 250


class SpeakerRename(Message, frozen=True, kw_only=True, tag="speaker.rename"):
    """Give a speaker a name."""

    speaker: SpeakerId
    name: ShortText


class SpeakerSame(Message, frozen=True, kw_only=True, tag="speaker.same"):
    """Two numbers are one person: `speaker` is given up for `into`."""

    speaker: SpeakerId
    into: SpeakerId


class SpeakerDifferent(Message, frozen=True, kw_only=True, tag="speaker.different"):
    """Two numbers are two people, whatever their voices seem to say."""

    first: SpeakerId
    second: SpeakerId


class TurnReject(Message, frozen=True, kw_only=True, tag="turn.reject"):
    """A turn is not who it is shown as."""

    turn: TurnId


class SpeakersHint(Message, frozen=True, kw_only=True, tag="speakers.hint"):
    """From now on there are so many speakers."""

    count: Annotated[int, Meta(ge=1, le=100)] | None = None
    min: Annotated[int, Meta(ge=1, le=100)] | None = None
    max: Annotated[int, Meta(ge=1, le=100)] | None = None


class Flush(Message, frozen=True, kw_only=True, tag="flush"):
    """Make everything heard up to here final at once, and go on."""


class WordsAdd(Message, frozen=True, kw_only=True, tag="words.add"):
    """Words to be given speakers; `offset_ms` is added to their times. `batch` names an utterance or a result of the
    recognizer. `final` false: they may still change; the next message of the same batch takes their place."""

    batch: Id
    words: Annotated[tuple[Word, ...], Meta(max_length=500)]
    offset_ms: Ms = 0
    final: bool = True


class SessionShare(Message, frozen=True, kw_only=True, tag="session.share"):
    """Ask for a token that lets others view this session."""


class SessionEnd(Message, frozen=True, kw_only=True, tag="session.end"):
    """No more audio comes. `last_sample`: how much was sent in all, at the client's rate; checked where given."""

    last_sample: Samples | None = None


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `pong`; also keeps a silent connection open."""

    id: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


Command: TypeAlias = SpeakerRename | SpeakerSame | SpeakerDifferent | TurnReject | SpeakersHint | Flush
ClientMessage: TypeAlias = (
    SessionStart | SessionResume | SessionView | Command | WordsAdd | SessionShare | SessionEnd | Ping
)
