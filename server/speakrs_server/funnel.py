"""Calls from other threads into the event loop, gathered: one wake-up for all that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

Call = Callable[[], None]


class Funnel:
    """Runs in one thread what others put in, in order; a fault of one call does not keep the next from running."""

    def __init__(self, schedule: Callable[[Call], object], failed: Callable[[Exception], None]) -> None:
        """schedule: runs a call in that thread, from any thread, soon; failed: told what a call raised."""
        self._schedule, self._failed = schedule, failed
        self._lock = threading.Lock()
        self._waiting: list[Call] = []

    def put(self, call: Call) -> None:
        """Run this behind everything put in before. From any thread."""
        with self._lock:
            self._waiting.append(call)
            first = len(self._waiting) == 1
        if first:
            self._schedule(self._drain)

    def _drain(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        for call in calls:
            try:
                call()
            except Exception as error:
                self._failed(error)
