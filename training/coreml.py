"""Makes CoreML programs of a bundle's networks, in float32, beside their ONNX files.

    python -m training.coreml BUNDLE FOLDER

Each node of the ONNX graph becomes an operation of MIL, with the same weights; shapes are fixed, since CoreML plans for
them: one window for the segmentation, one step of new audio and the first step for the trunk, three speakers for the
head. Convolutions that a bundle has in int8 are computed in float32 too, with the weights as they were rounded.
`FOLDER/NAME.mlpackage` can be compiled on a Mac (`xcrun coremlcompiler compile`) and is then found by the backend
`coreml` beside `NAME.onnx`. Runs anywhere; only the prediction takes a Mac. Needs `coremltools` and `onnx`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.models.bundle import ModelBundle
from training.plain import without_quantization

Value = Any
"""What an ONNX tensor became: a NumPy array where it is constant, else a variable of MIL."""


class Unknown(ValueError):
    """An operation that has no counterpart here; says which."""


class Translation:
    """One graph on its way from ONNX to MIL; called inside a MIL program."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self.values: dict[str, Value] = {
            entry.name: numpy_helper.to_array(entry).astype(_kind(entry)) for entry in model.graph.initializer
        }

    def run(self, inputs: dict[str, Value]) -> Value:
        """The output, with every node before it translated."""
        from coremltools.converters.mil import Builder as mb

        self.values |= inputs
        for node in self._graph.node:
            given = [self.values[name] if name else None for name in node.input]
            attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            found = translated(mb, node.op_type, given, attributes)
            self.values[node.output[0]] = found
        return mb.identity(x=self.values[self._graph.output[0].name], name=self._graph.output[0].name)


def _kind(entry: onnx.TensorProto) -> type[np.generic]:
    return np.int64 if entry.data_type == onnx.TensorProto.INT64 else np.float32


def translated(mb: Any, kind: str, x: list[Value], given: dict[str, Any]) -> Value:
    """One node in MIL. mb: the builder; x: its inputs; given: its attributes. Unknown where it has no counterpart."""
    rules: dict[str, Callable[[], Value]] = {
        "Identity": lambda: x[0],
        "Cast": lambda: x[0],  # weights are float32 already, and nothing else is cast
        "Abs": lambda: mb.abs(x=x[0]),
        "Relu": lambda: mb.relu(x=x[0]),
        "Sqrt": lambda: mb.sqrt(x=x[0]),
        "LeakyRelu": lambda: mb.leaky_relu(x=x[0], alpha=float(given.get("alpha", 0.01))),
        "Add": lambda: mb.add(x=x[0], y=x[1]),
        "Sub": lambda: mb.sub(x=x[0], y=x[1]),
        "Mul": lambda: mb.mul(x=x[0], y=x[1]),
        "MatMul": lambda: mb.matmul(x=x[0], y=x[1]),
        "Transpose": lambda: mb.transpose(x=x[0], perm=list(given["perm"])),
        "Unsqueeze": lambda: mb.expand_dims(x=x[0], axes=x[1].tolist()),
        "Concat": lambda: mb.concat(values=x, axis=given["axis"]),
        "ReduceMean": lambda: mb.reduce_mean(
            x=x[0], axes=list(given["axes"]), keep_dims=bool(given.get("keepdims", 1))
        ),
        "LogSoftmax": lambda: mb.sub(
            x=x[0], y=mb.reduce_log_sum_exp(x=x[0], axes=[given.get("axis", -1)], keep_dims=True)
        ),
        "Reshape": lambda: mb.reshape(x=x[0], shape=_shape(x[0].shape, x[1])),
        "Slice": lambda: _slice(mb, x),
        "Conv": lambda: _convolution(mb, x, given),
        "MaxPool": lambda: mb.max_pool(
            x=x[0], kernel_sizes=list(given["kernel_shape"]), strides=list(given["strides"]), pad_type="valid"
        ),
        "InstanceNormalization": lambda: mb.instance_norm(
            x=x[0], gamma=x[1], beta=x[2], epsilon=float(given.get("epsilon", 1e-5))
        ),
        "LSTM": lambda: _lstm(mb, x, given),
    }
    if kind not in rules:
        raise Unknown(f"there is no rule for the ONNX operation {kind}")
    return rules[kind]()


def _shape(before: Any, wanted: NDArray[np.int64]) -> list[int]:
    """ONNX's new shape with 0 (as before) filled in; -1 (what is left) MIL knows too."""
    return [int(before[axis]) if length == 0 else int(length) for axis, length in enumerate(wanted)]


