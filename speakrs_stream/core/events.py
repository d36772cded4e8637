"""What a live stream tells its listener.

A turn is shown as soon as it is heard, may change for a while, and then ends in exactly one `TurnFinal` or
`TurnRetracted`. `Watermark(until)` says that nothing before sample `until` will change any more: not an edge, not a
speaker. Only `SpeakerMerged` and `SpeakerNamed` may speak about it afterwards: two numbers were one person all along,
or a number has a name. Positions are samples at 16 kHz since the start of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from speakrs_stream.core.grid import Span


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """Somebody is heard: a turn that was not shown before."""

    turn: int
    """Number of the turn within the stream; 1 for the first, never used again."""
    revision: int
    """1; every later event of this turn has a larger one."""
    speaker: int
    """Number of the speaker within the stream; 1 for the first voice heard."""
    span: Span
    """Where it lies so far."""


@dataclass(frozen=True, slots=True)
class TurnRevised:
    """An edge of a turn moved; the speaker is the same. Also how a growing turn grows."""

    turn: int
    """Number of the turn."""
    revision: int
    """Larger than any before of this turn."""
    speaker: int
    """Whose turn it is, as before."""
    span: Span
    """Where it lies now."""


@dataclass(frozen=True, slots=True)
class TurnRelabelled:
    """A turn already shown turned out to be somebody else's."""

    turn: int
    """Number of the turn."""
    revision: int
    """Larger than any before of this turn."""
    was: int
    """Whose turn it was shown as."""
    speaker: int
    """Whose turn it is."""
    span: Span
    """Where it lies now."""


@dataclass(frozen=True, slots=True)
class TurnFinal:
    """A turn lies behind the watermark: edges and speaker are settled."""

    turn: int
    """Number of the turn."""
    revision: int
    """Larger than any before of this turn."""
    speaker: int
    """Whose turn it was."""
    span: Span
    """Where it lies, for good."""


@dataclass(frozen=True, slots=True)
class TurnRetracted:
    """A turn that was shown did not happen, or became part of another."""

    turn: int
    """Number of the turn."""
    revision: int
    """Larger than any before of this turn."""


@dataclass(frozen=True, slots=True)
class SpeakerCreated:
    """A new voice has a number; numbers are never reused."""

    speaker: int
    """Its number, 1, 2, 3 …"""
    at: int
    """Sample up to which the stream had been heard."""


@dataclass(frozen=True, slots=True)
class SpeakerMerged:
    """Two numbers are one person: read `into` wherever `speaker` stands, past and future."""

    speaker: int
    """The number that is given up."""
    into: int
    """The number that stays."""


@dataclass(frozen=True, slots=True)
class SpeakerSplit:
    """One number was two people; turns in front of the watermark are relabelled by the events that follow."""

    speaker: int
    """The number both had."""
    into: tuple[int, ...]
    """The numbers they have now; the first is `speaker` itself."""


@dataclass(frozen=True, slots=True)
class SpeakerNamed:
    """A number has a name: recognised from an enrolled voice, or given by the user."""

    speaker: int
    """The number."""
    name: str
    """What to show instead."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Nothing before `until` will change."""

    until: int
    """Sample; never smaller than in an earlier watermark."""
    processed: int
    """Sample up to which the stream has been heard and shown."""


TurnEvent: TypeAlias = TurnStarted | TurnRevised | TurnRelabelled | TurnFinal | TurnRetracted
SpeakerEvent: TypeAlias = SpeakerCreated | SpeakerMerged | SpeakerSplit | SpeakerNamed
Event: TypeAlias = TurnEvent | SpeakerEvent | Watermark
EVENTS: tuple[type[Event], ...] = (
    TurnStarted,
    TurnRevised,
    TurnRelabelled,
    TurnFinal,
    TurnRetracted,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerSplit,
    SpeakerNamed,
    Watermark,
)
