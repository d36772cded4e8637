"""The background queue: bounded, cancellable, nothing lost, one bad file alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import Progress
from speakrs_stream.errors import (
    BadFormat,
    Cancelled,
    ConfigError,
    QueueClosed,
    QueueFull,
    SpeakrsError,
    WorkerDied,
)
from speakrs_stream.queue import DiarizationQueue, JobState

PATIENCE = 10.0
"""Seconds after which a wait in these tests counts as a deadlock."""


def nothing_said(uri: str) -> Diarization:
    return Diarization(uri=uri, samples=16_000, turns=(), exclusive=(), speakers=())


class ScriptedEngine:
    """Answers by the file's name: `bad…` fails, `bug…` has a bug, `fatal…` ends the thread, `slow…` waits.

    A slow job goes on when `release` is set, or stops when it is cancelled.
    """

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def diarize(
        self,
        audio: Any,
        *,
        hook: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        uri: str | None = None,
        **options: Any,
    ) -> Diarization:
        name = uri or (Path(audio).stem if isinstance(audio, str | Path) else "samples")
        with self._lock:
            self.begun.append(name)
            self.options.append(options)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if hook is not None:
                hook(Progress("inference", 8_000, 16_000))
            if name.startswith("bad"):
                raise BadFormat(f"{name}: not audio")
            if name.startswith("bug"):
                raise ZeroDivisionError("a bug of ours")
            if name.startswith("fatal"):
                raise SystemExit(3)
            while name.startswith("slow") and not self.release.wait(0.002):
                if cancel is not None and cancel():
                    raise Cancelled(f"{name}: cancelled")
            return nothing_said(name)
        finally:
            with self._lock:
                self._at_once -= 1


@contextmanager
def no_slower_than(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def test_every_job_comes_out_once_and_one_bad_file_stops_nothing() -> None:
    names = ["a.wav", "bad.wav", "b.wav", "bug.wav", "c.wav"]
    with DiarizationQueue(ScriptedEngine()) as queue:
        for name in names:
            queue.submit(name)
        jobs = list(queue)
    assert [job.name for job in jobs] == names  # one worker: the order of submission
    assert [job.state for job in jobs] == [
        JobState.DONE,
        JobState.FAILED,
        JobState.DONE,
        JobState.FAILED,
        JobState.DONE,
    ]
    assert isinstance(jobs[1].error, BadFormat)
    assert isinstance(jobs[3].error, ZeroDivisionError)
    assert jobs[4].result().uri == "c"


def test_results_come_in_the_order_they_finish() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine, workers=2) as queue:
        queue.submit("slow.wav")
        wait_until(lambda: "slow" in engine.begun)
        queue.submit("quick.wav")
        first = queue.take(PATIENCE)
        assert first is not None and first.name == "quick.wav"
        engine.release.set()
        assert [job.name for job in queue] == ["slow.wav"]


def test_options_reach_the_engine_and_samples_are_let_go() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine) as queue:
        job = queue.submit(np.zeros(8_000, np.float32), sample_rate=8_000, uri="call", min_speakers=2, max_speakers=3)
        assert job.result(PATIENCE).uri == "call"
    assert engine.options == [{"sample_rate": 8_000, "num_speakers": None, "min_speakers": 2, "max_speakers": 3}]
    assert job.path is None and job.name == "call"
    assert not any(isinstance(value, np.ndarray) for value in vars(job).values())


def test_a_full_queue_refuses_or_waits() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine, capacity=1) as queue:
        queue.submit("slow-1.wav")
        wait_until(lambda: engine.begun == ["slow-1"])
        queue.submit("slow-2.wav")
        with pytest.raises(QueueFull, match="1 recordings wait"):
            queue.submit("c.wav", block=False)
        with pytest.raises(QueueFull):
            queue.submit("c.wav", timeout=0.02)
        threading.Timer(0.05, engine.release.set).start()
        queue.submit("c.wav", timeout=PATIENCE)  # waits for room
        assert [job.name for job in queue] == ["slow-1.wav", "slow-2.wav", "c.wav"]


def test_cancelling_one_job_leaves_the_others() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine) as queue:
        running = queue.submit("slow.wav")
        waiting = queue.submit("b.wav")
        last = queue.submit("c.wav")
        wait_until(lambda: running.state is JobState.RUNNING)
        assert waiting.cancel()
        assert waiting.state is JobState.CANCELLED
        assert running.cancel()
        assert [job.number for job in queue] == [1, 0, 2]
    assert running.state is JobState.CANCELLED and isinstance(running.error, Cancelled)
    assert last.state is JobState.DONE
    assert not last.cancel()
    assert "b" not in engine.begun
    with pytest.raises(Cancelled):
        waiting.result()


def test_cancelling_all_ends_soon_and_everything_still_comes_out() -> None:
    engine = ScriptedEngine()
    with no_slower_than(PATIENCE), DiarizationQueue(engine, workers=2) as queue:
        jobs = [queue.submit(f"slow-{i}.wav") for i in range(20)]
        assert queue.cancel() == 20
        assert sorted(job.number for job in queue) == list(range(20))
    assert {job.state for job in jobs} == {JobState.CANCELLED}


def test_leaving_because_of_an_error_cancels_the_rest() -> None:
    engine = ScriptedEngine()
    with no_slower_than(PATIENCE), pytest.raises(KeyError), DiarizationQueue(engine) as queue:
        job = queue.submit("slow.wav")
        raise KeyError("the caller's own")
    assert job.state is JobState.CANCELLED


def test_a_dead_worker_is_told_and_the_others_go_on() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine, workers=2) as queue:
        victim = queue.submit("fatal.wav")
        with pytest.raises(WorkerDied, match=r"fatal\.wav.*SystemExit"):
            victim.result(PATIENCE)
        wait_until(lambda: queue.statistics().workers == 1)
        assert queue.submit("b.wav").result(PATIENCE).uri == "b"
        assert len(list(queue)) == 2


def test_with_the_last_worker_dead_nothing_waits_for_ever() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine) as queue:
        held = queue.submit("slow.wav")
        wait_until(lambda: held.state is JobState.RUNNING)
        queue.submit("fatal.wav")
        orphan = queue.submit("b.wav")
        engine.release.set()
        states = [job.state for job in queue]
        assert states == [JobState.DONE, JobState.FAILED, JobState.FAILED]
        with pytest.raises(WorkerDied, match="no worker is left"):
            orphan.result(PATIENCE)
        with pytest.raises(WorkerDied, match="every worker"):
            queue.submit("c.wav")


def test_progress_is_seen_and_passed_on() -> None:
    seen: list[Progress] = []
    with DiarizationQueue(ScriptedEngine()) as queue:
        job = queue.submit("a.wav", hook=seen.append)
        job.result(PATIENCE)
    assert seen == [Progress("inference", 8_000, 16_000)]
    assert job.progress == seen[0]
    assert job.elapsed > 0


def test_a_hook_that_fails_fails_its_job_only() -> None:
    def broken(progress: Progress) -> None:
        raise LookupError("the caller's hook")

    with DiarizationQueue(ScriptedEngine()) as queue:
        job = queue.submit("a.wav", hook=broken)
        other = queue.submit("b.wav")
        with pytest.raises(LookupError):
            job.result(PATIENCE)
        assert other.result(PATIENCE).uri == "b"


def test_closing() -> None:
    queue = DiarizationQueue(ScriptedEngine())
    job = queue.submit("a.wav")
    with pytest.raises(QueueClosed, match="close"):
        queue.join()
    queue.close()
    with pytest.raises(QueueClosed, match="closed"):
        queue.submit("b.wav")
    assert queue.join(PATIENCE)
    assert queue.take() is job
    assert queue.take() is None
    assert list(queue) == []
    assert repr(queue) == "<DiarizationQueue 0 waiting, 0 running, 0 finished, closed>"
    assert repr(job) == "<Job 0 'a.wav' done>"


def test_closing_wakes_a_submitter_that_waits_for_room() -> None:
    engine = ScriptedEngine()
    queue = DiarizationQueue(engine, capacity=1)
    queue.submit("slow-1.wav")
    wait_until(lambda: engine.begun == ["slow-1"])
    queue.submit("slow-2.wav")
    threading.Timer(0.05, queue.close).start()
    with pytest.raises(QueueClosed):
        queue.submit("c.wav")
    queue.cancel()
    assert queue.join(PATIENCE)


def test_waits_that_are_over() -> None:
    engine = ScriptedEngine()
    with DiarizationQueue(engine) as queue:
        job = queue.submit("slow.wav")
        with pytest.raises(TimeoutError):
            job.result(0.01)
        with pytest.raises(TimeoutError):
            queue.take(0.01)
        engine.release.set()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"capacity": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        DiarizationQueue(ScriptedEngine(), **wrong)


def test_queue_errors_are_ours() -> None:
    assert all(issubclass(error, SpeakrsError) for error in (QueueFull, QueueClosed, WorkerDied))


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["good", "bad", "bug"]), max_size=30),
    workers=st.integers(1, 4),
    capacity=st.integers(1, 5),
    consumers=st.integers(1, 3),
    cancelled=st.sets(st.integers(0, 29)),
)
def test_nothing_is_lost_whatever_the_threads_do(
    kinds: list[str], workers: int, capacity: int, consumers: int, cancelled: set[int]
) -> None:
    engine = ScriptedEngine()
    taken: list[int] = []
    queue = DiarizationQueue(engine, workers=workers, capacity=capacity)

    def consume() -> None:
        while (job := queue.take(PATIENCE)) is not None:
            taken.append(job.number)

    threads = [threading.Thread(target=consume) for _ in range(consumers)]
    for thread in threads:
        thread.start()
    jobs = []
    for i, kind in enumerate(kinds):
        job = queue.submit(f"{kind}-{i}.wav")
        if i in cancelled:
            job.cancel()
        jobs.append(job)
    queue.close()
    assert queue.join(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(taken) == list(range(len(kinds)))
    assert all(job.state.final for job in jobs)
    assert engine.most_at_once <= workers
    for i, (kind, job) in enumerate(zip(kinds, jobs, strict=True)):
        expected = {JobState.DONE} if kind == "good" else {JobState.FAILED}
        assert job.state in (expected | {JobState.CANCELLED} if i in cancelled else expected)
