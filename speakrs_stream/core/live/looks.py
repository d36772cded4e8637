"""Looks at sound that no whole window holds yet, padded with silence as the end of a recording is."""

from __future__ import annotations

from dataclasses import dataclass

from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.history import WindowResult
from speakrs_stream.core.session import Session, SpeakerModel


@dataclass(slots=True, eq=False)
class Look:
    """One window, less than full, with questions of its own."""

    session: Session
    """Asks them."""
    result: WindowResult | None = None
    """What the networks said, once they have."""

    @classmethod
    def into(cls, audio: F32, config: PipelineConfig, model: SpeakerModel) -> Look:
        """A look into sound (n,), shorter than a window."""
        session = Session(config, model)
        session.push(audio)
        session.finish()
        return cls(session)

    def resolve(self, job_id: int, output: Array) -> list[WindowResult]:
        """Take a model's answer to one of the session's questions; its window once that is settled."""
        settled = self.session.resolve(job_id, output)
        if settled:
            self.result = settled[0]
        return settled


@dataclass(frozen=True, slots=True, eq=False)
class Flush:
    """A sample up to which everything is to be final, and a look at the sound before it that no window holds."""

    at: int
    """How much of the stream had been heard."""
    audio: F32
    """(n,) what is looked at; nothing where windows or previews reach that far."""
    look: Look | None
    """At `audio`, if any."""

    @classmethod
    def of(cls, at: int, audio: F32, config: PipelineConfig, model: SpeakerModel) -> Flush:
        """With its look, whose questions are asked anew."""
        return cls(at, audio, Look.into(audio, config, model) if len(audio) else None)

    @property
    def waits(self) -> bool:
        """Whether an answer is missing."""
        return self.look is not None and self.look.result is None
