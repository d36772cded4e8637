"""One stream: audio goes in, questions for the networks come out, answers go in, windows are settled in order.

The session knows no model, clock, thread or file. `push` and `finish` take audio, `jobs` hands out what must be
inferred now, `resolve` takes answers in any order and may raise new questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from speakrs_stream.core import reconstruction
from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import SpeakerCount
from speakrs_stream.core.arrays import F32, Array, Tape, below
from speakrs_stream.core.clustering.offline import Clustering, cluster
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, Extraction, Question
from speakrs_stream.core.embedding.flow import Flow
from speakrs_stream.core.embedding.refinement import Refinement
from speakrs_stream.core.filters import FilterLayout, Filters
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.core.history import History, WindowResult
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.powerset import LOCAL_SPEAKERS, decode
from speakrs_stream.core.reconstruction import CoreTurn
from speakrs_stream.errors import SessionError, SessionFinished


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerModel:
    """What a session must know of a bundle: the shape of its embeddings and its PLDA."""

    layout: EmbeddingLayout
    """How the embedding network is cut."""
    plda: Plda
    """Tables that take embeddings to the space of VBx."""
    filters: FilterLayout | None = None
    """The segmentation's first filters, where they run once over a stream; None where they run in every window."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Who spoke when, as the core sees it."""

    turns: list[CoreTurn]
    """Sorted; speakers numbered 0… (by first appearance, or by cluster with `parity`)."""
    exclusive: list[CoreTurn]
    """At most one speaker at a time, same numbers."""
    embeddings: Array
    """(speakers, D) mean raw embedding of each, NaN where there is none."""
    samples: int
    """Length of the audio."""
    clustering: Clustering
    """How it was found."""


HEARING = ("filters", "segmentation")
"""Questions about sound, which a restored session asks anew."""

Correction = Callable[[Clustering], Clustering]
"""A change of the clustering before turns are made of it."""


def window_count(samples: int, step: int) -> int:
    """Windows of a finished recording: whole ones, and a padded one where audio is left over (pyannote's rule)."""
    if samples <= 0:
        return 0
    whole = (samples - WINDOW) // step + 1 if samples >= WINDOW else 0
    return whole + (samples < WINDOW or (samples - WINDOW) % step > 0)


def extraction(config: PipelineConfig, layout: EmbeddingLayout) -> Extraction:
    """How a stream's embeddings are made; ConfigError where the bundle cannot do that."""
    if config.embedding == "exact" or layout.shared:  # a shared trunk is exact as it is
        return Extraction(layout, config.step)
    return Flow(layout, config.step, keep=config.embedding == "refined")


