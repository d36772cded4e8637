"""Pooling and head as one network give what pooling here and the head give."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from speakrs_stream.engine import Engine
from speakrs_stream.errors import BundleCorrupt, BundleNotFound, MissingExtra
from speakrs_stream.inference.binding import BoundNetwork
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.pooled import pooled_head
from speakrs_stream.models.resolve import resolve
from tests.models import small


class Device(OnnxBackend):
    """The processor, used as a GPU is: full batches, memory that is kept, whole windows."""

    full_batches, carries = True, False

    def network(self, session: Any, path: Path) -> BoundNetwork:
        """A session with memory of its own."""
        return BoundNetwork(session, path, "cpu")


def material(bundle: ModelBundle, windows: int = 5, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Features and weights: a part of the frames, one frame, none, all, and weights between."""
    rng, trunk = np.random.default_rng(0), bundle.embedding.trunk
    assert trunk is not None
    features = (rng.standard_normal((windows, frames, trunk.channels)) + 1).astype(np.float32)
    weights = (rng.random((windows, 3, frames)) < 0.4).astype(np.float32)
    weights[0, 1] = 0
    weights[1, 2] = 0
    weights[1, 2, 7] = 1
    weights[2] = 1
    weights[3] *= rng.random((3, frames)).astype(np.float32)
    return features, weights


@pytest.mark.parametrize("name", ["embedded", "small"])
def test_a_device_pools_as_this_program_does(name: str, tmp_path: Path) -> None:
    bundle = resolve("embedded") if name == "embedded" else ModelBundle.open(small.write(tmp_path))
    here, there = Networks(bundle, OnnxBackend()), Networks(bundle, Device())
    assert there.pools and not here.pools and there.batches["pooled"] == 32
    features, weights = material(bundle)
    expected, found = here.pooled(features, weights), there.pooled(features, weights)
    assert np.isnan(expected[0, 1]).all() and np.isfinite(expected[1, 2]).all()
    scale = float(np.nanmax(np.abs(expected)))
    np.testing.assert_allclose(found, expected, atol=2e-4 * scale, equal_nan=True)
    assert there.pooled(features[:0], weights[:0]).shape == here.pooled(features[:0], weights[:0]).shape


def test_an_engine_on_such_a_device_finds_the_same_turns() -> None:
    import soundfile

    meeting = Path(__file__).resolve().parents[2] / "speakrs_stream" / "demo" / "meeting.flac"
    samples, _ = soundfile.read(meeting, dtype="float32", frames=25 * 16_000)
    here, there = Engine("embedded", mode="cpu"), Engine("embedded", backend=Device())
    assert there.model.layout.pooled and not here.model.layout.pooled
    assert there.diarize(samples, sample_rate=16_000).turns == here.diarize(samples, sample_rate=16_000).turns


def test_heads_that_cannot_be_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleNotFound):
        pooled_head(tmp_path / "none.onnx", "statistics", 6)
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(BundleCorrupt):
        pooled_head(tmp_path / "bad.onnx", "statistics", 6)
    onnx.save(small.head(), tmp_path / "head.onnx")
    with pytest.raises(BundleCorrupt):
        pooled_head(tmp_path / "head.onnx", "other", 6)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra):
        pooled_head(tmp_path / "head.onnx", "statistics", 6)
    bundle = ModelBundle.open(small.write(tmp_path / "bundle"))
    networks = Networks(bundle, Device())
    assert not networks.pools and networks.pooled(*material(bundle)).shape == (5, 3, small.DIMENSION)
