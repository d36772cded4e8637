"""A segmentation whose convolutions after the first filters are computed in int8.

They multiply three to four times faster so on a processor with VNNI, and take most of the time of a network whose LSTM
is quick. What makes eight bits enough:

* Activations have long tails: each input channel's range is where 99.97 % of it lies, larger values are cut off.
* Channels differ: what is hard in one is moved from its activations to its weights, two thirds of the way in the
  logarithm (SmoothQuant, Xiao et al. 2023, equation 4). The instance normalisation in front has a gain for each.
* Results are normalised a channel at a time right after the maxima, so they may have any mean and deviation: they are
  brought to 0 and 1 first, and ten deviations either side are told apart.
* Weights have 64 steps either side instead of 127. A processor without VNNI adds two products in 16 bits and would
  saturate; so sums are exact, and the same, on every processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

F32 = NDArray[np.float32]

SHARE = 0.9997
"""Of a channel's values that its range holds."""
MOVED = 0.65
"""How much of an activation's range goes to the weights that read it, in the logarithm."""
STEPS = 64
"""Largest weight, in steps."""
DEVIATIONS = 10.0
"""Largest result, in standard deviations."""
BELOW = 0.05
"""Of the range is for values below 0: a leaky ReLU leaves little of them."""


class OtherForm(ValueError):
    """A convolution does not stand where its ranges can be chosen freely; says why."""


@dataclass(slots=True)
class Seen:
    """What a convolution met on recordings, a row for every window."""

    inputs: list[F32] = field(default_factory=list)
    """(C_in,) where `SHARE` of a channel's values lie below."""
    means: list[F32] = field(default_factory=list)
    """(C_out,) of its results."""
    variances: list[F32] = field(default_factory=list)
    """(C_out,) of its results."""

    def add(self, inputs: F32, results: F32) -> None:
        """Inputs (C_in, n) and results (C_out, m) of one window."""
        self.inputs.append(np.quantile(inputs, SHARE, axis=1).astype(np.float32))
        self.means.append(results.mean(axis=1))
        self.variances.append(results.var(axis=1))


