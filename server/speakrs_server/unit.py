"""One session's hearing: bytes of the client's format in, questions for the networks out, events out; no thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakrs_server import messages
from speakrs_server.identifiers import speaker_number, turn_number
from speakrs_server.messages import AudioFormat, Command
from speakrs_stream.audio.live import LiveInput
from speakrs_stream.audio.pcm import PcmDecoder
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.session import Outcome, SpeakerModel
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.errors import BadFormat
from speakrs_stream.stream import PIECE

FLOOD = 0.01
"""Share of samples that are not numbers above which audio is refused."""
KIND = "hosted stream"


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
    """What is known of the number of speakers."""


def bounds_of(hint: messages.SpeakerHint | messages.SpeakersHint) -> SpeakerBounds:
    """What is known of the number of speakers; ConfigError where it contradicts itself."""
    return SpeakerBounds.of(hint.count, hint.min, hint.max)


def recipe_for(start: messages.SessionStart, max_delay_ms: int, base: Recipe) -> Recipe:
    """The recipe of a session, from what its client asks; ConfigError where that is impossible."""
    live = replace(base.live, max_delay=max_delay_ms * SAMPLE_RATE // 1000)
    return replace(base, live=live, audio=start.audio, bounds=bounds_of(start.speakers))


class Unit:
    """A live session and what stands before it."""

    def __init__(self, recipe: Recipe, *, session: LiveSession | None = None, source: LiveInput | None = None) -> None:
        self.recipe = recipe
        self._decoder = PcmDecoder(recipe.audio.encoding, channels=recipe.audio.channels)
        self._input = source or LiveInput(recipe.audio.sample_rate)
        if session is None:
            session = LiveSession(recipe.config, recipe.live, recipe.model)
            session.hint(recipe.bounds)
        self.session = session
        self._pieces: list[NDArray[np.float32]] = []

    @property
    def position(self) -> int:
        """Sample at the client's rate up to which audio was taken."""
        return self._input.position

    @property
    def processed(self) -> int:
        """Sample at the client's rate up to which it has been shown."""
        if self.session.finished or (not self._pieces and self.session.processed >= self.session.samples):
            return self.position
        return min(self.session.processed * self.recipe.audio.sample_rate // SAMPLE_RATE, self.position)

    @property
    def busy(self) -> bool:
        """Whether there is more to do before the next command."""
        return bool(self._pieces) or self.session.busy

    def push(self, payload: bytes, offset: int) -> None:
        """Take audio; BadFormat where it is no sound."""
        samples = self._input.push(self._decoder.push(payload), at=offset)
        report = self._input.report
        if report.samples > 10 * self._input.sample_rate and report.non_finite > FLOOD * report.samples:
            raise BadFormat(f"{report.non_finite} of {report.samples} samples are not numbers")
        self._hand_on(samples)

    def _hand_on(self, samples: NDArray[np.float32]) -> None:
        self._pieces += [samples[start : start + PIECE] for start in range(0, len(samples), PIECE)]

    def jobs(self) -> list[Job]:
        """What must be inferred now; takes the next piece of audio once everything before is answered."""
        while True:
            jobs = self.session.jobs()
            if jobs or self.session.busy or not self._pieces:
                return jobs
            piece, gathered = self._pieces.pop(0), 0
            pieces = [piece]
            gathered = len(piece)
            while self._pieces and gathered + len(self._pieces[0]) <= PIECE:
                pieces.append(self._pieces.pop(0))
                gathered += len(pieces[-1])
            self.session.push(np.concatenate(pieces))

    def resolve(self, job_id: int, output: NDArray[Any]) -> list[Event]:
        """Take an answer."""
        return self.session.resolve(job_id, output)

    def finish(self) -> None:
        """No more audio comes; BadFormat where what came turns out to be no sound."""
        self._hand_on(self._input.finish())

    def close(self) -> list[Event]:
        """Once nothing is busy after `finish`: end the session; more may have to be answered."""
        return self.session.finish()

    def command(self, command: Command) -> list[Event]:
        """Do as the client says; SessionError where that is impossible. Only while nothing is busy."""
        match command:
            case messages.SpeakerRename():
                return self.session.rename(speaker_number(command.speaker), command.name)
            case messages.SpeakerSame():
                return self.session.same(speaker_number(command.speaker), speaker_number(command.into))
            case messages.SpeakerDifferent():
                return self.session.different(speaker_number(command.first), speaker_number(command.second))
            case messages.TurnReject():
                return self.session.reject(turn_number(command.turn))
            case messages.SpeakersHint():
                return self.session.hint(bounds_of(command))

    def outcome(self) -> Outcome:
        """The result over everything heard."""
        return self.session.outcome(self.session.identity.bounds)

    @property
    def quality(self) -> tuple[str, ...]:
        """What a person should know about the sound."""
        return self._input.report.warnings

    def snapshot(self) -> bytes:
        """Everything as bytes; only while nothing is busy. Holds voice prints."""
        assert not self._pieces
        plain, arrays = self._input.state()
        inner = np.frombuffer(self.session.snapshot(self.recipe.fingerprint), np.uint8)
        return pack(plain, {**arrays, "session": inner}, KIND)

    @classmethod
    def restore(cls, data: bytes, recipe: Recipe) -> Unit:
        """What `snapshot` saved; SnapshotMismatch where bundle, settings or version differ, or it is damaged."""
        plain, arrays = unpack(data, KIND)
        inner = arrays.pop("session").tobytes()
        session = LiveSession.restore(inner, recipe.config, recipe.live, recipe.model, recipe.fingerprint)
        return cls(recipe, session=session, source=LiveInput.restore(plain, arrays))
