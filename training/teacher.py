"""The teachers' front ends: the GE2E speaker encoder (d-vectors) and the pyannote segmentation network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

FRAMES = 160
HOP = 160
FFT = 400


def session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU with a fixed number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def network(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """An ONNX network of one input and one output as a function."""
    loaded = session(path)
    name = loaded.get_inputs()[0].name
    return lambda given: np.asarray(loaded.run(None, {name: given})[0], dtype=np.float32)


class DVector:
    """GE2E d-vectors: 256 non-negative numbers of unit length for 1.6 s of audio at 16 kHz."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._session = session(folder / "d_vector.onnx", threads)
        self._filters = np.load(folder / "d_vector_mel_filters.npy").astype(np.float32)
        self._window = np.hanning(FFT + 1)[:-1].astype(np.float32)

    def mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel powers [frames, 40] of audio raised to -30 dBFS where it is below."""
        power = float(np.mean(samples.astype(np.float64) ** 2)) + 1e-12
        gain = max(1.0, np.sqrt(10 ** (-30 / 10) / power))
        padded = np.pad(samples * np.float32(gain), FFT // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
        spectrum = np.abs(np.fft.rfft(frames * self._window, axis=1).astype(np.complex64)) ** 2
        return np.asarray(spectrum @ self._filters.T, dtype=np.float32)

    def partials(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit embeddings [n, 256] of mel cuts [n, 160, 40]."""
        return np.asarray(self._session.run(None, {"mel": mels})[0], dtype=np.float32)

    def utterance(self, samples: NDArray[np.float32], hop: float = 1.2) -> NDArray[np.float32]:
        """The normalised mean of embeddings taken every `hop` seconds."""
        mels = self.mel(samples)
        if len(mels) < FRAMES:
            mels = np.tile(mels, (FRAMES // len(mels) + 1, 1))
        starts = range(0, max(1, len(mels) - FRAMES + 1), round(hop * 100))
        vectors = self.partials(np.stack([mels[s : s + FRAMES] for s in starts]))
        mean = vectors.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)
