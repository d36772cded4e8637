"""Threads that run one inference each. One that hangs is left behind: it holds up neither the others nor the exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Lanes:
    """So many threads, and what they are still to do."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for number in range(count):
            name = f"speakrs-lane-{number}"
            threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True).start()

    def submit(self, call: Callable[[], None]) -> None:
        """Run it in the next lane that is free; it must not raise."""
        self._calls.put(call)

    def close(self) -> None:
        """End every thread once it has nothing to do; returns at once."""
        for _ in range(self.count):
            self._calls.put(None)


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()
