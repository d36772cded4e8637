"""Many recordings in the background: a bounded queue in front of one engine.

Jobs wait in a queue of fixed capacity, one or more threads run them, and finished jobs come out in the order
they finish. A file that cannot be diarized fails alone: its error travels in its job. Nothing submitted is
ever lost: every job comes out exactly once, done, failed or cancelled.

    with DiarizationQueue(Engine()) as queue:
        for path in paths:
            queue.submit(path)
        for job in queue:
            print(job.name, job.error or job.result().airtime())
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from speakrs_stream.errors import Cancelled, ConfigError, QueueClosed, QueueFull, WorkerDied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from speakrs_stream.diarization import Diarization
    from speakrs_stream.engine import Progress

    Audio: TypeAlias = str | Path | NDArray[Any]


class Diarizer(Protocol):
    """What the queue needs of an engine; `Engine` has it, and so has any stand-in."""

    def diarize(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        uri: str | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Diarization:
        """Diarize one recording; raises `Cancelled` soon after `cancel` answers true."""
        ...


class JobState(Enum):
    """Where a job is on its way."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether a job stays in this state for ever."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """How many jobs are where, at one moment."""

    waiting: int
    """Jobs not begun."""

    running: int
    """Jobs a worker is busy with."""

    finished: int
    """Jobs done, failed or cancelled that nobody has taken yet."""

    workers: int
    """Threads alive."""


class Job:
    """Handle of one recording in the queue; made by `DiarizationQueue.submit`."""

    def __init__(self, queue: DiarizationQueue, number: int, audio: Audio, options: dict[str, Any]) -> None:
        self.number = number
        """Position in the order of submission, from 0."""
        self.path = Path(audio) if isinstance(audio, str | Path) else None
        """The file, or None when samples were submitted."""
        self.name: str = options.get("uri") or (str(audio) if self.path else f"recording {number}")
        """What to call the recording when talking to people."""
        self._queue = queue
        self._audio: Audio | None = audio
        self._options = options
        self._hook: Callable[[Progress], None] | None = options.pop("hook")
        self._cancel_asked = False
        self._state = JobState.WAITING
        self._progress: Progress | None = None
        self._diarization: Diarization | None = None
        self._error: Exception | None = None
        self._started: float | None = None
        self._ended: float | None = None

    def __repr__(self) -> str:
        return f"<Job {self.number} {self.name!r} {self._state.value}>"

    @property
    def state(self) -> JobState:
        """Where the job is now."""
        return self._state

    @property
    def progress(self) -> Progress | None:
        """The engine's latest report, or None before the first one."""
        return self._progress

    @property
    def error(self) -> Exception | None:
        """Why the job failed or that it was cancelled; None otherwise."""
        return self._error

    @property
    def elapsed(self) -> float:
        """Seconds of work so far; of the whole job once it has ended, and 0 before it begins."""
        if self._started is None:
            return 0.0
        return (time.monotonic() if self._ended is None else self._ended) - self._started

    def cancel(self) -> bool:
        """Ask for the job to stop; true when it had not ended yet.

        A waiting job is cancelled at once, a running one at the engine's next look. Either way it still comes
        out of the queue, with `Cancelled` as its error, unless the engine had finished before it looked.
        """
        return self._queue._cancel(self)

    def result(self, timeout: float | None = None) -> Diarization:
        """Wait for the diarization, at most `timeout` seconds.

        Raises the job's own error when it failed or was cancelled, and `TimeoutError` when the time is over.
        Reading a result does not take the job out of the queue's iteration.
        """
        self._queue._wait_for(self, timeout)
        if self._error is not None:
            raise self._error
        assert self._diarization is not None
        return self._diarization


