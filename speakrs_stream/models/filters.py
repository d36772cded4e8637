"""Taking the first filters off a segmentation network, so that they can run over a stream once (see `core.filters`).

They are found by what the graph begins with, not by names: an instance normalisation of the samples, one convolution
without padding, absolute values, maxima of groups that do not overlap. Whatever follows stays one network, as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.core.arrays import F32
from speakrs_stream.core.filters import FilterLayout
from speakrs_stream.errors import BundleNotFound, MissingExtra, translate

BEGINNING = ("InstanceNormalization", "Conv", "Abs", "MaxPool")
"""Operations that are taken off, in order."""
FILTERS_INPUT, FILTERS_OUTPUT = "samples", "results"


class OtherForm(ValueError):
    """The network does not begin as expected; says what is different."""


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """A segmentation network, taken apart."""

    layout: FilterLayout
    """What the beginning does."""
    filters: bytes
    """ONNX model, `samples` (B, 1, n) to `results` (B, pool * C, columns), dealt out as in `core.filters.grouped`."""
    rest: bytes
    """ONNX model, the largest results (B, C, groups) to log-probabilities."""
    source: str
    """Name of the uncut network's input."""
    input: str
    """Name of the rest's input."""


def take_front(path: Path) -> Front:
    """Filters and rest of a segmentation network.

    Raises MissingExtra without onnx, OtherForm where the network begins otherwise, BundleNotFound where the file cannot
    be read.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # onnx needs protobuf
    except ImportError as error:
        raise MissingExtra("onnx", "cpu", "sharing the segmentation's filters between windows") from error
    with translate({OSError: BundleNotFound}, f"reading {path}"):
        try:
            model = onnx.load(str(path))
        except DecodeError as error:
            raise OtherForm(f"it is no ONNX file ({error})") from error
    try:
        return _apart(_Graph(model))
    except OtherForm:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise OtherForm(f"it is damaged ({error!r})") from error


def _apart(graph: _Graph) -> Front:
    norm, convolution, _, largest = nodes = graph.beginning()
    kernel, layout = _layout(graph, norm, convolution, largest)
    return Front(
        layout,
        _filters(kernel, layout).SerializeToString(),
        graph.rest(nodes, len(kernel)).SerializeToString(),
        norm.input[0],
        largest.output[0],
    )


class _Graph:
    """Questions about an ONNX graph."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.graph
        self._tensors = {entry.name: entry for entry in self._graph.initializer}
        self._producer = {name: node for node in self._graph.node for name in node.output if name}

    def beginning(self) -> list[Any]:
        """The four nodes that are taken off; each is all that becomes of the one before."""
        inputs = [entry.name for entry in self._graph.input if entry.name not in self._tensors]
        if len(inputs) != 1:
            raise OtherForm(f"it has {len(inputs)} inputs")
        name, found = inputs[0], []
        results = {entry.name for entry in self._graph.output}
        for kind in BEGINNING:
            users = [node for node in self._graph.node if name in node.input]
            if len(users) != 1 or users[0].op_type != kind or users[0].input[0] != name or name in results:
                have = " and ".join(sorted(node.op_type for node in users)) or "nothing"
                raise OtherForm(f"where {kind} was expected there is {have}")
            found.append(users[0])
            name = users[0].output[0]
        return found

    def constant(self, name: str) -> F32:
        """What a tensor always is: stored, or computed from stored ones."""
        from onnx import numpy_helper
        from onnx.reference import ReferenceEvaluator

        if name in self._tensors:
            return np.asarray(numpy_helper.to_array(self._tensors[name]), np.float32)
        nodes = self._before([name], set())
        made = {output for node in nodes for output in node.output}
        used = {one for node in nodes for one in node.input if one}
        if not nodes or not used <= made | self._tensors.keys():
            raise OtherForm("its filters depend on the samples")
        (value,) = ReferenceEvaluator(self._part(nodes, [], [name])).run(None, {})
        return np.asarray(value, np.float32)

    def rest(self, front: list[Any], channels: int) -> Any:
        """What follows the beginning, as a model."""
        from onnx import TensorProto, helper

        start = front[-1].output[0]
        nodes = self._before([entry.name for entry in self._graph.output], {start})
        batch = self._graph.input[0].type.tensor_type.shape.dim[0]
        first = batch.dim_value if batch.HasField("dim_value") else "batch"
        given = helper.make_tensor_value_info(start, TensorProto.FLOAT, [first, channels, None])
        return self._part(nodes, [given], list(self._graph.output))

    def _before(self, names: list[str], known: set[str]) -> list[Any]:
        """Nodes that tensors are made by, in order, back to known ones."""
        wanted, todo = set(known), list(names)
        while todo:
            name = todo.pop()
            if name and name not in wanted:
                wanted.add(name)
                todo += self._producer[name].input if name in self._producer else []
        return [node for node in self._graph.node if wanted.difference(known).intersection(node.output)]

    def _part(self, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Any:
        from onnx import TensorProto, helper

        used = {name for node in nodes for name in node.input}
        ends = [helper.make_tensor_value_info(e, TensorProto.FLOAT, None) if isinstance(e, str) else e for e in outputs]
        weights = [entry for name, entry in self._tensors.items() if name in used]
        graph = helper.make_graph(nodes, "part", inputs, ends, weights)
        return helper.make_model(
            graph,
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
            functions=self._model.functions,
        )


def _layout(graph: _Graph, norm: Any, convolution: Any, largest: Any) -> tuple[F32, FilterLayout]:
    """Taps (C, n) of the filters, and what the four nodes do. OtherForm where they do anything else as well."""
    level, filtering, pooling = (_attributes(node) for node in (norm, convolution, largest))
    kernel = graph.constant(convolution.input[1])
    if kernel.ndim != 3 or kernel.shape[1] != 1:
        raise OtherForm(f"its filters have shape {kernel.shape}")
    if len(convolution.input) > 2 and convolution.input[2] and graph.constant(convolution.input[2]).any():
        raise OtherForm("something is added to its filters' results")
    for given in (filtering, pooling):
        plain = {"dilations": [1], "pads": [0, 0], "group": 1, "ceil_mode": 0, "auto_pad": b"NOTSET"}
        odd = [name for name, value in plain.items() if given.get(name, value) not in (value, b"VALID")]
        if odd:
            raise OtherForm(f"its first convolution or maximum has {odd[0]} {given[odd[0]]}")
    pool = pooling["kernel_shape"][0]
    if pooling.get("strides", [1]) != [pool] or len(largest.output) != 1:
        raise OtherForm("its first maxima are of groups that overlap")
    gain, bias = (graph.constant(name) for name in norm.input[1:3])
    if gain.size != 1 or bias.size != 1 or not gain.item():
        raise OtherForm(f"its samples are levelled with {gain.reshape(-1)[:3]}")
    taps = kernel[:, 0]
    sums = np.asarray(taps.sum(axis=1, dtype=np.float64), np.float32)
    stride, epsilon = filtering.get("strides", [1])[0], level.get("epsilon", 1e-5)
    return taps, FilterLayout(stride, taps.shape[1], pool, gain.item(), bias.item(), epsilon, sums)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _filters(taps: F32, layout: FilterLayout) -> Any:
    """One convolution that gives `pool` neighbouring results of every filter at once."""
    from onnx import TensorProto, helper, numpy_helper

    pool, stride = layout.pool, layout.stride
    kernel = np.zeros((pool, len(taps), 1, layout.field), np.float32)
    for member in range(pool):
        kernel[member, :, 0, member * stride : member * stride + layout.taps] = taps
    node = helper.make_node(
        "Conv", [FILTERS_INPUT, "taps"], [FILTERS_OUTPUT], kernel_shape=[layout.field], strides=[pool * stride]
    )
    graph = helper.make_graph(
        [node],
        "filters",
        [helper.make_tensor_value_info(FILTERS_INPUT, TensorProto.FLOAT, ["batch", 1, "samples"])],
        [helper.make_tensor_value_info(FILTERS_OUTPUT, TensorProto.FLOAT, ["batch", pool * len(taps), "columns"])],
        [numpy_helper.from_array(kernel.reshape(-1, 1, layout.field), "taps")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
