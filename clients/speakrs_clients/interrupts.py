"""Ctrl-C once: finish what is there. Twice: give up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class EndAsked(Exception):
    """Ctrl-C was pressed for the first time while something was waited for."""


class Interrupts:
    """Notes Ctrl-C while it is entered; the second one raises KeyboardInterrupt. For the main thread only."""

    def __init__(self) -> None:
        self.asked = False
        """Whether the end was asked for."""
        self._waiting = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a wait that may be long: the first Ctrl-C ends it with `EndAsked`, at once."""
        if self.asked:
            raise EndAsked
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again:
            raise KeyboardInterrupt
        if self._waiting:
            raise EndAsked
