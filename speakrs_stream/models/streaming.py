"""A trunk of convolutions that carries on from where it stopped, as an ONNX network.

A convolution that pads its input in time needs, to go on, the last frames of that input and nothing else. Here every
block of them takes those frames from a context in place of padding, and hands the next ones on; a sum delays the branch
that is ahead. So each second of audio goes through the trunk once. What comes out is what the trunk gives far from
the ends of a long input, some frames late. A context of zeros stands for "not known": features are right from the
first on that sees none of it.
"""

from __future__ import annotations

from collections import Counter
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
class _Shape:
    """A tensor of the trunk, in its own frames."""

    channels: int
    bands: int
    delay: int
    """Frames by which it is behind the audio."""


@dataclass(slots=True)
class _Builder:
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    context: int = 0
    kept: list[str] = field(default_factory=list)

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

    def hold(self, name: str, shape: _Shape, frames: int) -> str:
        """The tensor with its last `frames` frames from before in front."""
        if not frames:
            return name
        size = shape.channels * shape.bands * frames
        rows = self.cut("context", self.context, self.context + size, axis=1)
        self.context += size
        before = self.add("Reshape", rows, self.integers(0, shape.channels, shape.bands, frames))
        joined = self.add("Concat", before, name, axis=TIME)
        self.kept.append(self.add("Flatten", self.cut(joined, -frames, END), axis=1))
        return joined


def flow(nodes: Sequence[Any], tensors: Mapping[str, Any], source: str, sink: str, opset: int) -> Flow:
    """Make a trunk that goes on out of one that pads.

    nodes: convolutions, batch normalisations, rectifiers and sums in order, on (B, channels, bands, frames)
    tensors: their weights; source, sink: the tensors that go in and come out

    Raises NotLocal where one of them cannot be carried on.
    """
    from onnx import TensorProto, helper, numpy_helper

    builder = _Builder()
    shapes = {source: _Shape(1, MELS, 0)}
    for node in nodes:
        shapes[node.output[0]] = _shape(node, shapes, tensors)
    # Frames from before are held where several nodes ask for a tensor; one that a single node asks for comes with the
    # frames that this one needs in front, made again from what is held before it: less to copy than to hold it, too.
    uses = Counter(name for node in nodes for name in node.input if name in shapes)
    joints = {name for name in shapes if uses[name] > 1} | {source, sink}
    asked: Counter[str] = Counter()  # frames in front of each
    needs: dict[str, dict[str, int]] = {}  # what is made -> frames that each of what it is made from must have in front
    for node in reversed(nodes):
        output = node.output[0]
        needs[output] = _needs(node, shapes, 0 if output in joints else asked[output])
        for name, frames in needs[output].items():
            asked[name] = max(asked[name], frames)
    turned = builder.add("Transpose", "fbank", perm=[0, 2, 1])
    new = builder.add("Unsqueeze", turned, builder.integers(1))
    made = {source: builder.hold(new, shapes[source], asked[source])}
    for node in nodes:
        output = node.output[0]
        inputs = []
        for name in node.input:
            if name not in shapes:
                inputs.append(name)
                continue
            front = asked[name] - needs[output][name]
            end = shapes[name].delay - shapes[output].delay if node.op_type == "Add" else 0
            inputs.append(builder.cut(made[name], front, end or END) if front or end else made[name])
        attributes = _attributes(node)
        if node.op_type == "Conv":
            up, _, down, _ = attributes["pads"]
            attributes |= {"pads": [up, 0, down, 0], "kernel_shape": list(tensors[node.input[1]].dims[2:])}
        new = made[output] = builder.add(node.op_type, *inputs, **attributes)
        if output in joints:
            made[output] = builder.hold(new, shapes[output], asked[output])
        if output == sink:
            last = new
    rows = builder.add("Flatten", builder.add("Transpose", last, perm=[0, 3, 1, 2]), axis=1)
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
    return Flow(model, builder.context, shapes[sink].delay)


def _attributes(node: Any) -> dict[str, Any]:
    """A node's attributes, those of a convolution with what they are where they are not given."""
    from onnx import helper

    usual = {"pads": [0, 0, 0, 0], "strides": [1, 1]} if node.op_type == "Conv" else {}
    return usual | {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _shape(node: Any, shapes: Mapping[str, _Shape], tensors: Mapping[str, Any]) -> _Shape:
    """Of what a node gives."""
    moving = [shapes[name] for name in node.input if name in shapes]
    if node.op_type == "Add":
        if len(moving) != 2:
            raise NotLocal("something other than two branches is added")
        return _Shape(moving[0].channels, moving[0].bands, max(one.delay for one in moving))
    if node.op_type != "Conv":
        return moving[0]
    given = _attributes(node)
    if list(given.get("dilations", [1, 1])) != [1, 1] or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise NotLocal("a convolution is dilated or pads by a rule")
    channels, _, height, width = tensors[node.input[1]].dims
    up, left, down, _ = given["pads"]
    step_bands, step = given["strides"]
    bands = (moving[0].bands + up + down - height) // step_bands + 1
    # a new frame j sees frames step * j - left and on; it is known once the last of them is
    return _Shape(channels, bands, -((step - moving[0].delay - width + left) // step))


def _needs(node: Any, shapes: Mapping[str, _Shape], front: int) -> dict[str, int]:
    """What a node is made from, and the frames each of these must have in front of its new ones for `front` of its own.

    Below 0 where not all new ones are needed.
    """
    delay = shapes[node.output[0]].delay
    moving = [name for name in node.input if name in shapes]
    if node.op_type == "Conv":
        given = _attributes(node)
        return {moving[0]: given["strides"][1] * (delay + front) + given["pads"][1] - shapes[moving[0]].delay}
    return {name: front + delay - shapes[name].delay for name in moving}
