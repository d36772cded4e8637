"""A live stream: push sound as it comes, get events; finish, and get the result of the whole recording.

stream = Engine().stream()
for block in microphone:
    for event in stream.push(block):
        ...
for event in stream.flush():  # make everything final now; goes on
    ...
result = stream.finish()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.audio.live import InputFaults, LiveInput
from speakrs_stream.audio.pcm import GateReport
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.live.comparison import Difference, differences, match
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.core.snapshot import pack, unpack
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.driver import answer
from speakrs_stream.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from speakrs_stream.engine import Engine

PIECE = 30 * SAMPLE_RATE
"""Samples handed to the session at once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The final result against what was shown live."""

    mapping: Mapping[str, str]
    """Live label (S1 …) -> label of the final result (SPEAKER_00 …); one to one as far as possible."""
    differences: tuple[Difference, ...]
    """Stretches where the final result says something else."""


def live_config(
    base: LiveConfig | None = None, *, max_delay: float | None = None, recluster: float | None = None
) -> LiveConfig:
    """Live settings with the two that people turn, in seconds."""
    config = base or LiveConfig()
    if max_delay is not None:
        config = replace(config, max_delay=round(max_delay * SAMPLE_RATE))
    if recluster is not None:
        config = replace(config, recluster=round(recluster * SAMPLE_RATE))
    return config


class Stream:
    """The user's handle on a live session; made by `Engine.stream`. Not for several threads at once."""

    def __init__(
        self,
        engine: Engine,
        config: PipelineConfig,
        live: LiveConfig,
        *,
        sample_rate: int = SAMPLE_RATE,
        uri: str = "stream",
        bounds: SpeakerBounds | None = None,
        session: LiveSession | None = None,
        source: LiveInput | None = None,
    ) -> None:
        self.uri = uri
        self.final_events: tuple[Event, ...] = ()
        """Events that `finish` led to; empty before."""
        self.comparison: Comparison | None = None
        """The final result against what was shown; None before `finish`."""
        self._engine = engine
        self._owed: list[Event] = []  # events that nobody has been given yet
        self._input = source or LiveInput(sample_rate)
        self._session = session or LiveSession(config, live, engine.model)
        if bounds is not None:
            self._session.hint(bounds)

    # -- sound -----------------------------------------------------------------------------------------------

    def push(self, samples: ArrayLike, *, sample_rate: int | None = None, at: int | None = None) -> list[Event]:
        """Add sound of any length; returns what it changed.

        samples: (n,) or (n, channels), float within ±1 or integers; sample_rate: hertz, checked against the stream's
        at: position of the first sample since the start, at the stream's rate: a gap becomes silence, what came
            before is dropped; None continues where the last piece ended

        Raises AudioError (WrongRate, BadFormat) and SessionFinished; nothing is taken in then. Where a network fails
        (ModelError) the sound is kept, and the next call asks again and returns the events of this one too.
        """
        return self._take(self._input.push(samples, sample_rate=sample_rate, at=at))

    def _take(self, samples: NDArray[np.float32]) -> list[Event]:
        # piece by piece: a long gap or a whole file must not ask for everything at once
        for start in range(0, max(len(samples), 1), PIECE):
            self._session.push(samples[start : start + PIECE])
            try:
                self._answer()
            except BaseException:
                self._session.push(samples[start + PIECE :])
                raise
        events, self._owed = self._owed, []
        return events

    def _answer(self) -> None:
        """Answer all questions; the events they lead to are owed to the caller, also if a network fails meanwhile."""
        try:
            for event in answer(self._session, self._engine.networks):
                self._owed.append(event)
        except BaseException:
            self._session.ask_again()
            raise

    def flush(self) -> list[Event]:
        """Make everything heard so far final at once, and go on; returns what that changed.

        The watermark then stands at `samples`, and whoever is speaking goes on in a new turn. Costs one window more.
        `finish` finds the same as without it. At other rates than 16 kHz a few milliseconds are still on their way.

        Raises SessionFinished after `finish`. Where a network fails (ModelError) the next call goes on with it.
        """
        self._owed += self._session.flush()
        self._answer()
        events, self._owed = self._owed, []
        return events

    def finish(self) -> Diarization:
        """End the stream: the same turns that `diarize` finds in the same audio. `final_events` holds the last events.

        Where the user said something of speakers (`same`, `different`, `reject`), that holds in the result too.
        `comparison` then says which live speaker is which of the result, and where the two differ. A stream that was
        saved after its end and restored may be finished once more, for the same result.

        Raises SessionError when it was finished already, BadFormat when what was pushed turns out to be no sound.
        Where a network fails (ModelError) it may be called again.
        """
        if self.comparison is not None:
            raise SessionError("this stream has been finished already")
        if not self._session.finished:
            self._owed = self._take(self._input.finish())
            self._owed += self._session.finish()
        self._answer()
        self._session.main.refine()
        self._answer()
        self.final_events, self._owed = tuple(self._owed), []
        result = self._engine.diarization(self._session.outcome(self._session.identity.bounds), self.uri)
        self.comparison = compared(self.live(), result)
        names = names_of(self.state)
        pairs = list(self.comparison.mapping.items())[::-1]  # one to one comes first there: it has the last word here
        named = {final: names[live] for live, final in pairs if live in names}
        speakers = tuple(replace(s, name=named.get(s.label, s.name)) for s in result.speakers)
        return replace(result, speakers=speakers, warnings=self.report.warnings)

    # -- what is known ---------------------------------------------------------------------------------------

    @property
    def state(self) -> StreamState:
        """Turns, speakers and watermark as shown now."""
        return self._session.state

    @property
    def samples(self) -> int:
        """Samples at 16 kHz heard so far."""
        return self._session.samples

    @property
    def config(self) -> PipelineConfig:
        """Settings of the pipeline."""
        return self._session.config

    @property
    def live_config(self) -> LiveConfig:
        """Settings of the live layer."""
        return self._session.live

    @property
    def faults(self) -> InputFaults:
        """Gaps and repeats in what was pushed."""
        return self._input.faults

    @property
    def report(self) -> GateReport:
        """Not-numbers, clipping and DC offset in what was pushed."""
        return self._input.report

    def live(self) -> Diarization:
        """What is shown now, as a result: labels S1, S2 …, merges followed, names filled in."""
        return shown_live(self.state, self.uri, self.samples, self._engine.bundle.name)

    # -- speakers --------------------------------------------------------------------------------------------

    def hint(
        self, *, num_speakers: int | None = None, min_speakers: int | None = None, max_speakers: int | None = None
    ) -> list[Event]:
        """Say how many speakers there are from now on; without numbers, that it is not known."""
        return self._session.hint(SpeakerBounds.of(num_speakers, min_speakers, max_speakers))

    def enrol(self, name: str, voice: NDArray[Any]) -> list[Event]:
        """Know a voice by name: an embedding (D,) of this bundle, as `Engine.voice` makes it from a recording."""
        embedding = np.asarray(voice, np.float64)
        dimension = self._engine.model.layout.dimension
        if embedding.shape != (dimension,) or not np.isfinite(embedding).all():
            raise ConfigError(f"a voice is {dimension} finite numbers, got shape {embedding.shape}")
        return self._session.enrol(name, embedding)

    def rename(self, speaker: int, name: str) -> list[Event]:
        """Give a speaker a name."""
        return self._session.rename(speaker, name)

    def same(self, speaker: int, into: int) -> list[Event]:
        """Two numbers are one person: `speaker` is given up for `into`."""
        return self._session.same(speaker, into)

    def different(self, first: int, second: int) -> list[Event]:
        """Two numbers are two people, whatever their voices seem to say."""
        return self._session.different(first, second)

    def reject(self, turn: int) -> list[Event]:
        """A turn is not who it is shown as."""
        return self._session.reject(turn)

    # -- state -----------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything as bytes; see `Engine.restore`. Holds voice prints: treat it as biometric data."""
        plain, arrays = self._input.state()
        plain["uri"] = self.uri
        session = np.frombuffer(self._session.snapshot(self._engine.bundle.sha256), np.uint8)
        return pack(plain, {**arrays, "session": session}, "stream")

    @classmethod
    def restore(cls, engine: Engine, data: bytes, config: PipelineConfig, live: LiveConfig) -> Stream:
        """The stream `snapshot` saved; SnapshotMismatch where bundle, configuration or version differ."""
        plain, arrays = unpack(data, "stream")
        inner = arrays.pop("session").tobytes()
        session = LiveSession.restore(inner, config, live, engine.model, engine.bundle.sha256)
        return cls(engine, config, live, uri=plain["uri"], session=session, source=LiveInput.restore(plain, arrays))


