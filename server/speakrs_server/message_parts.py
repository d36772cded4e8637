"""What messages are made of: numbers and names with their limits, and the parts that several messages share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

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
Channel = Annotated[int, Meta(ge=1, le=8)]
Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
Durability = Literal["none", "written", "synced"]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all messages have in common: unknown fields are ignored, absent ones have their default."""


class AudioFormat(Message, frozen=True, kw_only=True):
    """Sound as the client sends it. framing: `header16` frames carry their position, `raw` ones are nothing but
    samples. channel_mode: `mix` averages channels, `separate` hears each with speakers of its own."""

    encoding: Encoding = "pcm_s16le"
    sample_rate: Annotated[int, Meta(ge=8_000, le=96_000)] = 16_000
    channels: Annotated[int, Meta(ge=1, le=8)] = 1
    framing: Literal["header16", "raw"] = "header16"
    channel_mode: Literal["mix", "separate"] = "mix"


class KnownVoice(Message, frozen=True, kw_only=True):
    """A voice that the server's voice store has, as `enrolment`, and what to call whoever sounds like it."""

    enrolment: ShortText
    name: ShortText | None = None


class SpeakerHint(Message, frozen=True, kw_only=True):
    """What is known of the speakers: how many (`count` for exactly so many; of each channel, where they are heard
    apart), and voices that are to be recognised."""

    count: Annotated[int, Meta(ge=1, le=100)] | None = None
    min: Annotated[int, Meta(ge=1, le=100)] | None = None
    max: Annotated[int, Meta(ge=1, le=100)] | None = None
    known: Annotated[tuple[KnownVoice, ...], Meta(max_length=100)] = ()


class WordsOption(Message, frozen=True, kw_only=True):
    """Whether there will be words, whose recognizer they come from, and how long one waits for a label before it goes
    out as provisional. `source` server: the server listens for words itself, where it has captions."""

    enabled: bool = True
    source: Literal["client", "server"] = "client"
    max_wait_ms: Annotated[int, Meta(ge=0, le=120_000)] = 1_500


class Word(Message, frozen=True, kw_only=True):
    """A word of the client's recognizer. `text` may be left out: labels do not need it; results have no words then."""

    id: Id
    start_ms: Ms
    end_ms: Ms
    text: Annotated[str, Meta(max_length=200)] | None = None


class Share(Message, frozen=True, kw_only=True):
    """Another speaker's share of a word, 0 to 1."""

    speaker: SpeakerId
    share: float


class LabelledWord(Message, frozen=True, kw_only=True):
    """Who said a word: the speaker who has the floor longest in it; `UU` when nobody speaks within a quarter second.
    `share` is that part of it, `also` the others who speak in it. Times, offset included, and text are as they came."""

    id: Id
    speaker: AnySpeakerId
    start_ms: Ms | None = None
    end_ms: Ms | None = None
    text: Annotated[str, Meta(max_length=200)] | None = None
    share: float = 0.0
    also: tuple[Share, ...] = ()


class RelabelledWord(Message, frozen=True, kw_only=True):
    """A word whose speaker turned out to be somebody else."""

    id: Id
    speaker: AnySpeakerId


class Resume(Message, frozen=True, kw_only=True):
    """What to come back with after a lost connection, and for how long."""

    token: str
    window_s: int


class Limits(Message, frozen=True, kw_only=True):
    """What a session may do."""

    max_frame_bytes: int
    max_frame_ms: int
    max_unacked_ms: int
    max_rate: float
    max_session_s: int
    idle_s: float


class Models(Message, frozen=True, kw_only=True):
    """Which networks listen: name of the bundle and hash of its manifest."""

    bundle: str
    sha256: str


class OpenTurn(Message, frozen=True, kw_only=True):
    """A turn that is shown and may still change; `channel`, from 1, where channels are heard apart."""

    turn: TurnId
    rev: int
    speaker: SpeakerId
    start_ms: Ms
    end_ms: Ms
    channel: Channel | None = None


class KnownSpeaker(Message, frozen=True, kw_only=True):
    """A speaker: its name if it has one, and the speaker it was merged into."""

    speaker: SpeakerId
    name: str | None = None
    merged_into: SpeakerId | None = None
    channel: Channel | None = None


class Airtime(Message, frozen=True, kw_only=True):
    """How long a speaker of the live result spoke."""

    id: SpeakerId
    speech_ms: Ms
    name: str | None = None
    channel: Channel | None = None


class Results(Message, frozen=True, kw_only=True):
    """Where the results are; put another suffix for another format."""

    live: str
    final: str


class Digests(Message, frozen=True, kw_only=True):
    """SHA-256 of the audio as it was sent (without headers) and of both RTTM files."""

    audio: str
    live_rttm: str
    final_rttm: str
