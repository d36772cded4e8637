"""Driving a live session with network outputs that are known beforehand, by the sample clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Protocol

import numpy as np

from benchmarks.live_metrics import MARKS, Tally, tally
from benchmarks.live_replay import Arrival
from benchmarks.simulation import Looked, Simulation
from speakrs_stream.core.arrays import F32, I64, U8, Array
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.core.events import Event, SpeakerEvent
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.identity import Heard, Identity
from speakrs_stream.core.live.session import MAIN, LiveSession
from speakrs_stream.core.powerset import mapping
from speakrs_stream.core.reconstruction import CoreTurn
from speakrs_stream.core.session import SpeakerModel, outcome, scripted_history, window_count
from speakrs_stream.scoring import Labelled

_BITS = np.array([1, 2, 4])
_CLASS = np.zeros(8, np.int64)
_CLASS[mapping().astype(np.int64) @ _BITS] = np.arange(7)
MINUTE = 60 * SAMPLE_RATE
"""Samples for which the session's own time is taken at once."""

_LOGITS = np.where(np.eye(7, dtype=bool), 0.0, -9.0).astype(np.float32)


class Looks(Protocol):
    """What the networks say about every window of a recording."""

    @property
    def samples(self) -> int:
        """Length of the recording."""
        ...

    def window(self, index: int) -> Looked:
        """A window; the last may be padded with silence."""
        ...

    def preview(self, steps: int) -> Looked:
        """The first `steps` steps, padded with silence."""
        ...


class SimulatedLooks:
    """A simulation's windows, made once and kept for everything that is to see the same."""

    def __init__(self, simulation: Simulation, step: int) -> None:
        self._simulation = simulation
        self._step = step
        self._made: dict[tuple[int, int], Looked] = {}

    @property
    def samples(self) -> int:
        """Length of the recording."""
        return self._simulation.samples

    def window(self, index: int) -> Looked:
        """A window; the last may be padded with silence."""
        start = index * self._step
        return self._look(start, min(WINDOW, self.samples - start))

    def preview(self, steps: int) -> Looked:
        """The first `steps` steps, padded with silence."""
        return self._look(0, steps * self._step)

    def _look(self, start: int, length: int) -> Looked:
        if (start, length) not in self._made:
            self._made[start, length] = self._simulation.look(start, length)
        return self._made[start, length]


class ClockedIdentity(Identity):
    """The identity under test, which notes how long windows with a re-clustering compute."""

    def __init__(self, live: LiveConfig, clustering: ClusteringConfig, plda: Plda) -> None:
        super().__init__(live, clustering, plda)
        self.reclusters: list[tuple[int, float]] = []
        """Samples heard, and seconds of computing it took (of this thread: others' work does not count)."""

    def push(self, heard: Heard) -> tuple[I64, list[SpeakerEvent], bool]:
        """See `Identity.push`."""
        before, begin = self.reclusterings, time.thread_time()
        found = super().push(heard)
        if self.reclusterings > before:
            self.reclusters.append((heard.processed, time.thread_time() - begin))
        return found


@dataclass(slots=True, eq=False)
class Played:
    """A stream that was driven from start to end."""

    samples: int
    """Length of the audio."""
    arrivals: list[Arrival] = field(default_factory=list)
    """Events and when they came."""
    offline: list[Labelled] = field(default_factory=list)
    """Turns of the result."""
    same: bool | None = None
    """Whether the result equals that of the recording as a whole; None where that was not asked."""
    reclusters: list[tuple[int, float]] = field(default_factory=list)
    """Samples heard at a re-clustering, and seconds of computing it took."""
    host: list[tuple[int, float]] = field(default_factory=list)
    """Samples heard after each minute, and seconds the session computed in it: neither networks nor re-clusterings."""
    snapshots: list[tuple[int, int]] = field(default_factory=list)
    """Samples heard, and bytes of a snapshot then."""
    pushes: list[float] = field(default_factory=list)
    """Seconds every piece of audio took, networks included; empty where they were not run."""

    def judged(self, reference: Sequence[Labelled]) -> Tally:
        """Everything measured, against the reference."""
        result = tally(self.arrivals, reference, self.samples, offline=self.offline)
        result.same, result.reclusters, result.snapshots = self.same, self.reclusters, self.snapshots
        result.pushes, result.host = self.pushes, self.host
        return result


def piece_of(step: int) -> int:
    """Samples after which a window may be complete: every window ends with such a piece."""
    return gcd(step, WINDOW)


