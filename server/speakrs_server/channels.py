"""Live sessions side by side, one for each channel, told as one stream: everybody's numbers and one watermark.

Speaker n of channel c (both from 1) out of C is number (n - 1) * C + c, and turns are numbered alike: with two channels
S1, S3 … speak on the first and S2, S4 … on the second. What the channels tell is given out window by window, channel by
channel, so that it does not depend on whose answers come first. With one channel everything is what that session says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.reducer import LiveTurn
from speakrs_stream.core.session import Outcome, SpeakerModel
from speakrs_stream.core.snapshot import pack, unpack

KIND = "hosted channels"


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers of all channels out of numbers of each."""

    channels: int = 1
    """How many there are."""

    def outer(self, number: int, channel: int) -> int:
        """Number of channel `channel` (from 0) as everybody sees it."""
        return (number - 1) * self.channels + channel + 1

    def inner(self, number: int) -> tuple[int, int]:
        """The reverse: number within its channel, and the channel (from 0)."""
        before, channel = divmod(number - 1, self.channels)
        return before + 1, channel

    def event(self, event: Event, channel: int) -> Event:
        """An event of one channel with everybody's numbers."""

        def of(number: int) -> int:
            return self.outer(number, channel)

        match event:
            case Watermark():
                return event
            case SpeakerCreated() | SpeakerNamed():
                return replace(event, speaker=of(event.speaker))
            case SpeakerMerged():
                return SpeakerMerged(of(event.speaker), of(event.into))
            case SpeakerSplit():
                return SpeakerSplit(of(event.speaker), tuple(of(number) for number in event.into))
        changes: Any = {name: of(getattr(event, name)) for name in ("turn", "speaker", "was") if hasattr(event, name)}
        return replace(event, **changes)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a session shows at some moment."""

    turns: tuple[LiveTurn, ...]
    """All of them, with everybody's numbers, speakers after merges."""
    processed: int
    """Sample at 16 kHz up to which it was heard."""
    until: int
    """Sample at 16 kHz before which nothing changes."""
    last_turn: int
    """Largest number a turn ever had."""
    speakers: tuple[int, ...]
    """Speakers that were not merged into others."""
    last_speaker: int
    """Largest number a speaker ever had."""


