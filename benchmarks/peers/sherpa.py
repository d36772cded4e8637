"""sherpa-onnx's offline diarization on our networks, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environment import PeerUnavailable
from benchmarks.peers.environment import environment as made
from speakrs_stream.core.arrays import F32
from speakrs_stream.core.grid import FRAME_FIELD, FRAME_STEP, SAMPLE_RATE, WINDOW

VERSION = "2.0.1"
WORKER = Path(__file__).with_name("sherpa_worker.py")
SEGMENTATION: dict[str, str] = {
    "model_type": "pyannote-segmentation-3.0",
    "version": "1",
    "num_speakers": "3",
    "powerset_max_classes": "2",
    "num_classes": "7",
    "sample_rate": str(SAMPLE_RATE),
    "window_size": str(WINDOW),
    "receptive_field_size": str(FRAME_FIELD),
    "receptive_field_shift": str(FRAME_STEP),
}
"""What it reads from a segmentation network's metadata."""
EMBEDDING: dict[str, str] = {
    "framework": "wespeaker",
    "language": "English",
    "url": "",
    "comment": "",
    "sample_rate": str(SAMPLE_RATE),
    "normalize_samples": "0",
    "feature_normalize_type": "global-mean",
}
"""And from an embedding network's, beside `output_dim`."""


def environment(folder: Path | None = None) -> Path:
    """Python of an environment with sherpa-onnx, made when it is not there; PeerUnavailable where that fails."""
    return made(f"sherpa-onnx-{VERSION}", [[f"sherpa-onnx=={VERSION}", "numpy"]], folder)


def described(model: Any, facts: dict[str, str]) -> Any:
    """An ONNX model with metadata."""
    del model.metadata_props[:]
    for name, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value
    return model


def prepare(segmentation: Path, seed: int, folder: Path, width: int = 32) -> tuple[Path, Path]:
    """Both networks as sherpa-onnx takes them, written into `folder`.

    segmentation: the bundle's; seed, width: of `training.community_shapes`' embedding network, so that the weights are
    those of the bundle in the same run
    """
    import onnx

    from training.community_shapes import DIMENSION, whole

    folder.mkdir(parents=True, exist_ok=True)
    first, second = folder / "segmentation.onnx", folder / "embedding.onnx"
    onnx.save(described(onnx.load(segmentation), SEGMENTATION), first)
    onnx.save(described(whole(seed, width), {**EMBEDDING, "output_dim": str(DIMENSION)}), second)
    return first, second


class Sherpa:
    """One process that keeps its networks loaded."""

    def __init__(self, python: Path, segmentation: Path, embedding: Path, threads: int = 1) -> None:
        """python: as `environment` gives it."""
        arguments = [str(python), str(WORKER), str(segmentation), str(embedding), str(threads)]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def seconds(self, audio: Path) -> tuple[float, int]:
        """Seconds of processor time that a recording took, and turns found. audio: float32 samples at 16 kHz as .npy"""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{audio}\n")
        self._process.stdin.flush()
        told = self._read()
        return float(told["seconds"]), int(told["turns"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise PeerUnavailable(f"sherpa-onnx stopped with status {self._process.returncode}")
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process: it stops when its input does."""
        self._process.communicate()


def keep(audio: F32, path: Path) -> Path:
    """Samples where the process can read them."""
    np.save(path, audio)
    return path
