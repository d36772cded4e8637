"""Small networks and short sounds, so that measuring costs takes no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.speed.material import community_shapes
from speakrs_stream.engine import Engine
from speakrs_stream.inference.fake import FakeBackend, fake_bundle
from speakrs_stream.models.bundle import ModelBundle
from training.community_shapes import segmentation

RATE = 16_000
SOME_SPEECH = 4
"""Seed of random weights that find speech and silence in the bundled meeting."""


def fake_engine(kind: str = "split") -> Engine:
    """An engine whose networks are made up."""
    return Engine(fake_bundle(kind), backend=FakeBackend())


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Something that is not silence."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def small_shapes(folder: Path) -> ModelBundle:
    """Networks of community-1's interface with an eighth of its channels; what the segmentation says is random."""
    path = folder / "random.onnx"
    onnx.save(segmentation(SOME_SPEECH, width=4), path)
    return community_shapes(path, folder, width=4)