def _slice(mb: Any, x: list[Value]) -> Value:
    starts, ends, axes = (value.tolist() for value in x[1:4])
    shape = list(x[0].shape)
    begin, end = [0] * len(shape), [int(length) for length in shape]
    for start, stop, axis in zip(starts, ends, axes, strict=True):
        begin[axis], end[axis], _ = slice(start, stop).indices(int(shape[axis]))
    return mb.slice_by_index(x=x[0], begin=begin, end=end)


def _convolution(mb: Any, x: list[Value], given: dict[str, Any]) -> Value:
    dimensions = x[1].ndim - 2
    pads = list(given.get("pads", [0] * 2 * dimensions))
    pad = [value for axis in range(dimensions) for value in (pads[axis], pads[axis + dimensions])]
    bias = {"bias": x[2]} if len(x) > 2 else {}
    strides = list(given.get("strides", [1] * dimensions))
    return mb.conv(
        x=x[0], weight=x[1], strides=strides, pad_type="custom", pad=pad, groups=given.get("group", 1), **bias
    )


def _lstm(mb: Any, x: list[Value], given: dict[str, Any]) -> Value:
    """ONNX: (S, B, I) to (S, 2, B, H), gates i, o, f, c. MIL: to (S, B, 2H), gates i, f, o, c."""
    if given.get("direction", b"forward") != b"bidirectional" or (len(x) > 4 and any(v is not None for v in x[4:])):
        raise Unknown("only a bidirectional LSTM that starts from zeros is known")
    sequence, weights, recurrent, bias = x[0], x[1], x[2], x[3]
    size = given["hidden_size"]

    def gates(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        i, o, f, c = np.split(rows, 4)
        return np.ascontiguousarray(np.concatenate([i, f, o, c]))

    def summed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return gates(rows[: 4 * size] + rows[4 * size :])

    steps, batch = int(sequence.shape[0]), int(sequence.shape[1])
    zeros = np.zeros((batch, 2 * size), np.float32)
    out, _, _ = mb.lstm(
        x=sequence,
        initial_h=zeros,
        initial_c=zeros,
        weight_ih=gates(weights[0]),
        weight_hh=gates(recurrent[0]),
        bias=summed(bias[0]),
        weight_ih_back=gates(weights[1]),
        weight_hh_back=gates(recurrent[1]),
        bias_back=summed(bias[1]),
        direction="bidirectional",
        output_sequence=True,
    )
    split = mb.reshape(x=out, shape=[steps, batch, 2, size])
    return mb.transpose(x=split, perm=[0, 2, 1, 3])


def program(path: Path, shapes: dict[str, tuple[int, ...]]) -> Any:
    """A CoreML model in float32 of an ONNX file; shapes: of its inputs."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb

    translation = Translation(without_quantization(onnx.load(str(path))))
    names = list(shapes)

    def build(*inputs: Value) -> Value:
        return translation.run(dict(zip(names, inputs, strict=True)))

    # MIL takes the names of a program's inputs from its function's parameters
    arguments = ", ".join(names)
    scope: dict[str, Any] = {"build": build}
    exec(f"def made({arguments}):\n    return build({arguments})", scope)
    specs = [mb.TensorSpec(shape=shapes[name]) for name in names]
    made = mb.program(input_specs=specs, opset_version=ct.target.macOS13)(scope["made"])
    return ct.convert(
        made,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,  # float16 embeddings do not tell speakers apart
        compute_units=ct.ComputeUnit.CPU_AND_GPU,
        minimum_deployment_target=ct.target.macOS13,
    )


def plans(bundle: ModelBundle, step: int) -> dict[str, dict[str, tuple[int, ...]]]:
    """Network file -> shapes of its inputs, as a stream asks for them. step: samples between windows"""
    trunk, head = bundle.embedding.trunk, bundle.embedding.head
    if trunk is None or head is None or trunk.padded:
        raise Unknown("only bundles whose windows share a trunk are known")
    unit = step // 160
    assert unit <= FBANK_PER_WINDOW
    rows = (unit // trunk.stride - 1) * trunk.stride + trunk.receptive_field
    return {
        bundle.segmentation.file: {bundle.segmentation.input: (1, 1, WINDOW)},
        trunk.file: {trunk.input: (1, rows, 80)},
        head.file: {head.input: (LOCAL_SPEAKERS, 2 * trunk.channels)},
    }


def write(bundle: ModelBundle, folder: Path, step: int) -> list[Path]:
    """Convert every network of a bundle; the packages written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, shapes in plans(bundle, step).items():
        path = folder / f"{Path(file).stem}.mlpackage"
        program(bundle.path(file), shapes).save(str(path))
        written.append(path)
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--step", type=int, default=16_000, help="samples between windows")
    given = parser.parse_args()
    for path in write(ModelBundle.open(given.bundle), given.folder, given.step):
        print(path)


if __name__ == "__main__":
    main()
