"""One thread does the hearing of all sessions: it takes their audio, asks their questions in batches, and tells.

Batches run in lanes, threads of one inference each; without lanes in the thread itself.

Networks that do not answer cannot be stopped. `watch` notices, leaves their lane to itself and asks what was in that
batch again, one question at a time: whoever hangs alone is to blame, and ends.

A session's inputs are worked on strictly one after the other, each once everything before is answered, so that what
follows from them does not depend on when they came. A fault of one session ends that session alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from speakrs_server.channels import Survey
from speakrs_server.lanes import Lanes
from speakrs_server.messages import Command
from speakrs_server.unit import Unit
from speakrs_stream.core.events import Event
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.scheduler import Asked, Scheduler
from speakrs_stream.driver import run
from speakrs_stream.errors import AudioError, ModelError, SessionError
from speakrs_stream.inference.auto import usable_cores
from speakrs_stream.inference.networks import Networks

PATIENCE = 4.0
"""Seconds after which networks that do not answer are given up."""
SLOWER = 8
"""Times its usual time that a batch may take beyond that."""
Runner: TypeAlias = Callable[[list[Job]], NDArray[Any]]
"""Runs questions of one network and shape."""

Answer: TypeAlias = NDArray[Any] | Exception
"""Of a network, or why there is none."""


class Sound(msgspec.Struct, frozen=True):
    """Audio for a session."""

    payload: bytes
    """As the client sent it."""
    offset: int
    """Position of its first sample, at the client's rate."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command for a session."""

    command: Command
    """What is asked."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Asks for a snapshot once everything before is worked on."""

    name: Any
    """Comes back with it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks what is shown once everything before is worked on."""


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio comes."""


Item: TypeAlias = Sound | Order | Mark | Ask | Finish


@dataclass(frozen=True, slots=True)
class Report:
    """What a session's hearing led to."""

    session: str
    """Whose."""
    events: tuple[Event, ...] = ()
    """In order."""
    processed: int | None = None
    """Sample at the client's rate up to which it has been shown."""
    mark: tuple[Any, bytes] | None = None
    """A snapshot that was asked for, and its name."""
    survey: Survey | None = None
    """What the session shows, where that was asked for."""
    commanded: bool = False
    """Whether the events are what a command led to."""
    refused: tuple[Command, str] | None = None
    """A command that could not be done, and why."""
    finished: Unit | None = None
    """The session is over: its unit, to take the result from."""
    fault: tuple[str, str] | None = None
    """Code and message: the session cannot go on in this process."""


