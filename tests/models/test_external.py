"""Finding the files in which networks keep their weights."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from speakrs_stream.errors import BundleCorrupt
from speakrs_stream.models.external import external_files
from tests.models import small


def test_weights_inside(tmp_path: Path) -> None:
    onnx.save(small.trunk(), tmp_path / "t.onnx")
    assert external_files(tmp_path, "t.onnx") == []


def test_every_file_once(tmp_path: Path) -> None:
    model = small.trunk()
    model.graph.initializer.extend(small.head().graph.initializer)
    model.graph.initializer.extend(small.segmentation().graph.initializer)
    for tensor, name in zip(model.graph.initializer, ("a.bin", "sub/b.bin", "a.bin"), strict=True):
        onnx.external_data_helper.set_external_data(tensor, name, offset=64, length=16)
        tensor.ClearField("raw_data")
    (tmp_path / "t.onnx").write_bytes(model.SerializeToString())
    assert external_files(tmp_path, "t.onnx") == ["a.bin", "sub/b.bin"]
    (tmp_path / "inner").mkdir()
    (tmp_path / "t.onnx").rename(tmp_path / "inner" / "t.onnx")
    assert external_files(tmp_path, "inner/t.onnx") == ["inner/a.bin", "inner/sub/b.bin"]


@pytest.mark.parametrize("name", ["../a", "/a", "a\\b", "C:a", "a" * 128])
def test_names_that_lead_outside(tmp_path: Path, name: str) -> None:
    model = small.trunk()
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], name)
    model.graph.initializer[0].ClearField("raw_data")
    (tmp_path / "t.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleCorrupt, match=r"t\.onnx keeps its weights"):
        external_files(tmp_path, "t.onnx")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "t.onnx").touch()
    with pytest.raises(BundleCorrupt, match=r"t\.onnx is empty"):
        external_files(tmp_path, "t.onnx")
