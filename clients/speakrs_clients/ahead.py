"""Reading ahead in a thread, so that whoever uses what is read is never held up by a pipe that gives nothing."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

from speakrs_stream.errors import AudioError

T = TypeVar("T")
MOST = 16
"""Things that are read before they are asked for."""
JOIN_S = 1.0
"""Seconds that a thread gets to end; one that waits for a pipe is left to end with the program."""


class Ahead(Generic[T]):
    """What an iterable gives, as it comes, and the AudioError that ends it; use `close` when nothing more is wanted."""

    def __init__(self, source: Iterable[T]) -> None:
        """source: read by a thread of its own."""
        self.over = False
        """Whether nothing will come any more."""
        self._queue: Queue[T | Exception | None] = Queue(MOST)
        self._enough = Event()
        self._thread = Thread(target=self._read, args=(source,), name="ahead", daemon=True)
        self._thread.start()

    def _read(self, source: Iterable[T]) -> None:
        try:
            for item in source:
                self._queue.put(item)
                if self._enough.is_set():
                    return
            self._queue.put(None)
        except Exception as error:  # the outermost place of this thread; `next` gives or raises it
            self._queue.put(error)

    def next(self, timeout: float) -> T | AudioError | None:
        """The next thing, an AudioError that ended it, or None after so many seconds or at the end: see `over`."""
        if self.over:
            return None
        try:
            item = self._queue.get(timeout=timeout)
        except Empty:
            return None
        self.over = item is None or isinstance(item, Exception)
        if isinstance(item, AudioError) or not isinstance(item, Exception):
            return item
        raise item

    def close(self) -> None:
        """Read no more; what is read from may be closed then."""
        self.over = True
        self._enough.set()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._thread.join(JOIN_S)
