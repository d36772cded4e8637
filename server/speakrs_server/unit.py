"""One session's hearing: bytes of the client's format in, questions for the networks out, events out; no thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakrs_server import messages
from speakrs_server.channels import Channels, Survey
from speakrs_server.identifiers import speaker_number, turn_number
from speakrs_server.messages import AudioFormat, Command
from speakrs_server.rewriting import Merging
from speakrs_stream.audio.live import LiveInput
from speakrs_stream.audio.pcm import PcmDecoder
from speakrs_stream.core.arrays import below
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import Event, TurnStarted
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.session import Outcome, SpeakerModel
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.errors import BadFormat, SessionError
from speakrs_stream.stream import PIECE

FLOOD = 0.01
"""Share of samples that are not numbers above which audio is refused."""
KIND = "hosted stream"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EnrolledVoice:
    """Somebody who is to be recognised. A voice print is biometric data: it is neither printed nor logged."""

    name: str
    """What speakers who sound like this are called."""
    enrolment: str
    """Under what the server's store has it."""
    embedding: NDArray[np.float32]
    """(D,) voice print of the bundle in use."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a session's hearing is made of."""

    config: PipelineConfig
    """Settings of the pipeline."""
    live: LiveConfig
    """Settings of the live layer."""
    model: SpeakerModel
    """What must be known of the bundle."""
    fingerprint: str
    """Hash of the bundle: snapshots of another one are worth nothing."""
    audio: AudioFormat
    """What the client sends."""
    bounds: SpeakerBounds
    """What is known of the number of speakers, of each channel."""
    separate: bool = False
    """Whether every channel has speakers of its own."""
    merges: bool = True
    """Whether a final turn may get another speaker later."""
    exclusive: bool = False
    """Whether one speaker is told at a time."""
    voices: tuple[EnrolledVoice, ...] = ()
    """Voices to be recognised."""

    @property
    def channels(self) -> int:
        """Channels that are heard apart."""
        return self.audio.channels if self.separate else 1


def bounds_of(hint: messages.SpeakerHint | messages.SpeakersHint) -> SpeakerBounds:
    """What is known of the number of speakers; ConfigError where it contradicts itself."""
    return SpeakerBounds.of(hint.count, hint.min, hint.max)


def least_delay_ms(step: int) -> int:
    """Milliseconds within which turns can be final at best. step: samples between windows."""
    return (LiveConfig(max_delay=SAMPLE_RATE).lookback(step) + step) * 1000 // SAMPLE_RATE