@dataclass(slots=True)
class _Hosted:
    unit: Unit
    items: deque[Item] = field(default_factory=deque)
    finishing: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A batch in a lane."""

    began: float
    """When."""
    asking: list[tuple[Asked[str], _Hosted]]
    """What is asked, and by which hearing."""


@dataclass(slots=True)
class Figures:
    """How hard the thread works."""

    audio_s: float = 0.0
    """Seconds of audio worked on."""
    busy_s: float = 0.0
    """Seconds that the thread spent on it."""
    lane_s: float = 0.0
    """Seconds that the lanes spent on it, all of them together."""
    lanes: int = 1
    """Lanes there are."""
    batches: int = 0
    """Batches run."""
    questions: int = 0
    """Inferences in them."""
    faults: int = 0
    """Sessions that failed."""
    restarts: int = 0
    """Lanes that were given up because the networks did not answer."""

    @property
    def rtf(self) -> float:
        """Seconds of work per second of audio, of the thread or of a lane, whichever has more to do; 0 before half a
        minute was heard."""
        return max(self.busy_s, self.lane_s / self.lanes) / self.audio_s if self.audio_s >= 30 else 0.0

    def capacity(self, share: float) -> float:
        """Sessions that can be carried in real time with a share of the time; infinite before it is known."""
        return share / self.rtf if self.rtf else float("inf")


class Worker:
    """The thread and everything it owns. Methods may be called from any thread."""

    def __init__(
        self,
        runner: Runner,
        tell: Callable[[Report], None],
        *,
        max_batch: int = 16,
        max_wait: float = 0.0,
        lanes: int = 0,
        patience: float = PATIENCE,
        observe: Callable[[str, int, float], None] = lambda model, size, seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """runner: runs a batch; tell: gets reports, in the worker's thread; observe: network, batch size, seconds

        max_batch: questions in a batch at most; max_wait: seconds to wait for a batch to fill up
        lanes: batches run at a time, each in a thread of its own; 0 runs them in the worker's thread
        patience: seconds that a batch may take in a lane
        """
        self.figures = Figures(lanes=max(lanes, 1))
        self.since: float | None = None
        """When the work at hand began; None while there is none."""
        self._runner, self._tell, self._observe, self._clock = runner, tell, observe, clock
        self._plan: Scheduler[str] = Scheduler(max_batch=max_batch, max_wait=max_wait)
        self._lanes = Lanes(lanes) if lanes else None
        self._running: dict[int, Running] = {}  # batches in lanes, by number
        self._given_up = patience
        self._suspects: deque[tuple[Asked[str], _Hosted]] = deque()  # to be asked one at a time
        self._batches = 0
        self._hosted: dict[str, _Hosted] = {}
        self._touched: set[str] = set()
        self._inbox: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="speakrs-worker", daemon=True)
        self._thread.start()

    # -- from any thread -------------------------------------------------------------------------------------

    def host(self, session: str, unit: Unit) -> None:
        """Take over a session's hearing."""
        self._send(lambda: self._hosted.__setitem__(session, _Hosted(unit)))

    def give(self, session: str, item: Item) -> None:
        """Something for a session, behind what it was given before; nothing happens where it is gone."""
        self.give_all([(session, item)])

    def give_all(self, given: Sequence[tuple[str, Item]]) -> None:
        """As `give`, many at once."""

        def give() -> None:
            for session, item in given:
                self._give(session, item)

        self._send(give)

    def drop(self, session: str) -> None:
        """Forget a session."""
        self._send(lambda: self._forget(session))

    def stop(self) -> None:
        """End the thread; what is not done yet stays undone."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()
        if self._lanes is not None:
            self._lanes.close()

    def watch(self) -> None:
        """Look whether the networks answer; to be called again and again."""
        self._send(self._watch)

    @property
    def depth(self) -> int:
        """Questions that wait for the networks."""
        return len(self._plan)

    def _send(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._inbox.append(call)
            if len(self._inbox) == 1:  # else the thread knows already
                self._changed.notify()

    # -- in the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._inbox or self._stopped or self._touched):
                    patience = self._patience()
                    if patience is not None and patience <= 0:
                        break
                    self._changed.wait(patience)
                if self._stopped:
                    return
                calls, self._inbox = self._inbox, deque()
            began = self._clock()
            self.since = min([began, *(running.began for running in self._running.values())])
            for call in calls:
                call()
            touched, self._touched = self._touched, set()
            for session in touched:
                self._advance(session)
            while self._free and (batch := self._take()):
                self._start(batch)
                if self._lanes is None:
                    break
            self.figures.busy_s += self._clock() - began
            self.since = min((running.began for running in self._running.values()), default=None)

    @property
    def _free(self) -> bool:
        """Whether a batch could be run now."""
        return self._lanes is None or len(self._running) < self.figures.lanes

    def _take(self) -> list[Asked[str]]:
        """What to run now: those who are suspected to hang by themselves, before everybody else."""
        while self._suspects:
            one, hosted = self._suspects.popleft()
            if self._hosted.get(one.stream) is hosted:
                return [one]
        return self._plan.take(self._clock())

    def _watch(self) -> None:
        now = self._clock()
        hung = [number for number, one in self._running.items() if now - one.began >= self._longest(len(one.asking))]
        if not hung or self._lanes is None:
            return
        for number in hung:
            asking = self._running.pop(number).asking
            self.figures.restarts += 1
            if len(asking) > 1:
                self._suspects.extend(asking)
            elif self._hosted.get(asking[0][0].stream) is asking[0][1]:
                self._fail(asking[0][0].stream, TimeoutError())
        old, self._lanes = self._lanes, Lanes(self.figures.lanes)
        old.close()  # what runs there still answers

    def _longest(self, questions: int) -> float:
        """Seconds that so many questions may take: a machine that is slow in all of them is no hung network."""
        usual = self.figures.lane_s / self.figures.questions if self.figures.questions else 0.0
        return max(self._given_up, SLOWER * usual * questions)

    def _patience(self) -> float | None:
        """Seconds until a batch is due; None where none waits, or all lanes are taken."""
        if self._suspects and self._free:
            return 0.0
        deadline = self._plan.deadline() if self._free else None
        return None if deadline is None else deadline - self._clock()

    def _give(self, session: str, item: Item) -> None:
        if session in self._hosted:
            self._hosted[session].items.append(item)
            self._touched.add(session)

    def _forget(self, session: str) -> None:
        self._hosted.pop(session, None)
        self._plan.forget(session)

    def _fail(self, session: str, error: Exception) -> None:
        code = "bad_audio" if isinstance(error, AudioError) else "engine_failed"
        self.figures.faults += 1
        self._forget(session)
        self._tell(Report(session, fault=(code, str(error) if code == "bad_audio" else type(error).__name__)))

    def _advance(self, session: str) -> None:
        """Give a session its next inputs, as far as everything before is answered."""
        hosted = self._hosted.get(session)
        try:
            while hosted is not None and session in self._hosted:
                for job in hosted.unit.jobs():
                    self._plan.add(session, job, self._clock())
                if hosted.unit.busy or not self._next(session, hosted):
                    return
        except Exception as error:  # whatever goes wrong in one session must not stop the others
            self._fail(session, error)

    def _next(self, session: str, hosted: _Hosted) -> bool:
        """Work on the next input of an idle session; whether there was one."""
        unit = hosted.unit
        if hosted.finishing and not hosted.items:
            if hosted.closed:
                self._forget(session)
                self._tell(Report(session, processed=unit.position, finished=unit))
                return False
            hosted.closed = True
            self._tell(Report(session, tuple(unit.close()), unit.processed))
            return True
        if not hosted.items:
            return False
        match item := hosted.items.popleft():
            case Sound():
                unit.push(item.payload, item.offset)
                while hosted.items and isinstance(following := hosted.items[0], Sound):
                    hosted.items.popleft()
                    unit.push(following.payload, following.offset)
            case Order():
                try:
                    events = tuple(unit.command(item.command))
                    self._tell(Report(session, events, unit.processed, commanded=True))
                except (SessionError, ValueError) as error:
                    self._tell(Report(session, refused=(item.command, str(error))))
            case Mark():
                self._tell(Report(session, processed=unit.processed, mark=(item.name, unit.snapshot())))
            case Ask():
                self._tell(Report(session, processed=unit.processed, survey=unit.survey()))
            case Finish():
                unit.finish()
                hosted.finishing = True
        return True

    def _start(self, batch: list[Asked[str]]) -> None:
        """Run a batch, in a lane where there are any."""
        asking = [(one, self._hosted[one.stream]) for one in batch]
        if self._lanes is None:
            self._answered(asking, *self._infer(batch))
            return
        number, self._batches = self._batches, self._batches + 1
        self._running[number] = Running(self._clock(), asking)

        def work() -> None:
            answers, seconds = self._infer(batch)
            self._send(lambda: done(answers, seconds))

        def done(answers: list[Answer], seconds: float) -> None:
            if self._running.pop(number, None) is None:
                return  # given up: it was asked again
            self.figures.lane_s += seconds
            self._answered(asking, answers, seconds)

        self._lanes.submit(work)

    def _infer(self, batch: list[Asked[str]]) -> tuple[list[Answer], float]:
        """Answers to a batch, or what went wrong, and the seconds that took. In any thread."""
        began = self._clock()
        answers: list[Answer]
        try:
            answers = list(self._runner([one.job for one in batch]))
        except Exception:  # one of them may be to blame: each alone
            answers = [self._alone(one) for one in batch]
        return answers, self._clock() - began

    def _alone(self, one: Asked[str]) -> Answer:
        try:
            answer: NDArray[Any] = self._runner([one.job])[0]
        except Exception as error:
            return error
        return answer

    def _answered(self, asking: list[tuple[Asked[str], _Hosted]], answers: list[Answer], seconds: float) -> None:
        self._observe(asking[0][0].job.model, len(asking), seconds)
        self.figures.batches += 1
        self.figures.questions += len(asking)
        for (one, hosted), answer in zip(asking, answers, strict=True):
            if self._hosted.get(one.stream) is not hosted:
                continue  # the session is gone, or a new one of that name is there
            try:
                if isinstance(answer, Exception):
                    raise answer
                self._resolve(one, answer)
            except Exception as error:
                self._fail(one.stream, error)

    def _resolve(self, one: Asked[str], output: NDArray[Any]) -> None:
        hosted = self._hosted[one.stream]
        if not numbers(one.job, output):
            raise ModelError(f"the {one.job.model} network gives values that are not numbers")
        self._touched.add(one.stream)
        before = hosted.unit.processed
        events = hosted.unit.resolve(one.job.id, output)
        after = hosted.unit.processed
        if events or after != before:
            self.figures.audio_s += max(after - before, 0) / hosted.unit.recipe.audio.sample_rate
            self._tell(Report(one.stream, tuple(events), after))


def numbers(job: Job, output: NDArray[Any]) -> bool:
    """Whether an answer consists of numbers; embeddings of those who say nothing (multimask) may be none."""
    finite = np.isfinite(output)
    if job.model == "multimask" and output.ndim == 2:
        finite = finite[job.inputs["masks"].any(axis=1)]
    return bool(finite.all())


def lanes(wanted: int, backend: str) -> int:
    """Batches to run at a time: `wanted`, or for -1 one on a GPU, one a core elsewhere.

    backend: name of what runs the networks
    """
    if wanted >= 0:
        return wanted
    return 1 if backend == "cuda" else usable_cores()


def runner_of(networks: Networks) -> Runner:
    """A runner over loaded networks."""

    def runner(jobs: list[Job]) -> NDArray[Any]:
        return run(jobs, networks)

    return runner
