"""Networks without what stores or computes their weights more coarsely: plain float32 graphs."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def without_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its float16 weights kept as float32; changed in place."""
    return _folded(model, {"Cast": lambda node, given: given[0].astype(np.float32)})


def without_quantization(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network whose int8 convolutions are computed in float32 again, weights as they were rounded; in place."""
    model = _folded(model, {"DequantizeLinear": _dequantized})
    graph = model.graph
    stands_for: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [stands_for.get(name, name) for name in node.input]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            stands_for[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    return _of_nodes(model, kept)


def _folded(model: onnx.ModelProto, rules: dict[str, object]) -> onnx.ModelProto:
    """Nodes of some kinds replaced by their results where they only read stored tensors."""
    graph = model.graph
    stored = {entry.name: entry for entry in graph.initializer}
    kept = []
    for node in graph.node:
        rule = rules.get(node.op_type)
        if callable(rule) and all(name in stored for name in node.input):
            values = rule(node, [numpy_helper.to_array(stored[name]) for name in node.input])
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    return _of_nodes(model, kept)


def _dequantized(node: onnx.NodeProto, given: list[NDArray[np.generic]]) -> NDArray[np.float32]:
    values, scale = given[0].astype(np.float32), given[1].astype(np.float32)
    zero = given[2].astype(np.float32) if len(given) > 2 else np.zeros_like(scale)
    if scale.ndim:
        axis = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}.get("axis", 1)
        shape = [-1 if place == axis % values.ndim else 1 for place in range(values.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return np.asarray((values - zero) * scale, np.float32)


def _of_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """The model with these nodes, and no tensor that nothing reads."""
    graph = model.graph
    used = {name for node in nodes for name in node.input} | {entry.name for entry in graph.output}
    weights = [entry for entry in graph.initializer if entry.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    return model
