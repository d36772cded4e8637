"""Group commit: order, promises and faults."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from speakrs_server.committer import Committer, Durability, Submission, Write, commit
from speakrs_server.records import Log, Record, seed_of


def opened(folder: Path, name: str = "input", **options: object) -> Log:
    log = Log(folder, name, seed_of("S", name), **options)  # type: ignore[arg-type]
    log.open()
    return log


def writes(log: Log, *numbers: int) -> tuple[Write, ...]:
    planned = [log.plan(Record(1, 0, number, 1, b"x" * number)) for number in numbers]
    return tuple(Write(log, segment, data) for segment, data, _ in planned)


def positions(log: Log) -> list[int]:
    return [record.position for record, _ in log.records()]


def test_everything_is_written_in_order_and_answered_in_order(tmp_path: Path) -> None:
    flushes: list[float] = []
    committer = Committer(0.001, flushes.append)
    logs = [opened(tmp_path, name) for name in ("one", "two")]
    answers: list[int] = []
    kinds: tuple[Durability, ...] = ("none", "written", "synced")
    for number in range(60):
        log = logs[number % 2]
        done = lambda error, number=number: answers.append(number)  # noqa: E731
        committer.submit(Submission(writes(log, number), kinds[number % 3], done))
    committer.close()
    assert answers == list(range(60))
    assert [positions(log) for log in logs] == [list(range(0, 60, 2)), list(range(1, 60, 2))]
    assert flushes


def test_one_flush_per_log_and_batch(tmp_path: Path) -> None:
    synced: list[int] = []
    log = opened(tmp_path, sync=synced.append)
    commit([Submission(writes(log, n), "synced", lambda error: None) for n in range(5)])
    assert len(synced) == 1
    commit([Submission(writes(log, 9), "written", lambda error: None)])
    assert len(synced) == 1


def test_a_fault_is_told_to_those_it_concerns(tmp_path: Path) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    bad, good = opened(tmp_path, "bad", write=full), opened(tmp_path, "good", write=os.write)
    answers: list[OSError | None] = []
    commit([Submission(writes(log, 1), "synced", answers.append) for log in (bad, good)])
    assert isinstance(answers[0], OSError) and answers[1] is None
    assert bad.broken and positions(good) == [1]


def test_a_flush_that_fails_breaks_the_log(tmp_path: Path) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    log = opened(tmp_path, sync=fails)
    answers: list[OSError | None] = []
    commit([Submission(writes(log, 1), "synced", answers.append)])
    assert isinstance(answers[0], OSError) and log.broken


def test_nothing_is_promised_before_it_is_there(tmp_path: Path) -> None:
    committer, log, seen, told = Committer(0), opened(tmp_path), [], threading.Event()

    def done(error: OSError | None) -> None:
        seen.append(positions(log))
        told.set()

    committer.submit(Submission(writes(log, 3), "synced", done))
    assert told.wait(5)
    committer.close()
    assert seen == [[3]]
