"""A trunk that carries on gives what the trunk gives on everything at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from speakrs_stream.core.arrays import F32
from speakrs_stream.models.streaming import NotLocal, flow

Layer = tuple[str, int, int]


def trunk(layers: list[tuple[int, int, int]], shortcut: bool, seed: int) -> tuple[list[Any], dict[str, Any]]:
    """Convolutions (channels, kernel, stride), rectified, with sums around pairs of stride 1; nodes and weights."""
    generator = np.random.default_rng(seed)
    nodes: list[Any] = []
    weights: dict[str, Any] = {}
    source, channels = "in", 1
    for number, (outputs, kernel, stride) in enumerate(layers):
        name = f"w{number}"
        values = generator.standard_normal((outputs, channels, kernel, kernel)).astype(np.float32) / kernel
        weights[name] = numpy_helper.from_array(values, name)
        pad = kernel // 2
        nodes.append(
            helper.make_node(
                "Conv", [source, name], [f"c{number}"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
            )
        )
        joined = f"c{number}"
        if shortcut and stride == 1 and outputs == channels:
            nodes.append(helper.make_node("Add", [joined, source], [f"s{number}"]))
            joined = f"s{number}"
        nodes.append(helper.make_node("Relu", [joined], [f"r{number}"]))
        source, channels = f"r{number}", outputs
    return nodes, weights


def run(model: Any, **feeds: F32) -> F32:
    """The only output of an ONNX model."""
    return np.asarray(onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0])


def whole(nodes: list[Any], weights: dict[str, Any], fbank: F32) -> F32:
    """Features (T', C) of (T, 80) in one run with padding."""
    graph = helper.make_graph(
        nodes,
        "whole",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 1, 80, len(fbank)])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        list(weights.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    out = run(model, **{"in": fbank.T[None, None]})[0]
    return np.asarray(out.transpose(2, 0, 1).reshape(out.shape[2], -1), np.float32)


LAYERS = st.lists(
    st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([1, 3, 5]), st.sampled_from([1, 1, 2])),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=12)
@given(LAYERS, st.booleans(), st.integers(0, 2**16), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_pieces_give_what_the_whole_gives(
    layers: list[tuple[int, int, int]], shortcut: bool, seed: int, sizes: list[int]
) -> None:
    nodes, weights = trunk(layers, shortcut, seed)
    stride = int(np.prod([layer[2] for layer in layers]))
    made = flow(nodes, weights, "in", nodes[-1].output[0], 17)
    onnx.checker.check_model(made.model)
    pieces = [size * stride for size in sizes * (1 + 60 // sum(sizes))]
    fbank = np.random.default_rng(seed).standard_normal((sum(pieces), 80)).astype(np.float32)
    expected = whole(nodes, weights, fbank)
    context = np.zeros((1, made.context), np.float32)
    found, at = [], 0
    for size in pieces:
        result = run(made.model, fbank=fbank[None, at : at + size], context=context)
        context = result[:, result.shape[1] - made.context :]
        found.append(result[0, : result.shape[1] - made.context].reshape(size // stride, -1))
        at += size
    features = np.concatenate(found)[made.delay :]
    # those that see what was before the first frame may differ: the trunk pads each layer, a context of zeros does not
    field = 1
    for number, (_, kernel, _) in enumerate(layers):
        field += (kernel - 1) * int(np.prod([layer[2] for layer in layers[:number]]))
    first = -(-(field // 2) // stride)
    assert len(features) > first
    expected = expected[first : len(features)]
    largest = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(features[first:], expected, rtol=1e-4, atol=1e-4 * largest)


def test_what_came_before_is_joined_where_several_ask_for_it() -> None:
    plain = flow(*trunk([(2, 3, 1), (2, 3, 1), (2, 3, 1)], False, 0), "in", "r2", 17)
    assert [node.op_type for node in plain.model.graph.node].count("Concat") == 2  # the input, and the result
    assert plain.context == 6 * 80
    forks = flow(*trunk([(2, 3, 1), (2, 3, 1), (2, 3, 1)], True, 0), "in", "r2", 17)
    assert [node.op_type for node in forks.model.graph.node].count("Concat") == 4
    assert forks.delay == plain.delay == 3


def test_streams_of_one_batch_do_not_mix() -> None:
    nodes, weights = trunk([(2, 3, 1), (2, 3, 2), (2, 3, 1)], True, 3)
    made = flow(nodes, weights, "in", nodes[-1].output[0], 17)
    generator = np.random.default_rng(0)
    fbank = generator.standard_normal((3, 16, 80)).astype(np.float32)
    context = generator.standard_normal((3, made.context)).astype(np.float32)
    together = run(made.model, fbank=fbank, context=context)
    for number in range(3):
        alone = run(made.model, fbank=fbank[number : number + 1], context=context[number : number + 1])
        np.testing.assert_allclose(together[number], alone[0], rtol=1e-5, atol=1e-5)


def test_what_cannot_be_carried_on() -> None:
    nodes, weights = trunk([(1, 3, 1)], False, 0)
    nodes[0].attribute.append(helper.make_attribute("dilations", [2, 2]))
    with pytest.raises(NotLocal, match="dilated"):
        flow(nodes, weights, "in", "r0", 17)
    nodes, weights = trunk([(1, 3, 1)], True, 0)
    nodes[1].input[:] = [nodes[1].input[0], "w0"]
    with pytest.raises(NotLocal, match="two branches"):
        flow(nodes, weights, "in", "r0", 17)