def names_of(state: StreamState) -> dict[str, str]:
    """Label (S1 …) -> name of everybody who has one."""
    return {f"S{n}": s.name for n, s in state.speakers.items() if s.name and s.merged_into is None}


def shown_live(state: StreamState, uri: str, samples: int, bundle: str) -> Diarization:
    """A state as a result: labels S1, S2 …, merges followed, names filled in. samples: length at 16 kHz."""
    turns = tuple(Turn(turn.span, f"S{state.who(turn.speaker)}") for turn in state.turns.values())
    merged = _joined(turns)
    labels = sorted({turn.speaker for turn in merged}, key=lambda label: int(label[1:]))
    names = names_of(state)
    speakers = tuple(Speaker(label, names.get(label)) for label in labels)
    single = Diarization.from_turns(merged).exclusive
    return Diarization(uri, samples, merged, single, speakers, bundle)


def compared(live: Diarization, result: Diarization) -> Comparison:
    """A final result against what was shown live."""
    shown = [(turn.span, turn.speaker) for turn in live.turns]
    final = [(turn.span, turn.speaker) for turn in result.turns]
    mapping = match(shown, final)
    return Comparison(mapping, tuple(differences(shown, final, mapping)))


def _joined(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Turns of one speaker that touch or overlap as one: merges of speakers leave such behind."""
    out: list[Turn] = []
    last: dict[str, int] = {}
    for turn in sorted(turns):
        index = last.get(turn.speaker)
        if index is not None and turn.span.start <= out[index].span.end:
            end = max(out[index].span.end, turn.span.end)
            out[index] = Turn(Span(out[index].span.start, end), turn.speaker)
        else:
            last[turn.speaker] = len(out)
            out.append(turn)
    return tuple(sorted(out))
