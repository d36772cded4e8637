"""Which inferences to run together next: a pure plan over the questions of many streams.

Questions of one network and shape are run together, oldest first. A stream that asks much does not push others back:
in each batch every stream first gets its share, and only what room is left goes to those who want more.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from speakrs_stream.core.jobs import Job

K = TypeVar("K", bound=Hashable)
Kind = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Asked(Generic[K]):
    """A question that waits."""

    stream: K
    """Who asks."""
    job: Job
    """What is asked."""
    at: float
    """When, in seconds."""


class Scheduler(Generic[K]):
    """Questions in, batches out; time is given by the caller."""

    def __init__(self, *, max_batch: int = 16, max_wait: float = 0.0, share: int = 2) -> None:
        """max_batch: questions run together at most; max_wait: seconds to wait for a batch to fill up
        share: questions of one stream in a batch, as long as others wait
        """
        assert max_batch >= 1 and share >= 1 and max_wait >= 0
        self.max_batch = max_batch
        self.max_wait = max_wait
        self.share = share
        self._waiting: dict[Kind, list[Asked[K]]] = {}

    def __len__(self) -> int:
        """How many questions wait."""
        return sum(map(len, self._waiting.values()))

    def add(self, stream: K, job: Job, now: float) -> None:
        """A stream asks. now: seconds, never less than before."""
        kind = (job.model, next(iter(job.inputs.values())).shape)
        self._waiting.setdefault(kind, []).append(Asked(stream, job, now))

    def take(self, now: float) -> list[Asked[K]]:
        """What to run now: questions of one network and shape, oldest first; empty where waiting is better."""
        ready = [kind for kind, asked in self._waiting.items() if self._ready(asked, now)]
        if not ready:
            return []
        kind = min(ready, key=lambda name: self._waiting[name][0].at)
        asked = self._waiting[kind]
        taken = self._fair(asked)
        left = [one for number, one in enumerate(asked) if number not in taken]
        if left:
            self._waiting[kind] = left
        else:
            del self._waiting[kind]
        return [asked[number] for number in sorted(taken)]

    def deadline(self) -> float | None:
        """When `take` has something at the latest; None where nothing waits."""
        if not self._waiting:
            return None
        return min(
            asked[0].at + (0.0 if len(asked) >= self.max_batch else self.max_wait) for asked in self._waiting.values()
        )

    def forget(self, stream: K) -> None:
        """Drop what a stream asked."""
        kept = {kind: [one for one in asked if one.stream != stream] for kind, asked in self._waiting.items()}
        self._waiting = {kind: asked for kind, asked in kept.items() if asked}

    def _ready(self, asked: list[Asked[K]], now: float) -> bool:
        return len(asked) >= self.max_batch or now >= asked[0].at + self.max_wait

    def _fair(self, asked: list[Asked[K]]) -> set[int]:
        """Numbers of at most `max_batch` questions: everybody's share first, then the oldest of the rest."""
        taken: set[int] = set()
        given: dict[K, int] = {}
        for number, one in enumerate(asked):
            if len(taken) == self.max_batch:
                return taken
            if given.get(one.stream, 0) < self.share:
                given[one.stream] = given.get(one.stream, 0) + 1
                taken.add(number)
        for number in range(len(asked)):
            if len(taken) == self.max_batch:
                break
            taken.add(number)
        return taken