class Session:
    """The pure state behind a stream or a recording."""

    def __init__(self, config: PipelineConfig, model: SpeakerModel) -> None:
        self.config = config
        self.model = model
        self.samples = 0
        """Samples pushed so far, padding not counted."""
        self.history = History(model.layout.dimension)
        self.count = SpeakerCount(config.step)
        self._audio = Tape()
        self._extraction = extraction(config, model.layout)
        shares = model.filters is not None and model.filters.fits(config.step)
        self._filters = Filters(model.filters, config.step) if model.filters and shares else None
        self._refinement: Refinement | None = None
        self._asked_windows = 0  # windows whose segmentation has been asked for
        self._open: dict[int, Activity | None] = {}  # windows not settled -> who speaks, None while asked for
        self._in_flight: dict[int, Question] = {}
        self._new: list[int] = []
        self._next_id = 0
        self._finished = False

    # -- audio in --------------------------------------------------------------------------------------------

    def push(self, samples: F32) -> None:
        """Add mono samples (n,) float32 at 16 kHz in ±1."""
        if self._finished:
            raise SessionFinished("this stream has been finished; open a new one for more audio")
        if samples.ndim != 1:
            raise SessionError(f"push takes mono samples of shape (n,), got {samples.shape}")
        self.samples += len(samples)
        self._hear(np.asarray(samples, np.float32))

    def finish(self) -> None:
        """No more audio comes: ask for the padded last window."""
        if self._finished:
            return
        self._finished = True
        if self.samples < WINDOW:
            self._filters = None  # one window shares nothing
        windows = window_count(self.samples, self.config.step)
        if windows:
            self._hear(np.zeros((windows - 1) * self.config.step + WINDOW - self.samples, np.float32))

    def _hear(self, samples: F32) -> None:
        self._audio.append(samples)
        self._extraction.fbank.push(samples)
        step = self.config.step
        while self._asked_windows * step + WINDOW <= self._audio.end:
            self._segment(self._asked_windows)
            self._asked_windows += 1

    def _segment(self, window: int) -> None:
        """Ask for a window's activity, or first for what its samples give when they are filtered."""
        self._open[window] = None
        if self._filters is not None:
            for chunk in self._filters.begin(window, self._sound(window)):
                self._ask(Question("filters", (chunk, 0)))
        if self._filters is None or self._filters.ready(window):
            self._ask(Question("segmentation", (window, 0)))

    def _sound(self, window: int) -> F32:
        start = window * self.config.step
        return self._audio.get(start, start + WINDOW)

    def rest(self) -> F32:
        """Sound from where the next whole window will start: (n,), a copy; what a padded last window would hold."""
        return np.asarray(self._audio.get(self._asked_windows * self.config.step, self._audio.end)).copy()

    # -- questions and answers -------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        self._in_flight[self._next_id] = question
        self._new.append(self._next_id)
        self._next_id += 1

    def jobs(self) -> list[Job]:
        """What must be inferred now and has not been handed out yet."""
        return [Job(id_, question.model, inputs, (0, *question.about)) for id_, question, inputs in self.asked()]

    def asked(self) -> list[tuple[int, Question, dict[str, Array]]]:
        """The same as `jobs`: number, question and inputs of each."""
        new, self._new = self._new, []
        questions = [(id_, self._in_flight[id_]) for id_ in new]
        return [(id_, question, self._inputs(question)) for id_, question in questions]

    def ask_again(self) -> None:
        """Hand out every unanswered job once more: whoever had them will not answer."""
        self._new = list(self._in_flight)

    def _inputs(self, question: Question) -> dict[str, Array]:
        number = question.about[0]
        if question.model == "filters":
            assert self._filters is not None
            return {"samples": self._audio.get(*self._filters.samples(number))}
        if question.model == "segmentation":
            return {"samples": self._sound(number)} if self._filters is None else self._filters.inputs(number)
        return self._extraction.inputs(question)

    def resolve(self, job_id: int, output: Array) -> list[WindowResult]:
        """Take a model's answer; return the windows it settled, in order.

        Raises SessionError for an answer nobody waits for, or one of the wrong shape, which may be given again.
        """
        question = self._in_flight.get(job_id)
        if question is None:
            raise SessionError(f"job {job_id} was never asked or is already answered")
        if question.model == "segmentation":
            window = question.about[0]
            if output.shape != (FRAMES_PER_WINDOW, 7):
                raise SessionError(f"segmentation gave {output.shape} where (589, 7) was expected")
            activity = Activity(decode(output))
            follow = self._extraction.push(window, activity)
            self._open[window] = activity
            self._drop_audio()
        elif question.model == "filters":
            follow = self._filtered(question.about[0], output)
        else:
            follow = self._extraction.resolve(question, output)
        del self._in_flight[job_id]
        for next_question in follow:
            self._ask(next_question)
        if self._refinement is not None:
            self._refine()
        return self._settle()

    def _filtered(self, chunk: int, output: Array) -> list[Question]:
        assert self._filters is not None
        wanted = self._filters.shape(chunk)
        if output.shape != wanted:
            raise SessionError(f"the filters gave {output.shape} where {wanted} was expected")
        return [Question("segmentation", (window, 0)) for window in self._filters.have(chunk, output)]

    def _drop_audio(self) -> None:
        waiting = [window for window, activity in self._open.items() if activity is None]
        first = min([*waiting, self._asked_windows])
        start = first * self.config.step
        if self._filters is not None:
            self._filters.forget(first)
            start = self._filters.samples(first)[0]  # a restored session asks for that chunk again
        self._audio.forget(min(start, self._audio.end))

    def _settle(self) -> list[WindowResult]:
        settled = []
        window = len(self.history)
        while (activity := self._open.get(window)) is not None and not self._extraction.pending(window):
            del self._open[window]
            result = WindowResult(window, activity, self._extraction.take(window))
            self.history.push(result)
            self.count.push(activity)
            settled.append(result)
            window += 1
        if settled:
            self._extraction.forget(window)
        return settled

    @property
    def busy(self) -> bool:
        """Whether answers are awaited."""
        return bool(self._in_flight)

    # -- exact embeddings for the result ---------------------------------------------------------------------

    def refine(self) -> None:
        """After `finish` and every answer: ask for exact embeddings in place of fast ones, where the settings say so.

        `outcome` is then that of the exact way. Does nothing a second time.
        """
        if self._refinement is not None or self.config.embedding != "refined" or self.model.layout.shared:
            return
        if not self._finished or self.busy:
            raise SessionError("exact embeddings need finish() and an answer to every job")
        self._refinement = self._extraction = Refinement(self.model.layout, self.config.step, self._extraction.fbank)
        self._refine()

    def _refine(self) -> None:
        assert self._refinement is not None
        for question in self._refinement.advance(self.history):
            self._ask(question)

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays for a snapshot; questions in flight are asked again after `restore`."""
        inner, arrays = self._extraction.state()
        arrays = {f"extraction.{name}": rows for name, rows in arrays.items()}
        arrays |= {f"history.{name}": rows for name, rows in self.history.state().items()}
        count, rows_by_name = self.count.state()
        arrays |= {f"count.{name}": rows for name, rows in rows_by_name.items()}
        arrays["audio"] = self._audio.all().copy()
        for window, activity in self._open.items():
            if activity is not None:
                arrays[f"open.{window}"] = activity.bits
        plain = {
            "samples": self.samples,
            "asked": self._asked_windows,
            "audio": self._audio.start,
            "open": list(self._open),
            "in_flight": [[id_, q.model, *q.about] for id_, q in self._in_flight.items() if q.model not in HEARING],
            "next": self._next_id,
            "finished": self._finished,
            "count": count,
            "refining": self._refinement is not None,
            "extraction": inner,
        }
        return plain, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved; only a new session of the same configuration may."""
        if plain["refining"]:
            fbank = self._extraction.fbank
            self._refinement = self._extraction = Refinement(self.model.layout, self.config.step, fbank)
        self._extraction.restore(plain["extraction"], below(arrays, "extraction."))
        self.history.restore(below(arrays, "history."))
        self.count.restore(plain["count"], below(arrays, "count."))
        self._audio = Tape.of(arrays["audio"], plain["audio"])
        self._open = dict.fromkeys(plain["open"])
        for name, bits in below(arrays, "open.").items():
            self._open[int(name)] = Activity(bits)
        self._in_flight = {id_: Question(model, (a, b)) for id_, model, a, b in plain["in_flight"]}
        self._new = list(self._in_flight)
        self.samples, self._asked_windows = plain["samples"], plain["asked"]
        self._next_id, self._finished = plain["next"], plain["finished"]
        if self._finished and self.samples < WINDOW:
            self._filters = None
        for window in [window for window, activity in self._open.items() if activity is None]:
            self._segment(window)  # what was filtered is not saved: 8 MB that a few milliseconds make again

    # -- the result ------------------------------------------------------------------------------------------

    def outcome(self, bounds: SpeakerBounds | None = None, correct: Correction | None = None) -> Outcome:
        """Cluster everything heard and say who spoke when; needs `finish` and every answer."""
        if not self._finished or self.busy:
            raise SessionError("the result needs finish() and an answer to every job")
        if self.config.embedding == "refined" and not self.model.layout.shared and self._refinement is None:
            raise SessionError("the result needs refine() and an answer to every job")
        return outcome(self.history, self.count, self.model.plda, self.config, self.samples, bounds, correct)


