"""What a listener knows after the messages so far: the same fold for snapshots, live results and words."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from msgspec.structs import replace

from speakrs_server import messages
from speakrs_server.identifiers import speaker_number
from speakrs_server.messages import Airtime, KnownSpeaker, OpenTurn, ServerMessage, Snapshot
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, Speaker, Turn

PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True, order=True)
class Settled:
    """A final turn."""

    end_ms: int
    """One past its last millisecond."""
    start_ms: int
    """Its first millisecond."""
    speaker: str
    """Whose it was when it was told; merges are followed later."""


class Board:
    """The fold. Messages must come in order."""

    def __init__(self) -> None:
        self.final_until_ms = 0
        """Nothing before this changes."""
        self.processed_until_ms = 0
        """What was heard."""
        self.seq = 0
        """Of the last durable message."""
        self.ended = False
        """Whether `session.final` came."""
        self.ended_turns: set[str] = set()
        """Turns that are final or were retracted."""
        self._open: dict[str, OpenTurn] = {}
        self._final: list[Settled] = []  # by end
        self._speakers: dict[str, KnownSpeaker] = {}

    def push(self, message: ServerMessage) -> None:
        """Apply a message."""
        self.seq = getattr(message, "seq", None) or self.seq
        match message:
            case messages.TurnProvisional():
                self._open[message.turn] = OpenTurn(
                    turn=message.turn,
                    rev=message.rev,
                    speaker=message.speaker,
                    start_ms=message.start_ms,
                    end_ms=message.end_ms,
                    channel=message.channel,
                )
            case messages.TurnFinal():
                self._open.pop(message.turn, None)
                self.ended_turns.add(message.turn)
                settled = Settled(message.end_ms, message.start_ms, message.speaker)
                self._final.insert(bisect_left(self._final, settled), settled)
            case messages.TurnRetracted():
                self._open.pop(message.turn, None)
                self.ended_turns.add(message.turn)
            case messages.SpeakerCreated():
                self._speakers[message.speaker] = KnownSpeaker(speaker=message.speaker, channel=message.channel)
            case messages.SpeakerMerged():
                known = self._speakers[message.speaker]
                self._speakers[message.speaker] = replace(known, merged_into=message.into)
            case messages.SpeakerNamed():
                self._speakers[message.speaker] = replace(self._speakers[message.speaker], name=message.name)
            case messages.WatermarkMoved():
                self.final_until_ms, self.processed_until_ms = message.final_until_ms, message.processed_until_ms
            case messages.SessionFinal():
                self.ended = True
            case _:
                return

    def who(self, speaker: str) -> str:
        """The number that stands for a speaker after all merges."""
        while (entry := self._speakers.get(speaker)) is not None and entry.merged_into is not None:
            speaker = entry.merged_into
        return speaker

    def snapshot(self) -> Snapshot:
        """What is shown now, as a message."""
        return Snapshot(
            as_of=self.seq,
            open_turns=tuple(self._open.values()),
            speakers=tuple(self._speakers.values()),
            final_until_ms=self.final_until_ms,
            processed_until_ms=self.processed_until_ms,
        )

    @property
    def open_turns(self) -> tuple[OpenTurn, ...]:
        """Turns that may still change."""
        return tuple(self._open.values())

    @property
    def speakers(self) -> tuple[KnownSpeaker, ...]:
        """Everybody who was ever told of."""
        return tuple(self._speakers.values())

    def told_turns(self) -> list[tuple[int, int, str]]:
        """Final turns: start, end and speaker after merges, by end."""
        return [(turn.start_ms, turn.end_ms, self.who(turn.speaker)) for turn in self._final]

    def near(self, start_ms: int, end_ms: int) -> list[tuple[int, int, str]]:
        """Turns that touch a stretch, final and open: start, end and speaker after merges."""
        found = [(turn.start_ms, turn.end_ms, self.who(turn.speaker)) for turn in self._open.values()]
        for settled in self._final[bisect_left(self._final, Settled(start_ms, 0, "")) :]:
            if settled.start_ms > end_ms and settled.end_ms > end_ms + 120_000:
                break
            found.append((settled.start_ms, settled.end_ms, self.who(settled.speaker)))
        return [turn for turn in found if turn[1] >= start_ms and turn[0] <= end_ms]

    def live(self, uri: str, audio_ms: int, bundle: str = "") -> Diarization:
        """The final turns as a result: labels S1, S2 …, merges followed, names filled in."""
        turns = [
            Turn(Span(turn.start_ms * PER_MS, turn.end_ms * PER_MS), self.who(turn.speaker))
            for turn in self._final
            if turn.end_ms > turn.start_ms
        ]
        labels = sorted({turn.speaker for turn in turns}, key=speaker_number)
        alone = Diarization.from_turns(turns).exclusive
        speakers = tuple(
            Speaker(label, (known := self._speakers[label]).name, channel=known.channel or 1) for label in labels
        )
        samples = max([audio_ms * PER_MS, *(turn.span.end for turn in turns)])
        return Diarization(uri, samples, tuple(turns), alone, speakers, bundle)

    def airtime(self, live: Diarization) -> tuple[Airtime, ...]:
        """How long everybody spoke."""
        spoken = live.airtime()
        return tuple(
            Airtime(
                id=speaker.label,
                speech_ms=round(spoken[speaker.label][0] * 1000),
                name=speaker.name,
                channel=self._speakers[speaker.label].channel,
            )
            for speaker in live.speakers
        )