def play(
    looks: Looks,
    config: PipelineConfig,
    live: LiveConfig,
    model: SpeakerModel,
    identity: Identity | None = None,
    *,
    check: bool = True,
    marks: Sequence[float] = MARKS,
) -> Played:
    """Play a recording of known outputs through a live session whose embeddings come from one network.

    identity: who is who; None for the product's own. check: also compute the result without a live session.
    marks: seconds after which a snapshot is taken and weighed.
    """
    who = identity or ClockedIdentity(live, config.clustering, model.plda)
    session = LiveSession(config, live, model, who)
    played = Played(looks.samples)
    waiting = sorted(round(mark * SAMPLE_RATE) for mark in marks)
    piece = piece_of(config.step)
    silence = np.zeros(piece, np.float32)
    answers = Answers(looks, config.step)
    reclusters = who.reclusters if isinstance(who, ClockedIdentity) else []
    while session.samples < looks.samples:
        until = min(session.samples // MINUTE * MINUTE + MINUTE, looks.samples)
        answers.prepare(session.samples, until)
        begin, known, weighing = time.thread_time(), len(reclusters), 0.0
        while session.samples < until:
            session.push(silence[: min(piece, looks.samples - session.samples)])
            played.arrivals += [(session.samples, event) for event in _answered(session, answers)]
            while waiting and session.samples >= waiting[0]:
                del waiting[0]
                now = time.thread_time()
                played.snapshots.append((session.samples, len(session.snapshot("benchmark"))))
                weighing += time.thread_time() - now
        spent = time.thread_time() - begin - weighing - sum(took for _, took in reclusters[known:])
        if session.samples % MINUTE == 0:
            played.host.append((session.samples, spent))
    played.arrivals += [(session.samples, event) for event in session.finish()]
    played.arrivals += [(session.samples, event) for event in _answered(session, answers)]
    played.snapshots.append((session.samples, len(session.snapshot("benchmark"))))
    played.reclusters = reclusters
    turns = session.outcome().turns
    played.offline = labelled(turns)
    if check:
        played.same = turns == whole(looks, config, model)
    return played


def whole(looks: Looks, config: PipelineConfig, model: SpeakerModel) -> list[CoreTurn]:
    """Turns of a recording of known outputs, without a live session."""
    seen = [looks.window(index) for index in range(window_count(looks.samples, config.step))]
    if not seen:
        return []
    activations = np.stack([one.activations for one in seen])
    history, count = scripted_history(activations, np.stack([one.embeddings for one in seen]), config.step)
    return outcome(history, count, model.plda, config, looks.samples).turns


def labelled(turns: Sequence[CoreTurn]) -> list[Labelled]:
    """Turns of a result in seconds."""
    return [
        Labelled(turn.span.start / SAMPLE_RATE, turn.span.end / SAMPLE_RATE, f"SPEAKER_{turn.speaker:02d}")
        for turn in turns
    ]


def logits(activations: U8) -> F32:
    """Activity (589, 3) as the segmentation network would say it, (589, 7)."""
    return np.asarray(_LOGITS[_CLASS[activations.astype(np.int64) @ _BITS]])


def _answered(session: LiveSession, answers: Answers) -> Iterator[Event]:
    while jobs := session.jobs():
        for job in jobs:
            yield from session.resolve(job.id, answers.of(job))


class Answers:
    """What the networks will say, made beforehand where it can be, so that it takes no time when it is asked."""

    def __init__(self, looks: Looks, step: int) -> None:
        self._looks = looks
        self._step = step
        self._ready: dict[tuple[int, int], tuple[F32, F32]] = {}

    def prepare(self, start: int, end: int) -> None:
        """Make the answers about windows and previews that end in samples start..end."""
        self._ready = {key: said for key, said in self._ready.items() if key[0] != MAIN}
        first = max(0, (start - WINDOW) // self._step + 1)
        for index in range(first, max(first, (end - WINDOW) // self._step + 1)):
            self._said(MAIN, index)
        if start < WINDOW:
            for steps in range(1, (min(end, WINDOW - 1)) // self._step + 1):
                self._said(steps, 0)

    def of(self, job: Job) -> Array:
        """The answer to a job."""
        source, index, _ = job.about
        scores, embeddings = self._said(source, index)
        return scores if job.model == "segmentation" else embeddings

    def _said(self, source: int, index: int) -> tuple[F32, F32]:
        key = (source, index)
        if key not in self._ready:
            look = self._looks.window(index) if source == MAIN else self._looks.preview(source)
            self._ready[key] = logits(look.activations), look.embeddings
        return self._ready[key]
