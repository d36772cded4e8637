"""Messages of a server as events of the library, and the state they lead to, for everything that shows streams.

So screens, lines and JSON are the same for a stream in this process and one on a server. Milliseconds become samples.
"""

from __future__ import annotations

from types import MappingProxyType

from speakrs_clients.reducer import Reducer, Turn
from speakrs_server import messages
from speakrs_server.identifiers import speaker_number, turn_number
from speakrs_server.messages import KnownSpeaker, OpenTurn, ServerMessage
from speakrs_stream.core import events
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import LiveSpeaker, LiveTurn, StreamState

PER_MS = SAMPLE_RATE // 1000


class Mirror:
    """What a server's messages say, in the library's own words."""

    def __init__(self) -> None:
        self.reducer = Reducer()
        """The fold of the messages themselves."""
        self._turns: dict[int, LiveTurn] = {}
        self._speakers: dict[int, LiveSpeaker] = {}
        self._last = 0

    @property
    def state(self) -> StreamState:
        """What is shown now."""
        return StreamState(
            MappingProxyType(dict(self._turns)),
            MappingProxyType(dict(self._speakers)),
            self.reducer.final_until_ms * PER_MS,
            self.reducer.processed_until_ms * PER_MS,
            self._last,
        )

    def push(self, message: ServerMessage) -> list[Event]:
        """Apply a message; the events it stands for. SessionError where a message in front of it is missing."""
        before = dict(self.reducer.open) if isinstance(message, messages.Snapshot) else self.reducer.open
        known = before.get(getattr(message, "turn", ""))
        if not self.reducer.push(message):
            return []
        match message:
            case messages.TurnProvisional():
                return [self._shown(self.reducer.open[message.turn], known)]
            case messages.TurnFinal():
                turn = self._show(self.reducer.final[message.turn], final=True)
                return [events.TurnFinal(turn.turn, turn.revision, turn.speaker, turn.span)]
            case messages.TurnRetracted():
                number = turn_number(message.turn)
                shown = self._turns.pop(number, None) is not None
                return [events.TurnRetracted(number, message.rev)] if shown else []
            case messages.Snapshot():
                return self._replaced(message, before)
            case messages.WatermarkMoved():
                until, processed = message.final_until_ms * PER_MS, message.processed_until_ms * PER_MS
                return [events.Watermark(until, processed)]
            case messages.SpeakerCreated() | messages.SpeakerMerged() | messages.SpeakerNamed():
                self._know(self.reducer.speakers[message.speaker])
        return _about_speakers(message)

    def _shown(self, turn: Turn | OpenTurn, known: Turn | None) -> Event:
        live = self._show(turn, final=False)
        if known is None:
            return events.TurnStarted(live.turn, live.revision, live.speaker, live.span)
        was = speaker_number(known.speaker)
        if was == live.speaker:
            return events.TurnRevised(live.turn, live.revision, live.speaker, live.span)
        return events.TurnRelabelled(live.turn, live.revision, was, live.speaker, live.span)

    def _show(self, turn: Turn, *, final: bool) -> LiveTurn:
        number, span = turn_number(turn.turn), Span(turn.start_ms * PER_MS, turn.end_ms * PER_MS)
        live = LiveTurn(number, turn.rev, speaker_number(turn.speaker), span, final)
        self._turns[number] = live
        self._last = max(self._last, number)
        return live

    def _replaced(self, snapshot: messages.Snapshot, before: dict[str, Turn]) -> list[Event]:
        for known in self.reducer.speakers.values():
            self._know(known)
        now = self.reducer.open
        for name in before.keys() - now.keys():
            self._turns.pop(turn_number(name), None)
        changed = [turn for turn in now.values() if turn != before.get(turn.turn)]
        marks = events.Watermark(self.reducer.final_until_ms * PER_MS, self.reducer.processed_until_ms * PER_MS)
        return [*(self._shown(turn, before.get(turn.turn)) for turn in changed), marks]

    def _know(self, known: KnownSpeaker) -> None:
        number = speaker_number(known.speaker)
        into = None if known.merged_into is None else speaker_number(known.merged_into)
        self._speakers[number] = LiveSpeaker(number, known.name, into)


def _about_speakers(message: ServerMessage) -> list[Event]:
    match message:
        case messages.SpeakerCreated():
            return [events.SpeakerCreated(speaker_number(message.speaker), message.at_ms * PER_MS)]
        case messages.SpeakerMerged():
            return [events.SpeakerMerged(speaker_number(message.speaker), speaker_number(message.into))]
        case messages.SpeakerNamed():
            return [events.SpeakerNamed(speaker_number(message.speaker), message.name)]
        case messages.SpeakerSplit():
            into = tuple(speaker_number(speaker) for speaker in message.into)
            return [events.SpeakerSplit(speaker_number(message.speaker), into)]
    return []
