"""One thread does the hearing of all sessions: it takes their audio, runs their questions in batches, and tells.

A session's inputs are worked on strictly one after the other, each once everything before is answered, so that what
follows from them does not depend on when they came. A fault of one session ends that session alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

from speakrs_server.messages import Command
from speakrs_server.unit import Unit
from speakrs_stream.core.events import Event
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.scheduler import Asked, Scheduler
from speakrs_stream.driver import run
from speakrs_stream.errors import AudioError, SessionError
from speakrs_stream.inference.networks import Networks

Runner: TypeAlias = Callable[[list[Job]], NDArray[Any]]
"""Runs questions of one network and shape."""


@dataclass(frozen=True, slots=True)
class Sound:
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
class Finish:
    """No more audio comes."""


Item: TypeAlias = Sound | Order | Mark | Finish


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


@dataclass(slots=True)
class Figures:
    """How hard the thread works."""

    audio_s: float = 0.0
    """Seconds of audio worked on."""
    busy_s: float = 0.0
    """Seconds spent on it."""
    batches: int = 0
    """Batches run."""
    questions: int = 0
    """Inferences in them."""
    faults: int = 0
    """Sessions that failed."""

    @property
    def rtf(self) -> float:
        """Seconds of work per second of audio; 0 before half a minute was heard."""
        return self.busy_s / self.audio_s if self.audio_s >= 30 else 0.0

    def capacity(self, share: float = 0.8) -> float:
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
        observe: Callable[[str, int, float], None] = lambda model, size, seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """runner: runs a batch; tell: gets reports, in the worker's thread; observe: network, batch size, seconds"""
        self.figures = Figures()
        self.since: float | None = None
        """When the work at hand began; None while there is none."""
        self._runner, self._tell, self._observe, self._clock = runner, tell, observe, clock
        self._plan: Scheduler[str] = Scheduler(max_batch=max_batch)
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
        self._send(lambda: self._give(session, item))

    def drop(self, session: str) -> None:
        """Forget a session."""
        self._send(lambda: self._forget(session))

    def stop(self) -> None:
        """End the thread; what is not done yet stays undone."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _send(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._inbox.append(call)
            self._changed.notify()

    # -- in the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._inbox or self._stopped or self._touched or len(self._plan)):
                    self._changed.wait()
                if self._stopped:
                    return
                calls, self._inbox = self._inbox, deque()
            self.since = began = self._clock()
            for call in calls:
                call()
            touched, self._touched = self._touched, set()
            for session in touched:
                self._advance(session)
            if batch := self._plan.take(self._clock()):
                self._batch(batch)
            self.figures.busy_s += self._clock() - began
            self.since = None

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
                    self._tell(Report(session, tuple(unit.command(item.command)), unit.processed))
                except (SessionError, ValueError) as error:
                    self._tell(Report(session, refused=(item.command, str(error))))
            case Mark():
                self._tell(Report(session, processed=unit.processed, mark=(item.name, unit.snapshot())))
            case Finish():
                unit.finish()
                hosted.finishing = True
        return True

    def _batch(self, batch: list[Asked[str]]) -> None:
        began = self._clock()
        jobs = [one.job for one in batch]
        try:
            outputs = list(self._runner(jobs))
        except Exception:  # one of them may be to blame: each alone
            for one in batch:
                try:
                    self._resolve(one, self._runner([one.job])[0])
                except Exception as error:
                    if one.stream in self._hosted:
                        self._fail(one.stream, error)
            return
        self._observe(jobs[0].model, len(jobs), self._clock() - began)
        self.figures.batches += 1
        self.figures.questions += len(jobs)
        for one, output in zip(batch, outputs, strict=True):
            try:
                self._resolve(one, output)
            except Exception as error:
                self._fail(one.stream, error)

    def _resolve(self, one: Asked[str], output: NDArray[Any]) -> None:
        hosted = self._hosted.get(one.stream)
        if hosted is None:
            return
        self._touched.add(one.stream)
        before = hosted.unit.processed
        events = hosted.unit.resolve(one.job.id, output)
        after = hosted.unit.processed
        if events or after != before:
            self.figures.audio_s += max(after - before, 0) / hosted.unit.recipe.audio.sample_rate
            self._tell(Report(one.stream, tuple(events), after))


def runner_of(networks: Networks) -> Runner:
    """A runner over loaded networks."""

    def runner(jobs: list[Job]) -> NDArray[Any]:
        return run(jobs, networks)

    return runner
