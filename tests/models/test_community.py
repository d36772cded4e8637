"""The manifest that a directory in the speakrs-models layout would have."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakrs_stream.core.config import ClusteringConfig
from speakrs_stream.errors import BundleCorrupt
from speakrs_stream.models import community
from speakrs_stream.models.manifest import parse


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Files with the right names and nothing in them that matters here."""
    for name in ("segmentation-3.0.onnx", "wespeaker-multimask-tail.onnx", *community.PLDA_FILES.values()):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_the_layout_is_recognised(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert community.is_layout(directory) and community.missing(directory) == []
    assert not community.is_layout(tmp_path_factory.mktemp("empty"))
    (directory / "plda_mu.npy").unlink()
    (directory / "segmentation-3.0.onnx").unlink()
    assert community.missing(directory) == ["segmentation-3.0.onnx", "plda_mu.npy"]
    (directory / "segmentation-3.0-b64.onnx").touch()
    assert community.missing(directory) == ["plda_mu.npy"]


def test_constants_of_the_pipeline(directory: Path) -> None:
    manifest = parse(community.manifest_data(directory, "mine"))
    assert manifest.name == "mine" and manifest.default_step == 16000
    assert manifest.embedding.dimension == 256
    settings = ClusteringConfig.from_mapping(manifest.clustering)
    assert (settings.threshold, settings.Fa, settings.Fb, settings.max_iterations) == (0.6, 0.07, 0.8, 20)
    assert settings.min_clean_ratio == 0.2
    assert all(record.licence == "CC-BY-4.0" for record in manifest.files.values())


def test_larger_batches_come_after_the_first(directory: Path) -> None:
    for name in ("segmentation-3.0-b32.onnx", "segmentation-3.0-b64.onnx", "wespeaker-multimask-tail-b32.onnx"):
        (directory / name).write_text(name)
    manifest = parse(community.manifest_data(directory, "mine"))
    assert manifest.segmentation.file == "segmentation-3.0.onnx"
    assert [one.batch for one in manifest.segmentation.variants] == [32, 64]
    assert manifest.embedding.multimask is not None
    assert [one.file for one in manifest.embedding.multimask.variants] == ["wespeaker-multimask-tail-b32.onnx"]
    assert len(manifest.files) == 11


def test_the_shortest_input(directory: Path) -> None:
    (directory / community.MIN_SAMPLES).write_text(" 400\n")
    assert community.MIN_SAMPLES in community.manifest_data(directory, "mine")["files"]
    (directory / community.MIN_SAMPLES).write_bytes(b"\xff")
    with pytest.raises(BundleCorrupt, match="community-1 has 400"):
        community.manifest_data(directory, "mine")