def outcome(
    history: History,
    count: SpeakerCount,
    plda: Plda,
    config: PipelineConfig,
    samples: int,
    bounds: SpeakerBounds | None = None,
    correct: Correction | None = None,
) -> Outcome:
    """Everything after the networks: clustering, reconstruction, turns.

    correct: has the last word on the clustering
    """
    bounds = bounds or SpeakerBounds()
    clustering = cluster(history, plda, config.clustering, bounds)
    if correct is not None:
        clustering = correct(clustering)
    matrix, exclusive = frame_matrices(history, count, clustering, config, bounds)
    turns = reconstruction.turns(matrix, config, samples)
    single = reconstruction.turns(exclusive, config, samples)
    order = sorted({t.speaker for t in turns}) if config.parity else reconstruction.by_appearance(turns)
    order += [speaker for speaker in reconstruction.by_appearance(single) if speaker not in order]
    number = {column: index for index, column in enumerate(order)}
    centroids = np.full((len(order), history.dimension), np.nan)
    for column, index in number.items():
        if column < len(clustering.centroids):
            centroids[index] = clustering.centroids[column]
    return Outcome(
        sorted(CoreTurn(t.span, number[t.speaker]) for t in turns),
        sorted(CoreTurn(t.span, number[t.speaker]) for t in single),
        centroids,
        samples,
        clustering,
    )


def frame_matrices(
    history: History,
    count: SpeakerCount,
    clustering: Clustering,
    config: PipelineConfig,
    bounds: SpeakerBounds | None = None,
) -> tuple[Array, Array]:
    """Who speaks in each global frame, (T, K) of 0 and 1: overlapping, and with one speaker at most."""
    counts = count.finish()
    if bounds is not None and bounds.high is not None:
        counts = np.minimum(counts, min(bounds.high, LOCAL_SPEAKERS)).astype(np.uint8)
    if not counts.any():
        empty = np.zeros((len(counts), 0), np.uint8)
        return empty, empty
    totals = reconstruction.activation_votes(history, clustering.labels, len(clustering.centroids), config.step)
    matrix = reconstruction.top_speakers(totals, counts, allow_silent=config.parity)
    single = reconstruction.top_speakers(totals, np.minimum(counts, 1), allow_silent=config.parity)
    return matrix, single


def scripted_history(segmentation: Array, embeddings: Array, step: int) -> tuple[History, SpeakerCount]:
    """History and counts of recorded network outputs, pushed window by window.

    segmentation: (windows, 589, 3) of 0 and 1; embeddings: (windows, 3, D), NaN where there is none.
    """
    history, count = History(embeddings.shape[2]), SpeakerCount(step)
    for index, (activations, rows) in enumerate(zip(segmentation, embeddings, strict=True)):
        if activations.shape != (FRAMES_PER_WINDOW, LOCAL_SPEAKERS):
            raise SessionError(f"window {index} is {activations.shape}, expected (589, 3)")
        bits = (activations > 0.5).astype(np.uint8)
        activity = Activity(bits)
        history.push(WindowResult(index, activity, np.asarray(rows, np.float32)))
        count.push(activity)
    return history, count
