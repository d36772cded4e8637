"""The clustering block of diart itself, in an environment of its own, as a matching for `PeerIdentity`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from benchmarks.peers.environment import PeerUnavailable
from benchmarks.peers.environment import environment as made
from benchmarks.peers.greedy import DELTA_NEW, RHO_UPDATE
from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.grid import FRAMES_PER_WINDOW

VERSION = "0.9.2"
NEEDS = ("pyannote.core==5.0.0", "numpy<2", "scipy")
"""What the clustering block and the mapping it uses import."""

WORKER = Path(__file__).with_name("diart_worker.py")


def environment(folder: Path | None = None) -> Path:
    """Python of an environment with diart's wheel, made when it is not there; PeerUnavailable where that fails."""
    return made(f"diart-{VERSION}", [["--no-deps", f"diart=={VERSION}"], NEEDS], folder)


class DiartBlock:
    """diart's clustering; `begin` before each recording."""

    def __init__(self, python: Path) -> None:
        """python: as `environment` gives it."""
        self._process = subprocess.Popen(
            [str(python), str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def begin(self, delta_new: float = DELTA_NEW) -> DiartBlock:
        """A new recording."""
        head = np.array([0, 0, 0], np.int32).tobytes()
        self._ask(head + np.array([delta_new, RHO_UPDATE], np.float32).tobytes(), 0)
        return self

    def __call__(self, embeddings: F64, active: Array, spoken: F64) -> I64:
        """Centroids (3,) of a window's local speakers; see `greedy.Matching`."""
        rows = np.where(active[:, None], embeddings, np.nan).astype(np.float32)
        frames = np.round(spoken * FRAMES_PER_WINDOW).astype(np.int32)
        head = np.array([*rows.shape, FRAMES_PER_WINDOW], np.int32).tobytes()
        answer = self._ask(head + frames.tobytes() + rows.tobytes(), 4 * len(rows))
        return np.frombuffer(answer, np.int32).astype(np.int64)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, message: bytes, answer: int) -> bytes:
        """Send a message and read so many bytes; PeerUnavailable, with its last words, where the process is gone."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(message)
            sink.flush()
            said = source.read(answer)
        except BrokenPipeError:
            said = b""
        if len(said) == answer and (answer or self._process.poll() is None):
            return said
        _, words = self._process.communicate()
        lines = words.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise PeerUnavailable(f"diart stopped: {lines[-1]}")
