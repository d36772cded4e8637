"""Stand-ins for live tests: an engine that understands made-up voices, a source that gives what it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from speakrs_stream.audio.capture import Block, Level
from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.engine import Engine, pipeline_config, speaker_model
from speakrs_stream.errors import AudioError, DeviceLost, ModelError
from speakrs_stream.inference.fake import FakeBackend, fake_bundle, script, speak
from speakrs_stream.inference.networks import Networks

CALL = "A 0-4, B 4.5-9, A 9.5-13, B 12.5-17, A 17.5-22"
"""Two people, with half a second of overlap."""


class SlowNetworks(Networks):
    """Networks that take their time, or fail after a number of windows."""

    delay = 0.0
    left = 1 << 30

    def segment(self, windows: Array) -> F32:
        time.sleep(self.delay * len(windows))
        self.left -= len(windows)
        if self.left < 0:
            raise ModelError("the made-up network broke")
        return super().segment(windows)


class FakeEngine(Engine):
    """A real engine over made-up networks."""

    def __init__(self, *, delay: float = 0.0, windows: int = 1 << 30) -> None:
        """delay: seconds that a window takes; windows: after so many everything fails"""
        self.bundle = fake_bundle()
        self.model = speaker_model(self.bundle)
        self.config = pipeline_config(self.bundle, None, None)
        self.backend_name = "fake"
        networks = SlowNetworks(self.bundle, FakeBackend())
        networks.delay, networks.left = delay, windows
        self.networks = networks


def sound(call: str = CALL) -> F32:
    """A made-up conversation, (n,) at 16 kHz."""
    return speak(script(call))


def recorded(path: Path, call: str = CALL) -> Path:
    """The same as a file."""
    soundfile.write(path, sound(call), SAMPLE_RATE)
    return path


class ScriptedSource:
    """Gives blocks one by one; an error among them is raised, None is a moment without sound."""

    name = "scripted"
    sample_rate = SAMPLE_RATE
    level = Level()

    def __init__(self, script: Sequence[NDArray[np.float32] | Exception | None], *, refusals: int = 0) -> None:
        """refusals: how often opening again fails after a loss"""
        self._script = list(script)
        self._refusals = refusals
        self._lock = threading.Lock()
        self.captured = 0
        self.dropped = 0
        self.opened = 0
        self.closed = False
        self.log: list[str] = []

    def open(self) -> None:
        self.opened += 1
        if self.opened > 1 and self._refusals:
            self._refusals -= 1
            raise AudioError("not yet")

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")

    def read(self, timeout: float) -> Block | None:
        with self._lock:
            if self.closed or not self._script:
                return None
            found = self._script.pop(0)
        if isinstance(found, DeviceLost | AudioError):
            raise found
        if found is None:
            time.sleep(min(timeout, 0.01))
            return None
        assert isinstance(found, np.ndarray)
        self.captured += len(found)
        return Block(self.captured - len(found), found)

    @property
    def ended(self) -> bool:
        return not self._script

    def close(self) -> None:
        self.closed = True


def chopped(samples: NDArray[np.float32], size: int = 8_000) -> list[NDArray[np.float32]]:
    """Pieces of a size."""
    return [samples[at : at + size] for at in range(0, len(samples), size)]
