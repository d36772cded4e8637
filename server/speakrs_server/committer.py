"""Group commit: one thread writes what all sessions append, and says when it is as safe as was promised."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from speakrs_server.records import Log

Durability = Literal["none", "written", "synced"]


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """Bytes on their way to a log."""

    log: Log
    """Where they go."""
    segment: int
    """Segment of it."""
    data: bytes
    """What is appended."""


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """Writes that belong together."""

    writes: tuple[Write, ...]
    """In order."""
    durability: Durability
    """How safe they must be."""
    done: Callable[[OSError | None], None]
    """Called in the order of submission, by the committing thread; the error means that they are not there."""


class Committer:
    """The thread. Submissions are written in order, those of a short while together, with one flush per file."""

    def __init__(self, interval_s: float = 0.02, observe: Callable[[float], None] = lambda seconds: None) -> None:
        """interval_s: seconds to gather submissions; observe: told how long each flush took."""
        self._interval = interval_s
        self._observe = observe
        self._waiting: list[Submission] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="speakrs-committer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Hand over; returns at once."""
        with self._changed:
            assert not self._closed
            self._waiting.append(submission)
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
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                if not self._closed and self._interval:
                    self._changed.wait_for(lambda: self._closed, self._interval)
                batch, self._waiting = self._waiting, []
            commit(batch, self._observe)


def commit(batch: list[Submission], observe: Callable[[float], None] = lambda seconds: None) -> None:
    """Write a batch: every write in order, then one flush of each log that needs it, then the answers."""
    failed: dict[int, OSError] = {}
    gathered: dict[tuple[int, int], list[Write]] = {}
    for submission in batch:
        for write in submission.writes:
            gathered.setdefault((id(write.log), write.segment), []).append(write)
    for writes in gathered.values():
        log = writes[0].log
        try:
            log.write(writes[0].segment, b"".join(write.data for write in writes))
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
    for submission in batch:
        faults = [failed[id(write.log)] for write in submission.writes if id(write.log) in failed]
        submission.done(faults[0] if faults else None)