def recipe_for(
    start: messages.SessionStart, max_delay_ms: int, base: Recipe, voices: Sequence[EnrolledVoice] = ()
) -> Recipe:
    """The recipe of a session, from what its client asks; ConfigError where that is impossible."""
    exclusive = start.turns == "exclusive"
    live = replace(base.live, max_delay=max_delay_ms * SAMPLE_RATE // 1000, overlap=not exclusive)
    return replace(
        base,
        live=live,
        audio=start.audio,
        bounds=bounds_of(start.speakers),
        separate=start.audio.channel_mode == "separate" and start.audio.channels > 1,
        merges=start.revisions == "labels",
        exclusive=exclusive,
        voices=tuple(voices),
    )


class Unit:
    """Live sessions, one for each channel that is heard apart, and what stands before them."""

    def __init__(
        self, recipe: Recipe, *, heard: Channels | None = None, sources: Sequence[LiveInput] | None = None
    ) -> None:
        self.recipe = recipe
        self._decoder = PcmDecoder(recipe.audio.encoding, channels=recipe.audio.channels)
        self._inputs = sources or [LiveInput(recipe.audio.sample_rate) for _ in range(recipe.channels)]
        self.heard = heard or _opened(recipe)
        self._merging = None if recipe.merges else Merging(self.heard.merges())
        self._pieces: list[NDArray[np.float32]] = []

    @property
    def position(self) -> int:
        """Sample at the client's rate up to which audio was taken."""
        return self._inputs[0].position

    @property
    def processed(self) -> int:
        """Sample at the client's rate up to which it has been shown."""
        if self.heard.finished or (not self._pieces and self.heard.processed >= self.heard.samples):
            return self.position
        return min(self.heard.processed * self.recipe.audio.sample_rate // SAMPLE_RATE, self.position)

    @property
    def busy(self) -> bool:
        """Whether there is more to do before the next command."""
        return bool(self._pieces) or self.heard.busy

    def open_turns(self) -> list[TurnStarted]:
        """Turns that are shown and may still change."""
        return list(self.heard.open_turns())

    def survey(self) -> Survey:
        """What is shown; only while nothing is busy."""
        return self.heard.survey()

    def push(self, payload: bytes, offset: int) -> None:
        """Take audio; BadFormat where it is no sound."""
        samples = self._decoder.push(payload)
        parts = [samples[:, channel] for channel in range(len(self._inputs))] if self.recipe.separate else [samples]
        ready = [source.push(part, at=offset) for source, part in zip(self._inputs, parts, strict=True)]
        for source in self._inputs:
            report = source.report
            if report.samples > 10 * source.sample_rate and report.non_finite > FLOOD * report.samples:
                raise BadFormat(f"{report.non_finite} of {report.samples} samples are not numbers")
        self._hand_on(ready)

    def _hand_on(self, ready: Sequence[NDArray[np.float32]]) -> None:
        samples = np.stack(ready, axis=1)
        self._pieces += [samples[start : start + PIECE] for start in range(0, len(samples), PIECE)]

    def jobs(self) -> list[Job]:
        """What must be inferred now; takes the next piece of audio once everything before is answered."""
        while True:
            jobs = self.heard.jobs()
            if jobs or self.heard.busy or not self._pieces:
                return jobs
            piece, gathered = self._pieces.pop(0), 0
            pieces = [piece]
            gathered = len(piece)
            while self._pieces and gathered + len(self._pieces[0]) <= PIECE:
                pieces.append(self._pieces.pop(0))
                gathered += len(pieces[-1])
            self.heard.push(np.concatenate(pieces))

    def resolve(self, job_id: int, output: NDArray[Any]) -> list[Event]:
        """Take an answer."""
        return self._told(self.heard.resolve(job_id, output))

    def _told(self, events: list[Event]) -> list[Event]:
        return events if self._merging is None else self._merging.push(events)

    def finish(self) -> None:
        """No more audio comes; BadFormat where what came turns out to be no sound."""
        self._hand_on([source.finish() for source in self._inputs])

    def close(self) -> list[Event]:
        """Once nothing is busy after `finish`: end the session; more may have to be answered."""
        return self._told(self.heard.finish())

    def command(self, command: Command) -> list[Event]:
        """Do as the client says; SessionError where that is impossible. Only while nothing is busy."""
        return self._told(self._command(command))

    def _command(self, command: Command) -> list[Event]:
        match command:
            case messages.SpeakerRename():
                session, channel, number = self._speaker(command.speaker)
                return self.heard.of(channel, session.rename(number, command.name))
            case messages.SpeakerSame():
                session, channel, number = self._speaker(command.speaker)
                return self.heard.of(channel, session.same(number, self._beside(command.into, channel)))
            case messages.SpeakerDifferent():
                session, channel, number = self._speaker(command.first)
                return self.heard.of(channel, session.different(number, self._beside(command.second, channel)))
            case messages.TurnReject():
                turn, channel = self.heard.numbering.inner(turn_number(command.turn))
                return self.heard.of(channel, self.heard.sessions[channel].reject(turn))
            case messages.Flush():
                return self.heard.each([session.flush() for session in self.heard.sessions])
            case messages.SpeakersHint():
                return self.heard.each([session.hint(bounds_of(command)) for session in self.heard.sessions])

    def _speaker(self, name: str) -> tuple[LiveSession, int, int]:
        """Session, channel and number there of a speaker."""
        number, channel = self.heard.numbering.inner(speaker_number(name))
        return self.heard.sessions[channel], channel, number

    def _beside(self, name: str, channel: int) -> int:
        """Number of a speaker who must be heard on the same channel."""
        _, other, number = self._speaker(name)
        if other != channel:
            raise SessionError(f"{name} is heard on another channel: speakers of different channels are never one")
        return number

    def outcomes(self) -> list[Outcome]:
        """The result over everything heard, of each channel."""
        return self.heard.outcomes()

    @property
    def quality(self) -> tuple[str, ...]:
        """What a person should know about the sound."""
        if not self.recipe.separate:
            return self._inputs[0].report.warnings
        return tuple(
            f"channel {channel}: {warning}"
            for channel, source in enumerate(self._inputs, start=1)
            for warning in source.report.warnings
        )

    @property
    def anomalies(self) -> dict[str, int]:
        """What was odd about the sound: kind -> samples, all channels together."""
        found: dict[str, int] = {}
        for source in self._inputs:
            report, faults = source.report, source.faults
            counts = {"not_a_number": report.non_finite, "too_large": report.too_large, "clipped": report.clipped}
            for kind, samples in (counts | {"missing": faults.missing, "repeated": faults.repeated}).items():
                found[kind] = found.get(kind, 0) + samples
        return found

    def snapshot(self) -> bytes:
        """Everything as bytes; only while nothing is busy. Holds voice prints."""
        assert not self._pieces
        states = [source.state() for source in self._inputs]
        arrays = {
            f"{channel}.{name}": rows for channel, (_, found) in enumerate(states) for name, rows in found.items()
        }
        arrays["heard"] = np.frombuffer(self.heard.snapshot(self.recipe.fingerprint), np.uint8)
        return pack({"inputs": [plain for plain, _ in states]}, arrays, KIND)

    @classmethod
    def restore(cls, data: bytes, recipe: Recipe) -> Unit:
        """What `snapshot` saved; SnapshotMismatch where bundle, settings or version differ, or it is damaged."""
        plain, arrays = unpack(data, KIND)
        saved = arrays.pop("heard").tobytes()
        heard = Channels.restore(saved, recipe.config, recipe.live, recipe.model, recipe.fingerprint)
        sources = [
            LiveInput.restore(state, below(arrays, f"{channel}.")) for channel, state in enumerate(plain["inputs"])
        ]
        return cls(recipe, heard=heard, sources=sources)


def _opened(recipe: Recipe) -> Channels:
    """New sessions that know what the client said at the start."""
    channels = Channels([LiveSession(recipe.config, recipe.live, recipe.model) for _ in range(recipe.channels)])
    for session in channels.sessions:
        session.hint(recipe.bounds)
        for voice in recipe.voices:
            session.enrol(voice.name, voice.embedding)
    return channels
