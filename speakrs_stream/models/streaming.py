"""A trunk of convolutions that carries on from where it stopped, as an ONNX network.

A convolution that pads its input in time needs, to go on, the last frames of that input and nothing else. Here every
convolution takes those frames from a context in place of padding, and hands the next ones on; a sum delays the branch
that is ahead. So each second of audio goes through the trunk once. What comes out is what the trunk gives far from
the ends of a long input, some frames late. A context of zeros stands for "not known": features are right from the
first on that sees none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from speakrs_stream.models.manifest import MELS

END = np.iinfo(np.int64).max
TIME = 3
"""Axis of time: tensors are (B, channels, bands, frames)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The trunk as a network that goes on."""

    model: Any
    """ONNX model: `fbank` (B, T, 80) with T a multiple of the stride, and `context` (B, S), to `result`
    (B, T / stride * C + S): features, then the context for what follows."""
    context: int
    """S."""
    delay: int
    """Features by which it is late: the first is the one `delay` before the input's first frame."""


class NotLocal(ValueError):
    """The trunk has something in it that cannot be carried on; says what."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    channels: int
    bands: int
    delay: int
    """Frames, its own, by which it is behind the audio."""


@dataclass(slots=True)
class _Builder:
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    context: int = 0
    kept: list[str] = field(default_factory=list)
    held: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"flow/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def integers(self, *values: int) -> str:
        from onnx import numpy_helper

        name = f"flow/integers{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def cut(self, name: str, start: int, end: int, axis: int = TIME) -> str:
        return self.add("Slice", name, self.integers(start), self.integers(end), self.integers(axis))

    def hold(self, tensor: _Tensor, frames: int) -> str:
        """The tensor with its last `frames` frames from before in front; where negative, without its first ones."""
        if frames <= 0:
            return self.cut(tensor.name, -frames, END) if frames else tensor.name
        if (tensor.name, frames) not in self.held:
            size = tensor.channels * tensor.bands * frames
            rows = self.cut("context", self.context, self.context + size, axis=1)
            self.context += size
            before = self.add("Reshape", rows, self.integers(0, tensor.channels, tensor.bands, frames))
            joined = self.add("Concat", before, tensor.name, axis=TIME)
            self.kept.append(self.add("Flatten", self.cut(joined, -frames, END), axis=1))
            self.held[tensor.name, frames] = joined
        return self.held[tensor.name, frames]


def flow(nodes: Sequence[Any], tensors: Mapping[str, Any], source: str, sink: str, opset: int) -> Flow:
    """Make a trunk that goes on out of one that pads.

    nodes: convolutions, batch normalisations, rectifiers and sums in order, on (B, channels, bands, frames)
    tensors: their weights; source, sink: the tensors that go in and come out

    Raises NotLocal where one of them cannot be carried on.
    """
    from onnx import TensorProto, helper, numpy_helper

    builder = _Builder()
    turned = builder.add("Transpose", "fbank", perm=[0, 2, 1])
    known = {source: _Tensor(builder.add("Unsqueeze", turned, builder.integers(1)), 1, MELS, 0)}
    for node in nodes:
        moving = [known[name] for name in node.input if name in known]
        if node.op_type == "Conv":
            known[node.output[0]] = _convolution(builder, node, moving[0], tensors)
        elif node.op_type == "Add":
            known[node.output[0]] = _sum(builder, moving)
        else:
            inputs = [known[name].name if name in known else name for name in node.input]
            attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            name = builder.add(node.op_type, *inputs, **attributes)
            known[node.output[0]] = _Tensor(name, moving[0].channels, moving[0].bands, moving[0].delay)
    last = known[sink]
    rows = builder.add("Flatten", builder.add("Transpose", last.name, perm=[0, 3, 1, 2]), axis=1)
    builder.nodes.append(helper.make_node("Concat", [rows, *builder.kept], ["result"], axis=1))
    used = {name for node in builder.nodes for name in node.input} & tensors.keys()
    weights = [numpy_helper.from_array(numpy_helper.to_array(tensors[name]), name) for name in sorted(used)]
    graph = helper.make_graph(
        builder.nodes,
        "flow",
        [
            helper.make_tensor_value_info("fbank", TensorProto.FLOAT, ["batch", "frames", MELS]),
            helper.make_tensor_value_info("context", TensorProto.FLOAT, ["batch", builder.context]),
        ],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", "numbers"])],
        [*weights, *builder.weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return Flow(model, builder.context, last.delay)


def _convolution(builder: _Builder, node: Any, x: _Tensor, tensors: Mapping[str, Any]) -> _Tensor:
    """The convolution on its input with what it needs from before in front, in place of padding in time."""
    from onnx import helper

    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    channels, _, height, width = tensors[node.input[1]].dims
    up, left, down, _ = given.get("pads", [0, 0, 0, 0])
    step_bands, step = given.get("strides", [1, 1])
    if list(given.get("dilations", [1, 1])) != [1, 1] or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise NotLocal("a convolution is dilated or pads by a rule")
    # a new frame j sees frames step * j - left and on; it is known once the last of them is
    delay = -((step - x.delay - width + left) // step)
    frames = step * delay + left - x.delay
    given |= {"pads": [up, 0, down, 0], "kernel_shape": [height, width]}
    name = builder.add("Conv", builder.hold(x, frames), *node.input[1:], **given)
    return _Tensor(name, channels, (x.bands + up + down - height) // step_bands + 1, delay)


def _sum(builder: _Builder, branches: Sequence[_Tensor]) -> _Tensor:
    """The sum of two branches, the one that is ahead held back."""
    if len(branches) != 2:
        raise NotLocal("something other than two branches is added")
    delay = max(one.delay for one in branches)
    names = [
        one.name if one.delay == delay else builder.cut(builder.hold(one, delay - one.delay), 0, one.delay - delay)
        for one in branches
    ]
    return _Tensor(builder.add("Add", *names), branches[0].channels, branches[0].bands, delay)
