"""A recording that plays the microphone: for machines without one, for demonstrations, and for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.audio.capture import CAPACITY, Block, Level, LevelMeter, Ring
from speakrs_stream.audio.files import open_audio
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError, DeviceLost

BLOCK = SAMPLE_RATE // 20
"""Samples the pretended device gives at a time."""


class Replay:
    """Blocks of a recording at the pace of time, from a thread of its own, into the ring a microphone has."""

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        name: str,
        blocks: Callable[[], Iterable[NDArray[np.float32]]],
        *,
        speed: float = 1.0,
        capacity: float = CAPACITY,
    ) -> None:
        """blocks: gives the sound, mono at 16 kHz, in any pieces; it is called when listening starts

        speed: seconds of sound in a second; 0 as fast as the reader reads, so that nothing is ever lost
        capacity: seconds of sound that wait for the reader at most
        """
        if not 0 <= speed < 1e6:
            raise ConfigError(f"the speed must be 0 or more, got {speed}")
        self.name = name
        self._blocks = blocks
        self._speed = speed
        self._ring = Ring(max(BLOCK, round(capacity * SAMPLE_RATE)))
        self._meter = LevelMeter(SAMPLE_RATE)
        self._thread: Thread | None = None
        self._stop, self._playing, self._over = Event(), Event(), Event()
        self._playing.set()
        self._error: Exception | None = None

    @classmethod
    def of(cls, path: Path, *, speed: float = 1.0) -> Replay:
        """Play a file; AudioError at once where it is none."""
        open_audio(path).close()

        def blocks() -> Iterable[NDArray[np.float32]]:
            with open_audio(path) as audio:
                yield from audio.blocks(1.0)

        return cls(path.name, blocks, speed=speed)

    # -- the pretended device --------------------------------------------------------------------------------

    def _play(self) -> None:
        try:
            due = time.monotonic()
            for whole in self._blocks():
                for start in range(0, len(whole), BLOCK):
                    block = whole[start : start + BLOCK]
                    if not self._playing.is_set():
                        self._wait_while_paused()
                        due = time.monotonic()
                    if self._speed:
                        due += len(block) / SAMPLE_RATE / self._speed
                        self._stop.wait(max(0.0, due - time.monotonic()))
                    else:
                        self._wait_for_room(len(block))
                    if self._stop.is_set():
                        return
                    self._meter.push(block)
                    self._ring.push(block)
        except Exception as error:  # handed to whoever reads
            self._error = error
        finally:
            self._over.set()

    def _wait_while_paused(self) -> None:
        while not self._stop.is_set() and not self._playing.wait(0.1):
            pass

    def _wait_for_room(self, samples: int) -> None:
        while not self._stop.is_set() and not self._ring.wait_for_room(samples, 0.1):
            pass

    # -- as a source -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start playing; once."""
        if self._thread is not None:
            raise DeviceLost(f"{self.name} has been played already")
        self._thread = Thread(target=self._play, name="replay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop playing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def pause(self) -> None:
        """Stop the recording where it is."""
        self._playing.clear()

    def resume(self) -> None:
        """Go on where it stopped."""
        self._playing.set()

    @property
    def captured(self) -> int:
        """Samples played so far."""
        return self._ring.captured

    @property
    def dropped(self) -> int:
        """Samples the reader was too slow for."""
        return self._ring.dropped

    @property
    def level(self) -> Level:
        """How loud it is."""
        return self._meter.level

    @property
    def ended(self) -> bool:
        """Whether everything was played and taken."""
        return self._over.is_set() and not self._ring.waiting

    def read(self, timeout: float) -> Block | None:
        """The next block, or None after `timeout` seconds. Raises what went wrong when the file was read."""
        block = self._ring.take(0.0 if self._over.is_set() else timeout)
        if block is None and self._error is not None:
            error, self._error = self._error, None
            raise error
        return block
