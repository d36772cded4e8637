"""How much networks multiply, counted by hand beside it."""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from benchmarks.speed.multiplications import fastest, multiplications, per_second
from speakrs_stream.models.resolve import resolve


def saved(
    path: Path, nodes: list[onnx.NodeProto], shapes: dict[str, list[int | str]], weights: dict[str, list[int]]
) -> Path:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, dims, [0.0] * prod(dims)) for name, dims in weights.items()]
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "one", inputs, [output], tensors))
    onnx.save(model, path)
    return path


def test_a_convolution(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2])
    path = saved(tmp_path / "a.onnx", [node], {"x": ["batch", 3, "length"]}, {"w": [4, 3, 5]})
    assert multiplications(path, {"x": (1, 3, 11)}) == [4 * 3 * 5 * 4]  # four places of it
    assert multiplications(path, {"x": (2, 3, 11)}) == [2 * 4 * 3 * 5 * 4]


def test_a_matrix_product_and_an_lstm(tmp_path: Path) -> None:
    weights = {"m": [6, 7], "w": [2, 8, 7], "r": [2, 8, 2]}
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["z"]),
        helper.make_node("LSTM", ["z", "w", "r"], ["y"], hidden_size=2, direction="bidirectional"),
    ]
    path = saved(tmp_path / "a.onnx", nodes, {"x": [5, 1, 6]}, weights)
    assert multiplications(path, {}) == [5 * 6 * 7, 5 * 2 * (8 * 7 + 8 * 2)]


def test_the_embedded_networks() -> None:
    """PyanNet's largest convolution alone: 60 x 80 x 5 at 5,321 places."""
    found = per_second(resolve("embedded"), 1.0, carried=True)
    assert found.keys() == {"segmentation", "filters", "trunk"}
    assert found["segmentation"] > 60 * 80 * 5 * 5_321
    halved, whole = (per_second(resolve("embedded"), step, carried=False) for step in (2.0, 1.0))
    assert 2 * halved["segmentation"] == whole["segmentation"] > found["segmentation"]
    assert halved["trunk"] == whole["trunk"] == found["trunk"]


def test_a_core_multiplies() -> None:
    assert fastest(1) > 0
