"""Small bundles whose networks really run, made in a blink: the shapes of the contract with few weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS, DIMENSION, COMPONENTS = 6, 8, 4
FIELD, STRIDE = 9, 4


def network(
    inputs: dict[str, tuple[Any, ...]],
    output: tuple[str, tuple[Any, ...]],
    nodes: list[Any],
    weights: dict[str, NDArray[Any]],
) -> onnx.ModelProto:
    """An ONNX model of given nodes, float32 in and out."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(*((output[0], TensorProto.FLOAT, output[1])))],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def segmentation(batch: int | str = "batch", *, stride: int = 270, classes: int = 7) -> onnx.ModelProto:
    """One convolution over the samples of each frame, then log-softmax."""
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], kernel_shape=[991], strides=[stride]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 1]),
        helper.make_node("LogSoftmax", ["t"], ["output"], axis=-1),
    ]
    shape = (batch, "frames", classes)
    return network({"input": (batch, 1, "samples")}, ("output", shape), nodes, {"w": _weights(classes, 1, 991)})


def trunk(batch: int | str = "batch", *, stride: int = STRIDE, padded: bool = False) -> onnx.ModelProto:
    """One convolution over the filter bank."""
    pads = [FIELD // 2, FIELD // 2] if padded else [0, 0]
    nodes = [
        helper.make_node("Transpose", ["fbank"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w"], ["c"], kernel_shape=[FIELD], strides=[stride], pads=pads),
        helper.make_node("Transpose", ["c"], ["features"], perm=[0, 2, 1]),
    ]
    shape = (batch, "features_count", CHANNELS)
    return network(
        {"fbank": (batch, "frames", 80)}, ("features", shape), nodes, {"w": _weights(CHANNELS, 80, FIELD, seed=1)}
    )


def head(batch: int | str = "batch", *, dimension: int = DIMENSION) -> onnx.ModelProto:
    """One matrix."""
    nodes = [helper.make_node("MatMul", ["statistics", "w"], ["embedding"])]
    shape = (batch, dimension)
    weights = {"w": _weights(2 * CHANNELS, dimension, seed=2)}
    return network({"statistics": (batch, 2 * CHANNELS)}, ("embedding", shape), nodes, weights)


def tables(dimension: int = DIMENSION) -> dict[str, NDArray[Any]]:
    """PLDA tables, some float32 and some float64 as the real ones."""
    return {
        "mean1": np.zeros(dimension),
        "lda": _weights(dimension, COMPONENTS, seed=3),
        "mean2": np.zeros(COMPONENTS, np.float32),
        "mu": np.zeros(COMPONENTS),
        "tr": np.eye(COMPONENTS),
        "psi": np.array([8.0, 4.0, 2.0, 1.0]),
    }


def manifest(directory: Path) -> dict[str, Any]:
    """A manifest for the files `write` makes, with their hashes as they are now."""
    data: dict[str, Any] = {
        "format": 1,
        "name": "small",
        "version": "1",
        "description": "networks for tests",
        "sample_rate": 16000,
        "window": 160000,
        "default_step": 16000,
        "segmentation": {
            "file": "segmentation.onnx",
            "input": "input",
            "output": "output",
            "frames": 589,
            "frame_step": 270,
            "receptive_field": 991,
            "local_speakers": 3,
            "max_simultaneous": 2,
            "batch": None,
        },
        "embedding": {
            "kind": "split",
            "dimension": DIMENSION,
            "fbank": {"mels": 80, "normalization": "none"},
            "trunk": {
                "file": "trunk.onnx",
                "input": "fbank",
                "output": "features",
                "channels": CHANNELS,
                "stride": STRIDE,
                "offset": FIELD // 2,
                "receptive_field": FIELD,
                "batch": None,
            },
            "head": {"file": "head.onnx", "input": "statistics", "output": "embedding", "batch": None},
        },
        "plda": {name: f"plda_{name}.npy" for name in tables()},
        "clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8, "max_iterations": 20, "min_clean_ratio": 0.2},
        "files": {},
        "licences": ["Apache-2.0"],
    }
    for path in sorted(directory.iterdir()):
        if path.name != "manifest.json":
            record = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
            data["files"][path.name] = {**record, "licence": "Apache-2.0", "source": "made by a test"}
    return data


def write_manifest(directory: Path, data: dict[str, Any] | None = None) -> None:
    """Write a manifest, by default the one that fits the files there."""
    (directory / "manifest.json").write_text(json.dumps(data or manifest(directory)), encoding="utf-8")


def write(directory: Path, **networks: onnx.ModelProto) -> Path:
    """Write a bundle of kind `split`, with other networks where given; its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    models = {"segmentation": segmentation(), "trunk": trunk(), "head": head(), **networks}
    for name, model in models.items():
        onnx.save(model, directory / f"{name}.onnx")
    for name, values in tables().items():
        np.save(directory / f"plda_{name}.npy", values)
    write_manifest(directory)
    return directory
