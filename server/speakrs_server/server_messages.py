"""What a server may say."""

from __future__ import annotations

from typing import Literal, TypeAlias

from speakrs_server.message_parts import (
    Airtime,
    AudioFormat,
    Channel,
    Digests,
    Durability,
    Id,
    KnownSpeaker,
    LabelledWord,
    Limits,
    Message,
    Models,
    Ms,
    OpenTurn,
    RelabelledWord,
    Results,
    Resume,
    Samples,
    Seq,
    SessionId,
    SpeakerId,
    TurnId,
)


class SessionStarted(Message, frozen=True, kw_only=True, tag="session.started"):
    """The session is open: send audio. `captions`: which recognizer of the server listens for words, if one does."""

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
    captions: str | None = None


class SessionResumed(Message, frozen=True, kw_only=True, tag="session.resumed"):
    """The session goes on: send audio from `next_sample`; durable messages from `replay_from` follow."""

    session: SessionId
    epoch: int
    next_sample: Samples
    replay_from: Seq
    resume: Resume


class Snapshot(Message, frozen=True, kw_only=True, tag="snapshot"):
    """What is shown now, after everything up to durable message `as_of`."""

    as_of: Seq
    open_turns: tuple[OpenTurn, ...]
    speakers: tuple[KnownSpeaker, ...]
    final_until_ms: Ms
    processed_until_ms: Ms


class AudioAck(Message, frozen=True, kw_only=True, tag="audio.ack"):
    """How far the audio is, in samples at the client's rate. What is below `durable` may be forgotten."""

    received: Samples
    durable: Samples
    processed: Samples


class TurnProvisional(Message, frozen=True, kw_only=True, tag="turn.provisional"):
    """Somebody is heard; edges and speaker may change. `was`: the speaker it was shown as before. `channel`, from 1,
    where channels are heard apart."""

    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms
    was: SpeakerId | None = None
    channel: Channel | None = None


class TurnFinal(Message, frozen=True, kw_only=True, tag="turn.final"):
    """A turn is settled. `latency_ms`: time between the end of the turn being received and this message."""

    seq: Seq
    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms
    latency_ms: int | None = None
    channel: Channel | None = None


class TurnRetracted(Message, frozen=True, kw_only=True, tag="turn.retracted"):
    """A turn that was shown did not happen, or became part of another."""

    seq: Seq
    turn: TurnId
    rev: int


class WatermarkMoved(Message, frozen=True, kw_only=True, tag="watermark"):
    """Nothing before `final_until_ms` will change."""

    seq: Seq
    final_until_ms: Ms
    processed_until_ms: Ms


class SpeakerCreated(Message, frozen=True, kw_only=True, tag="speaker.created"):
    """A new voice has a number."""

    seq: Seq
    speaker: SpeakerId
    at_ms: Ms
    channel: Channel | None = None


class SpeakerMerged(Message, frozen=True, kw_only=True, tag="speaker.merged"):
    """Two numbers are one person: read `into` wherever `speaker` stands, past and future."""

    seq: Seq
    speaker: SpeakerId
    into: SpeakerId


class SpeakerSplit(Message, frozen=True, kw_only=True, tag="speaker.split"):
    """One number was two people; what is not final yet is shown anew by the messages that follow."""

    seq: Seq
    speaker: SpeakerId
    into: tuple[SpeakerId, ...]


class SpeakerNamed(Message, frozen=True, kw_only=True, tag="speaker.named"):
    """A number has a name."""

    seq: Seq
    speaker: SpeakerId
    name: str


class SpeakerIdentified(Message, frozen=True, kw_only=True, tag="speaker.identified"):
    """A speaker sounds like a voice that the client named at the start; `speaker.named` goes before it."""

    seq: Seq
    speaker: SpeakerId
    name: str
    enrolment: str


class WordsLabelled(Message, frozen=True, kw_only=True, tag="words.labelled"):
    """Who said the words of a batch. `final`: durable, with `seq`, once they are settled. `provisional`: without it;
    all words of the batch that are shown and not final, in place of those that were provisional before."""

    status: Literal["provisional", "final"]
    words: tuple[LabelledWord, ...]
    batch: Id | None = None
    seq: Seq | None = None


class WordsRelabelled(Message, frozen=True, kw_only=True, tag="words.relabelled"):
    """Words that were final and now belong to somebody else; `cause` is the message that says why."""

    seq: Seq
    words: tuple[RelabelledWord, ...]
    cause: Seq


class Flow(Message, frozen=True, kw_only=True, tag="flow"):
    """How well the server keeps up: `slow` asks a client that can to send less at once."""

    state: Literal["ok", "slow"]
    lag_ms: Ms


class Warn(Message, frozen=True, kw_only=True, tag="warning"):
    """Something a person should know; the session goes on."""

    code: str
    message: str


class SessionFinalizing(Message, frozen=True, kw_only=True, tag="session.finalizing"):
    """All audio is there; the rest is being worked on."""

    seq: Seq
    left_ms: Ms


class SessionFinal(Message, frozen=True, kw_only=True, tag="session.final"):
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


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Sign of life. `t`: server's clock in milliseconds since 1970; `lag_ms`: received and not yet worked on."""

    t: Ms
    received_ms: Ms
    processed_ms: Ms
    lag_ms: Ms


class SessionShared(Message, frozen=True, kw_only=True, tag="session.shared"):
    """Answer to `session.share`: a token for viewers of this session, good for nothing else and so many seconds; none
    where the server asks for none."""

    token: str | None = None
    expires_s: int | None = None


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """Answer to a `ping`."""

    id: int


class Error(Message, frozen=True, kw_only=True, tag="error"):
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
    | SpeakerIdentified
    | WordsLabelled
    | WordsRelabelled
    | SessionFinalizing
    | SessionFinal
)
PassingMessage: TypeAlias = (
    SessionResumed | Snapshot | AudioAck | TurnProvisional | Flow | Warn | Heartbeat | SessionShared | Pong | Error
)
ServerMessage: TypeAlias = DurableMessage | PassingMessage
