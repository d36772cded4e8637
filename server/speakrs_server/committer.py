"""Group commit: one thread writes what all sessions append, and says when it is as safe as was promised."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import msgspec

from speakrs_server.records import Log

Durability = Literal["none", "written", "synced"]


class Write(msgspec.Struct, frozen=True, eq=False):
    """Bytes on their way to a log."""

    log: Log
    """Where they go."""
    segment: int
    """Segment of it."""
    data: bytes
    """What is appended."""


class Submission(msgspec.Struct, frozen=True, eq=False):
    """Writes that belong together."""

    writes: tuple[Write, ...]
    """In order."""
    durability: Durability
    """How safe they must be."""
    done: Callable[[OSError | None], None]
    """Called in the order of submission; the error means that they are not there."""


class Committer:
    """The thread. Submissions are written in order, those of a short while together, with one flush per file."""

    def __init__(
        self,
        interval_s: float = 0.02,
        observe: Callable[[float], None] = lambda seconds: None,
        call: Callable[[Callable[[], None]], object] = lambda function: function(),
    ) -> None:
        """interval_s: seconds to gather submissions; observe: told how long each flush took; call: runs the answers of
        a batch, in whatever thread they belong to."""
        self._call = call
        self._interval = interval_s
        self._observe = observe
        self._waiting: deque[Submission] = deque()
        self._idle = False
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="speakrs-committer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Hand over; returns at once."""
        assert not self._closed
        self._waiting.append(submission)  # a lock for each would be dear: appending is atomic
        if self._idle:  # else the thread is awake, and gathers or looks again
            with self._changed:
                self._idle = False
                self._changed.notify()

    def close(self) -> None:
        """Write everything that was submitted, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = True  # from here on whoever submits wakes us
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._idle = False
                if not self._waiting:
                    return
                if not self._closed and self._interval:
                    self._changed.wait_for(lambda: self._closed, self._interval)
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._call(partial(answer, write(batch, self._observe)))


Answers: TypeAlias = list[tuple[Submission, OSError | None]]
"""What became of a batch, in order."""


def answer(answers: Answers) -> None:
    """Tell everybody, in order."""
    faults = []
    for submission, error in answers:
        try:
            submission.done(error)
        except Exception as fault:  # of one session: the others are answered all the same
            faults.append(fault)
    if faults:
        raise ExceptionGroup("what was written could not be shown", faults)


def commit(batch: list[Submission]) -> None:
    """Write a batch and answer it, here and now."""
    answer(write(batch))


def write(batch: list[Submission], observe: Callable[[float], None] = lambda seconds: None) -> Answers:
    """Write a batch: every write in order, then one flush of each log that needs it; the answers that are due."""
    failed: dict[int, OSError] = {}
    gathered: dict[tuple[int, int], list[Write]] = {}
    for submission in batch:
        for one in submission.writes:
            gathered.setdefault((id(one.log), one.segment), []).append(one)
    for writes in gathered.values():
        log = writes[0].log
        try:
            log.write(writes[0].segment, b"".join(one.data for one in writes))
        except OSError as error:
            failed[id(log)] = error
    needed = {id(w.log): w.log for s in batch if s.durability == "synced" for w in s.writes}
    began = time.perf_counter()
    for key, log in needed.items():
        if key not in failed:
            try:
                log.sync()
            except OSError as error:
                log.broken = True
                failed[key] = error
    if needed:
        observe(time.perf_counter() - began)
    if not failed:
        return [(submission, None) for submission in batch]
    return [(s, next((failed[id(w.log)] for w in s.writes if id(w.log) in failed), None)) for s in batch]