class Channels:
    """The sessions and what they have told and was not given out yet."""

    def __init__(self, sessions: Sequence[LiveSession]) -> None:
        self.sessions = tuple(sessions)
        self.numbering = Numbering(len(self.sessions))
        self._waiting: tuple[deque[list[Event]], ...] = tuple(deque() for _ in self.sessions)
        self._until = 0  # of the last watermark given out
        self._processed = 0
        self._jobs: dict[int, tuple[int, int]] = {}
        self._next_job = 0

    # -- facts -----------------------------------------------------------------------------------------------

    @property
    def samples(self) -> int:
        """Samples at 16 kHz heard so far."""
        return self.sessions[0].samples

    @property
    def processed(self) -> int:
        """Sample up to which every channel has been shown."""
        return min(session.processed for session in self.sessions)

    @property
    def finished(self) -> bool:
        """Whether `finish` was called."""
        return self.sessions[0].finished

    @property
    def busy(self) -> bool:
        """Whether answers are awaited."""
        return any(session.busy for session in self.sessions)

    def open_turns(self) -> Iterator[TurnStarted]:
        """Turns that may still change, as events."""
        for channel, session in enumerate(self.sessions):
            for turn in session.state.turns.values():
                if not turn.final:
                    shown = TurnStarted(turn.turn, turn.revision, turn.speaker, turn.span)
                    yield self.numbering.event(shown, channel)  # type: ignore[misc]

    def survey(self) -> Survey:
        """What is shown; only while nothing is busy."""
        turns: list[LiveTurn] = []
        speakers: list[int] = []
        last_turn = last_speaker = 0
        for channel, session in enumerate(self.sessions):
            state = session.state
            for turn in state.turns.values():
                number, speaker = self.numbering.outer(turn.turn, channel), state.who(turn.speaker)
                turns.append(replace(turn, turn=number, speaker=self.numbering.outer(speaker, channel)))
            living = [number for number, one in state.speakers.items() if one.merged_into is None]
            speakers += [self.numbering.outer(number, channel) for number in living]
            last_turn = max(last_turn, self.numbering.outer(max(state.last_turn, 1), channel))
            last_speaker = max(last_speaker, self.numbering.outer(max([1, *state.speakers]), channel))
        turns.sort(key=lambda turn: (turn.span.start, turn.turn))
        return Survey(tuple(turns), self._processed, self._until, last_turn, tuple(speakers), last_speaker)

    def merges(self) -> dict[int, int]:
        """Every number that was given up, with the number that stands for it now."""
        return {
            self.numbering.outer(number, channel): self.numbering.outer(session.state.who(number), channel)
            for channel, session in enumerate(self.sessions)
            for number, speaker in session.state.speakers.items()
            if speaker.merged_into is not None
        }

    # -- hearing ---------------------------------------------------------------------------------------------

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take sound (n, channels) float32 at 16 kHz; events come from `resolve`."""
        for channel, session in enumerate(self.sessions):
            session.push(np.ascontiguousarray(samples[:, channel]))

    def jobs(self) -> list[Job]:
        """What must be inferred now and has not been handed out yet."""
        out = []
        for channel, session in enumerate(self.sessions):
            for job in session.jobs():
                self._jobs[self._next_job] = (channel, job.id)
                out.append(replace(job, id=self._next_job))
                self._next_job += 1
        return out

    def resolve(self, job_id: int, output: NDArray[Any]) -> list[Event]:
        """Take an answer; the events that are ready by it."""
        channel, inner = self._jobs[job_id]
        events = self.sessions[channel].resolve(inner, output)
        del self._jobs[job_id]
        self._take(channel, events)
        return self._ready()

    def each(self, asked: Sequence[list[Event]]) -> list[Event]:
        """What each session told when all were asked the same; the events that are ready by it."""
        for channel, events in enumerate(asked):
            self._take(channel, events)
        return self._ready()

    def finish(self) -> list[Event]:
        """No more audio comes; more may have to be answered."""
        return self.each([session.finish() for session in self.sessions])

    def of(self, channel: int, events: Sequence[Event]) -> list[Event]:
        """What one channel told by itself, while nothing is busy."""
        return [self.numbering.event(event, channel) for event in events]

    def _take(self, channel: int, events: Sequence[Event]) -> None:
        """Cut what a channel told into windows: each ends in a watermark."""
        window: list[Event] = []
        for event in events:
            window.append(self.numbering.event(event, channel))
            if isinstance(event, Watermark):
                self._waiting[channel].append(window)
                window = []
        if window:
            self._waiting[channel].append(window)

    def _ready(self) -> list[Event]:
        out: list[Event] = []
        idle = not self.busy  # then nothing of what was pushed is still to come
        while all(self._waiting) or (idle and any(self._waiting)):
            reached: list[Watermark] = []
            for waiting in self._waiting:
                for event in waiting.popleft() if waiting else ():
                    if isinstance(event, Watermark):
                        reached.append(event)
                    else:
                        out.append(event)
            if reached and (idle or len(reached) == len(self.sessions)):
                out += self._watermark(min(one.until for one in reached), min(one.processed for one in reached))
        return out

    def _watermark(self, until: int, processed: int) -> list[Event]:
        if until <= self._until and processed <= self._processed:
            return []
        self._until, self._processed = max(until, self._until), max(processed, self._processed)
        return [Watermark(self._until, self._processed)]

    # -- results and state -----------------------------------------------------------------------------------

    def outcomes(self, bounds: SpeakerBounds | None = None) -> list[Outcome]:
        """The result of each channel; needs `finish` and every answer. bounds: of each; None for what is known."""
        return [session.outcome(bounds or session.identity.bounds) for session in self.sessions]

    def snapshot(self, fingerprint: str) -> bytes:
        """Everything as bytes; only while nothing is busy. Holds voice prints."""
        assert not any(self._waiting)
        arrays = {
            f"channel.{channel}": np.frombuffer(session.snapshot(fingerprint), np.uint8)
            for channel, session in enumerate(self.sessions)
        }
        plain = {"until": self._until, "processed": self._processed, "next_job": self._next_job}
        return pack(plain, arrays, KIND)

    @classmethod
    def restore(
        cls, data: bytes, config: PipelineConfig, live: LiveConfig, model: SpeakerModel, fingerprint: str
    ) -> Channels:
        """What `snapshot` saved; SnapshotMismatch where bundle, settings or version differ, or it is damaged."""
        plain, arrays = unpack(data, KIND)
        saved = [arrays[f"channel.{channel}"].tobytes() for channel in range(len(arrays))]
        channels = cls([LiveSession.restore(one, config, live, model, fingerprint) for one in saved])
        channels._until, channels._processed = plain["until"], plain["processed"]
        channels._next_job = plain["next_job"]  # a late answer to the saved sessions must not pass for one to these
        return channels
