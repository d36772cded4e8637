"""Folding events into what is shown: anybody who applies the same events sees the same turns.

`fold(fold(state, first), rest)` equals `fold(state, first + rest)` for every way of cutting an event list in two. An
event that cannot follow from the state before it is our own bug or a lost message, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, assert_never

from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.errors import SessionError


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """A turn as shown now."""

    turn: int
    """Its number."""
    revision: int
    """Of the last event about it."""
    speaker: int
    """Number given in that event; `StreamState.who` follows merges."""
    span: Span
    """Where it lies."""
    final: bool
    """Whether it can still change."""


@dataclass(frozen=True, slots=True)
class LiveSpeaker:
    """A speaker as known now."""

    speaker: int
    """The number."""
    name: str | None = None
    """What to show instead of the number."""
    merged_into: int | None = None
    """The number that took its place."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """Everything a listener knows after the events so far."""

    turns: Mapping[int, LiveTurn] = field(default_factory=lambda: MappingProxyType({}))
    """By number; retracted ones are gone."""
    speakers: Mapping[int, LiveSpeaker] = field(default_factory=lambda: MappingProxyType({}))
    """By number; merged ones stay, with the number they merged into."""
    watermark: int = 0
    """Sample before which nothing changes."""
    processed: int = 0
    """Sample up to which the stream was heard."""
    last_turn: int = 0
    """Largest turn number ever shown."""

    def who(self, speaker: int) -> int:
        """The number that stands for `speaker` after all merges."""
        while (entry := self.speakers.get(speaker)) is not None and entry.merged_into is not None:
            speaker = entry.merged_into
        return speaker

    def label(self, speaker: int) -> str:
        """What to show: the name where there is one, else S1, S2 …"""
        speaker = self.who(speaker)
        entry = self.speakers.get(speaker)
        return entry.name if entry is not None and entry.name else f"S{speaker}"


FINAL_DISORDER = 130 * SAMPLE_RATE
"""Samples by which the end of a turn may come before that of one that became final earlier: the longest `max_delay`
and a window."""


class Reducer:
    """The same fold for a long event stream: constant time per event; `state` gives a value at any moment."""

    def __init__(self, state: StreamState | None = None) -> None:
        state = state or StreamState()
        self._turns = dict(state.turns)
        self._open = {number: turn for number, turn in self._turns.items() if not turn.final}
        self._final = sorted(self._turns.keys() - self._open.keys(), key=lambda number: self._turns[number].span.end)
        self._speakers = dict(state.speakers)
        self._watermark, self._processed = state.watermark, state.processed
        self._last_turn = state.last_turn

    @property
    def state(self) -> StreamState:
        """What is shown now."""
        return StreamState(
            MappingProxyType(dict(self._turns)),
            MappingProxyType(dict(self._speakers)),
            self._watermark,
            self._processed,
            self._last_turn,
        )

    @property
    def watermark(self) -> int:
        """Sample before which nothing changes."""
        return self._watermark

    @property
    def processed(self) -> int:
        """Sample up to which the stream was heard."""
        return self._processed

    def turn(self, number: int) -> LiveTurn | None:
        """A turn as shown now; None where it was never shown or was retracted."""
        return self._turns.get(number)

    def latest(self, since: int = 0) -> list[tuple[LiveTurn, int]]:
        """Turns shown now that end after sample `since`, with the number that stands for their speaker after merges."""
        who = {number: self._who(number) for number in self._speakers}
        found = [turn for turn in self._open.values() if turn.span.end > since]
        for number in reversed(self._final):  # in the order they became final, which is nearly that of their ends
            turn = self._turns[number]
            if turn.span.end <= since - FINAL_DISORDER:
                break
            if turn.span.end > since:
                found.append(turn)
        return [(turn, who[turn.speaker]) for turn in found]

    def living(self) -> int:
        """How many speakers there are now, merged ones not counted."""
        return sum(speaker.merged_into is None for speaker in self._speakers.values())

    def _who(self, number: int) -> int:
        while (into := self._speakers[number].merged_into) is not None:
            number = into
        return number

    def plain(self) -> dict[str, Any]:
        """Plain values for a snapshot."""
        turns = [[t.turn, t.revision, t.speaker, t.span.start, t.span.end, t.final] for t in self._turns.values()]
        speakers = [[s.speaker, s.name, s.merged_into] for s in self._speakers.values()]
        marks = [self._watermark, self._processed, self._last_turn]
        return {"turns": turns, "speakers": speakers, "marks": marks}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Reducer:
        """The reducer `plain` was made from."""
        turns = {t: LiveTurn(t, r, s, Span(a, b), final) for t, r, s, a, b, final in plain["turns"]}
        speakers = {number: LiveSpeaker(number, name, into) for number, name, into in plain["speakers"]}
        return cls(StreamState(turns, speakers, *plain["marks"]))

    def push(self, event: Event) -> None:
        """Apply one event; SessionError where it contradicts what came before."""
        match event:
            case TurnStarted():
                self._start(event)
            case TurnRevised() | TurnRelabelled():
                turn = self._movable(event.turn, event.revision)
                before = event.was if isinstance(event, TurnRelabelled) else event.speaker
                if before != turn.speaker:
                    raise SessionError(f"turn {event.turn} was shown as speaker {turn.speaker}, not {before}")
                self._speaker(event.speaker)
                self._show(LiveTurn(event.turn, event.revision, event.speaker, event.span, False))
            case TurnFinal():
                self._movable(event.turn, event.revision)
                self._speaker(event.speaker)
                self._turns[event.turn] = LiveTurn(event.turn, event.revision, event.speaker, event.span, True)
                self._final.append(event.turn)
                del self._open[event.turn]
            case TurnRetracted():
                self._movable(event.turn, event.revision)
                del self._turns[event.turn], self._open[event.turn]
            case SpeakerCreated():
                if event.speaker in self._speakers:
                    raise SessionError(f"speaker {event.speaker} was created before")
                self._speakers[event.speaker] = LiveSpeaker(event.speaker)
            case SpeakerMerged():
                self._merge(event)
            case SpeakerNamed():
                self._speakers[event.speaker] = replace(self._speaker(event.speaker), name=event.name)
            case SpeakerSplit():
                self._speaker(event.speaker)
            case Watermark():
                if event.until < self._watermark or event.processed < self._processed:
                    raise SessionError("a watermark moved backwards")
                self._watermark, self._processed = event.until, event.processed
            case _:
                assert_never(event)

    def _start(self, event: TurnStarted) -> None:
        if event.turn <= self._last_turn:
            raise SessionError(f"turn number {event.turn} was used before")
        self._speaker(event.speaker)
        self._last_turn = event.turn
        self._show(LiveTurn(event.turn, event.revision, event.speaker, event.span, False))

    def _show(self, turn: LiveTurn) -> None:
        self._turns[turn.turn] = self._open[turn.turn] = turn

    def _merge(self, event: SpeakerMerged) -> None:
        known = self._speaker(event.speaker)
        self._speaker(event.into)
        if known.merged_into is not None or self._who(event.into) == event.speaker:
            raise SessionError(f"speaker {event.speaker} cannot be merged into {event.into}: it is merged already")
        self._speakers[event.speaker] = replace(known, merged_into=event.into)

    def _movable(self, turn: int, revision: int) -> LiveTurn:
        known = self._turns.get(turn)
        if known is None or known.final:
            raise SessionError(f"turn {turn} cannot change: it is final, retracted or was never shown")
        if revision <= known.revision:
            raise SessionError(f"turn {turn} went from revision {known.revision} to {revision}")
        return known

    def _speaker(self, speaker: int) -> LiveSpeaker:
        known = self._speakers.get(speaker)
        if known is None:
            raise SessionError(f"speaker {speaker} was never created")
        return known


def fold(state: StreamState, events: Iterable[Event]) -> StreamState:
    """The state after `events`."""
    reducer = Reducer(state)
    for event in events:
        reducer.push(event)
    return reducer.state
