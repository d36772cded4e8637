"""Compiled CoreML programs, with coremltools stood in for: which are found, how batches are cut, what they refuse."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from speakrs_stream.errors import BundleCorrupt, MissingExtra, ModelError
from speakrs_stream.inference.base import LoadOptions
from speakrs_stream.inference.coreml import CompiledNetwork, compiled_beside, schema
from speakrs_stream.inference.onnx import OnnxBackend
from tests.models import small

ROWS = 3


class Program:
    """Runs the ONNX file of the same name, but only in the shapes it was compiled for."""

    seen: list[tuple[int, ...]]

    def __init__(self, folder: str, units: str) -> None:
        assert units == "cpu and gpu"
        self._network = OnnxBackend().load(Path(folder).with_suffix(".onnx"), "head", LoadOptions())
        Program.seen = []

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """One prediction."""
        Program.seen += [rows.shape for rows in inputs.values()]
        if any(len(rows) != ROWS or rows.dtype != np.float32 for rows in inputs.values()):
            raise RuntimeError("not the shape of the program")
        return dict(self._network.run(inputs))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ONNX file with a compiled program beside it."""
    tools = types.ModuleType("coremltools")
    tools.ComputeUnit = types.SimpleNamespace(CPU_AND_GPU="cpu and gpu")  # type: ignore[attr-defined]
    tools.models = types.SimpleNamespace(CompiledMLModel=Program)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "coremltools", tools)
    onnx.save(small.head(), tmp_path / "head.onnx")
    compiled(tmp_path / "head.mlmodelc", "statistics", f"[{ROWS}, 12]", "embedding")
    return tmp_path / "head.onnx"


def compiled(folder: Path, name: str, shape: str, output: str) -> None:
    """What `coremlcompiler` leaves, as far as it is read."""
    folder.mkdir()
    described = {"inputSchema": [{"name": name, "shape": shape}], "outputSchema": [{"name": output, "shape": "[]"}]}
    (folder / "metadata.json").write_text(json.dumps([described]))


def network(path: Path) -> CompiledNetwork:
    folder = compiled_beside(path)
    assert folder is not None
    return CompiledNetwork(folder, OnnxBackend().load(path, "head", LoadOptions()))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_batches_are_cut_and_filled_up(path: Path, count: int) -> None:
    feeds = {"statistics": np.random.default_rng(count).standard_normal((count, 12)).astype(np.float32)}
    expected = OnnxBackend().load(path, "head", LoadOptions()).run(feeds)["embedding"]
    compiled = network(path)
    np.testing.assert_allclose(compiled.run(feeds)["embedding"], expected, atol=1e-6)
    assert Program.seen == [(ROWS, 12)] * -(-count // ROWS)


def test_other_shapes_run_on_the_processor(tmp_path: Path, path: Path) -> None:
    onnx.save(small.trunk(), tmp_path / "trunk.onnx")
    compiled(tmp_path / "trunk.mlmodelc", "fbank", "[3, 40, 80]", "features")
    trunk = network(tmp_path / "trunk.onnx")
    assert trunk.run({"fbank": np.zeros((1, 41, 80), np.float32)})["features"].shape == (1, 9, small.CHANNELS)
    assert Program.seen == []
    assert trunk.run({"fbank": np.zeros((1, 40, 80), np.float32)})["features"].shape == (1, 8, small.CHANNELS)
    assert Program.seen == [(3, 40, 80)]
    assert trunk.inputs[0].shape == (None, None, 80)


def test_only_where_there_is_one(tmp_path: Path) -> None:
    assert compiled_beside(tmp_path / "head.onnx") is None


def test_a_failure_is_a_model_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("the GPU is gone")

    monkeypatch.setattr(Program, "predict", broken)
    with pytest.raises(ModelError, match=r"head\.mlmodelc could not be run: the GPU is gone"):
        network(path).run({"statistics": np.zeros((1, 12), np.float32)})


@pytest.mark.parametrize("text", ["", "{}", "[]", '[{"inputSchema": []}]', '[{"inputSchema": 3, "outputSchema": []}]'])
def test_what_is_no_program(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.mlmodelc").mkdir()
    if text:
        (tmp_path / "x.mlmodelc" / "metadata.json").write_text(text)
    with pytest.raises(BundleCorrupt, match=r"x\.mlmodelc is no compiled CoreML program"):
        schema(tmp_path / "x.mlmodelc")


def test_a_program_of_another_network(path: Path) -> None:
    metadata = path.with_suffix(".mlmodelc") / "metadata.json"
    metadata.write_text(metadata.read_text().replace("statistics", "other"))
    with pytest.raises(BundleCorrupt, match="other inputs or outputs"):
        network(path)


def test_without_coremltools(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtra, match=r"speakrs-stream\[coreml\]"):
        network(path)