class Network:
    """A segmentation network on its way to int8."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._graph = model.graph
        self._nodes = list(model.graph.node)
        self._maker = {name: node for node in self._nodes for name in node.output}
        self._tensors = {entry.name: entry for entry in self._graph.initializer}

    @property
    def convolutions(self) -> list[onnx.NodeProto]:
        """Those between a leaky ReLU of normalised channels and maxima: all but the filters and the join."""
        return [
            node
            for node in self._nodes
            if node.op_type == "Conv"
            and (before := self._maker.get(node.input[0])) is not None
            and before.op_type == "LeakyRelu"
            and self._after(node).op_type == "MaxPool"
        ]

    def watch(self, windows: Iterable[F32]) -> list[Seen]:
        """What each of `convolutions` meets on windows (160000,)."""
        names = [name for node in self.convolutions for name in (node.input[0], node.output[0])]
        probe = onnx.ModelProto()
        probe.CopyFrom(self.model)
        probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
        session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
        found = [Seen() for _ in self.convolutions]
        for window in windows:
            results = session.run(names, {self._graph.input[0].name: window[None, None]})
            for seen, inputs, outputs in zip(found, results[::2], results[1::2], strict=True):
                seen.add(inputs[0], outputs[0])
        if not found[0].means:
            raise ValueError("no windows were given to see ranges on")
        return found

    def quantize(self, convolution: onnx.NodeProto, seen: Seen) -> None:
        """Compute one convolution, and the maxima after it, in int8."""
        norm, maxima = self._maker[self._maker[convolution.input[0]].input[0]], self._after(convolution)
        if norm.op_type != "InstanceNormalization" or self._after(maxima).op_type != "InstanceNormalization":
            raise OtherForm(f"{convolution.name or convolution.output[0]} has no normalised channels around it")
        kernel, bias = (self._values(name) for name in convolution.input[1:3])
        ranges = np.mean(seen.inputs, axis=0)
        moved = ranges**MOVED / np.abs(kernel).max(axis=(0, 2)) ** (1 - MOVED)
        for name in norm.input[1:3]:
            self._replace(name, self._values(name) / moved)
        mean, deviation = np.mean(seen.means, axis=0), np.sqrt(np.mean(seen.variances, axis=0))
        kernel = kernel * moved[:, None] / deviation[:, None, None]
        self._in_eight_bits(convolution, maxima, kernel, (bias - mean) / deviation, float((ranges / moved).max()))

    def finished(self) -> onnx.ModelProto:
        """The network, checked."""
        used = {name for node in self._nodes for name in node.input} | {entry.name for entry in self._graph.output}
        self._nodes = [node for node in self._nodes if used.intersection(node.output)]  # no casts of what was replaced
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        weights = [entry for name, entry in self._tensors.items() if name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(weights)
        onnx.checker.check_model(self.model, full_check=True)
        return self.model

    def _in_eight_bits(
        self, convolution: onnx.NodeProto, maxima: onnx.NodeProto, kernel: F32, bias: F32, largest: float
    ) -> None:
        prefix = f"{convolution.output[0]}_int8"
        step = np.float32(largest * (1 + BELOW) / 255)
        given = self._put(f"{prefix}_input", step, np.uint8(round(largest * BELOW / step)))
        result = self._put(f"{prefix}_result", np.float32(2 * DEVIATIONS / 255), np.uint8(128))
        steps = np.asarray(np.abs(kernel).max(axis=(1, 2)) / STEPS, np.float32)
        rounded = np.round(kernel / steps[:, None, None]).astype(np.int8)
        weights = self._put(f"{prefix}_weights", steps, np.zeros(len(steps), np.int8))
        added = self._put(f"{prefix}_bias", np.asarray(steps * step, np.float32), np.zeros(len(steps), np.int32))
        self._add(f"{prefix}_kernel", rounded)
        self._add(f"{prefix}_shift", np.round(bias / (steps * step)).astype(np.int32))
        before = [
            *_rounded(convolution.input[0], given, f"{prefix}_x"),
            _back(f"{prefix}_kernel", weights, f"{prefix}_w", axis=0),
            _back(f"{prefix}_shift", added, f"{prefix}_b", axis=0),
        ]
        output, best = convolution.output[0], maxima.output[0]
        convolution.input[:] = [f"{prefix}_x", f"{prefix}_w", f"{prefix}_b"]
        convolution.output[0], maxima.output[0] = f"{prefix}_y", f"{prefix}_best"
        self._insert(convolution, before, _rounded(f"{prefix}_y", result, output))
        self._insert(maxima, [], _rounded(f"{prefix}_best", result, best))

    def _after(self, node: onnx.NodeProto) -> onnx.NodeProto:
        users = [one for one in self._nodes if node.output[0] in one.input]
        return users[0] if len(users) == 1 else onnx.NodeProto()

    def _values(self, name: str) -> F32:
        """A stored tensor, also where it is cast from float16."""
        if name not in self._tensors:
            name = self._maker[name].input[0]
        return np.asarray(numpy_helper.to_array(self._tensors[name]), np.float32)

    def _replace(self, name: str, values: F32) -> None:
        self._tensors[name].CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), name))

    def _add(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        self._tensors[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _put(self, name: str, scale: F32 | np.float32, zero: NDArray[np.generic] | np.generic) -> Sequence[str]:
        return self._add(f"{name}_scale", scale), self._add(f"{name}_zero", zero)

    def _insert(self, node: onnx.NodeProto, before: list[onnx.NodeProto], after: list[onnx.NodeProto]) -> None:
        place = next(place for place, one in enumerate(self._nodes) if one is node)
        self._nodes[place : place + 1] = [*before, node, *after]


def _rounded(name: str, quantum: Sequence[str], output: str) -> list[onnx.NodeProto]:
    """A tensor rounded to eight bits and back, which runtimes join with what stands around it."""
    return [
        helper.make_node("QuantizeLinear", [name, *quantum], [f"{output}_rounded"]),
        _back(f"{output}_rounded", quantum, output),
    ]


def _back(name: str, quantum: Sequence[str], output: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", [name, *quantum], [output], **attributes)


def quantized(model: onnx.ModelProto, windows: Iterable[F32]) -> onnx.ModelProto:
    """The segmentation with its convolutions after the filters in int8; changed in place.

    windows: (160000,) each, to see ranges on

    Raises OtherForm where there is no convolution to quantize or its channels are not normalised, ValueError without
    windows.
    """
    network = Network(model)
    convolutions = network.convolutions
    if not convolutions:
        raise OtherForm("there is no convolution between a leaky ReLU and maxima")
    for convolution, seen in zip(convolutions, network.watch(windows), strict=True):
        network.quantize(convolution, seen)
    return network.finished()
