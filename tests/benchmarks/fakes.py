"""An engine whose networks are three lines: the sign of the sound says who speaks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import FRAME_MIDDLE, FRAME_STEP, FRAMES_PER_WINDOW
from speakrs_stream.core.session import Outcome, SpeakerModel
from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import Engine

D = 8


class SignNetworks:
    """Sound above 0 is local speaker 0, below 0 local speaker 1; embeddings are one-hot."""

    def __init__(self) -> None:
        self.windows = 0
        """Windows segmented so far."""

    def segment(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        self.windows += len(windows)
        middles = FRAME_MIDDLE + FRAME_STEP * np.arange(FRAMES_PER_WINDOW)
        sound = windows[:, middles]
        return np.eye(7, dtype=np.float32)[np.where(sound > 0.1, 1, np.where(sound < -0.1, 2, 0))]

    def multimask(self, fbank: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tile(np.eye(3, D, dtype=np.float32), (len(fbank), 1, 1))


class FakeEngine:
    """What the benchmarks use of an engine."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        plda = Plda(np.zeros(D), np.eye(D), np.zeros(D), np.zeros(D), np.eye(D), np.sort(rng.uniform(5, 9, D))[::-1])
        layout = EmbeddingLayout(kind="multimask", dimension=D, window_mean=True)
        self.model = SpeakerModel(layout, plda)
        self.config = PipelineConfig()
        self.networks = SignNetworks()
        self.backend_name = "fake"
        self.bundle = SimpleNamespace(name="sign", sha256="0" * 64)

    def diarization(self, outcome: Outcome, uri: str) -> Diarization:
        return Engine.diarization(cast(Engine, self), outcome, uri)


def fake_engine() -> Any:
    """A fresh one, typed as anything."""
    return FakeEngine()