class DiarizationQueue:
    """A bounded queue of recordings in front of one engine, worked off by threads; usable from any thread.

    engine: what diarizes; with more than one worker its `diarize` is called from several threads at once
    workers: threads; each holds the memory of one recording in progress
    capacity: most jobs that may wait to be started; results that nobody has taken are not counted

    Raises `ConfigError` when `workers` or `capacity` is below 1.
    """

    def __init__(self, engine: Diarizer, *, workers: int = 1, capacity: int = 64) -> None:
        if workers < 1:
            raise ConfigError(f"a queue needs at least 1 worker, got {workers}")
        if capacity < 1:
            raise ConfigError(f"a queue needs room for at least 1 job, got {capacity}")
        self._engine = engine
        self._capacity = capacity
        self._changed = Condition()
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._finished: deque[Job] = deque()
        self._submitted = 0
        self._closed = False
        self._death: BaseException | None = None
        self._alive = workers
        self._threads = [Thread(target=self._work, name=f"diarization-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def __repr__(self) -> str:
        now = self.statistics()
        counts = f"{now.waiting} waiting, {now.running} running, {now.finished} finished"
        return f"<DiarizationQueue {counts}{', closed' if self._closed else ''}>"

    def __enter__(self) -> DiarizationQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close and wait for the workers; when leaving because of an error, cancel what is left first."""
        if error is not None:
            self.cancel()
        self.close()
        self.join()

    def submit(
        self,
        audio: Audio,
        *,
        block: bool = True,
        timeout: float | None = None,
        sample_rate: int | None = None,
        uri: str | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[[Progress], None] | None = None,
    ) -> Job:
        """Add a recording (a file or samples, as for `Engine.diarize`) and return its handle.

        block: wait for room when the queue is full, at most `timeout` seconds; otherwise raise at once
        hook: called from the worker's thread with the engine's progress

        Raises `QueueFull`, `QueueClosed`, or `WorkerDied` when no worker is left.
        """
        options = {
            "sample_rate": sample_rate,
            "uri": uri,
            "num_speakers": num_speakers,
            "min_speakers": min_speakers,
            "max_speakers": max_speakers,
            "hook": hook,
        }
        with self._changed:
            self._changed.wait_for(self._accepts_or_never_will, timeout if block else 0)
            if self._closed:
                raise QueueClosed("this queue is closed; make a new one for more recordings")
            if self._alive == 0:
                raise WorkerDied(f"every worker of this queue has died: {self._death!r}")
            if len(self._waiting) >= self._capacity:
                raise QueueFull(f"{self._capacity} recordings wait already; take results or submit later")
            job = Job(self, self._submitted, audio, options)
            self._submitted += 1
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def _accepts_or_never_will(self) -> bool:
        return self._closed or self._alive == 0 or len(self._waiting) < self._capacity

    def take(self, timeout: float | None = None) -> Job | None:
        """The job that finished first among those not taken yet; waits for one, at most `timeout` seconds.

        None when the queue is closed and every job has been taken. Raises `TimeoutError` when the time is
        over. For a consumer beside the submitting thread; a plain loop over the queue is enough otherwise.
        """
        with self._changed:
            ready = self._changed.wait_for(
                lambda: self._finished or (self._closed and not self._outstanding()), timeout
            )
            if not ready:
                raise TimeoutError("no recording has finished yet")
            return self._pop_finished()

    def __iter__(self) -> Iterator[Job]:
        """Jobs in the order they finish, until everything submitted so far has come out once."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._finished or not self._outstanding())
                job = self._pop_finished()
            if job is None:
                return
            yield job

    def _pop_finished(self) -> Job | None:
        if not self._finished:
            return None
        job = self._finished.popleft()
        self._changed.notify_all()
        return job

    def _outstanding(self) -> bool:
        return bool(self._waiting or self._running or self._finished)

    def cancel(self) -> int:
        """Cancel every job that has not ended; returns how many there were."""
        with self._changed:
            jobs = [*self._waiting, *self._running]
            return sum(self._cancel(job) for job in jobs)

    def close(self) -> None:
        """Accept nothing more; what was submitted is still worked off. Returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the workers of a closed queue to end, at most `timeout` seconds; true when they have.

        Raises `QueueClosed` when the queue is still open, since that wait would never end.
        """
        if not self._closed:
            raise QueueClosed("close() the queue before join(): its workers wait for more recordings")
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def statistics(self) -> QueueStatistics:
        """How many jobs wait, run and are ready to be taken, and how many workers live."""
        with self._changed:
            return QueueStatistics(len(self._waiting), len(self._running), len(self._finished), self._alive)

    def _cancel(self, job: Job) -> bool:
        with self._changed:
            if job._state.final:
                return False
            job._cancel_asked = True
            if job._state is JobState.WAITING:
                self._waiting.remove(job)
                self._end(job, JobState.CANCELLED, error=Cancelled(f"{job.name}: cancelled before it began"))
            return True

    def _wait_for(self, job: Job, timeout: float | None) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: job._state.final, timeout):
                raise TimeoutError(f"{job.name} is not finished after {timeout} s")

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._run(job)
        except BaseException as death:  # SystemExit and the like: nothing above this frame could tell anybody
            self._bury(death)
        else:
            with self._changed:
                self._alive -= 1
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            job = self._waiting.popleft()
            self._running.append(job)
            job._state = JobState.RUNNING
            job._started = time.monotonic()
            self._changed.notify_all()
            return job

    def _run(self, job: Job) -> None:
        def report(progress: Progress) -> None:
            job._progress = progress
            if job._hook is not None:
                job._hook(progress)

        assert job._audio is not None
        try:
            diarization = self._engine.diarize(
                job._audio, **job._options, hook=report, cancel=lambda: job._cancel_asked
            )
        except Cancelled as error:
            self._end(job, JobState.CANCELLED, error=error)
        except Exception as error:  # this thread is the outermost shell: the error leaves with its job
            self._end(job, JobState.FAILED, error=error)
        except BaseException as death:
            died = WorkerDied(f"{job.name}: the worker died of {death!r}")
            died.__cause__ = death
            self._end(job, JobState.FAILED, error=died)
            raise
        else:
            self._end(job, JobState.DONE, diarization=diarization)

    def _end(
        self,
        job: Job,
        state: JobState,
        *,
        diarization: Diarization | None = None,
        error: Exception | None = None,
    ) -> None:
        with self._changed:
            if job in self._running:
                self._running.remove(job)
            job._state = state
            job._diarization = diarization
            job._error = error
            job._ended = time.monotonic()
            job._audio = None  # hours of samples must not live on with a result that nobody has taken
            self._finished.append(job)
            self._changed.notify_all()

    def _bury(self, death: BaseException) -> None:
        """Note a worker's death; with the last one, fail what nobody will ever run."""
        with self._changed:
            self._alive -= 1
            self._death = death
            if self._alive == 0:
                while self._waiting:
                    job = self._waiting.popleft()
                    orphaned = WorkerDied(f"{job.name}: no worker is left after {death!r}")
                    self._end(job, JobState.FAILED, error=orphaned)
            self._changed.notify_all()
