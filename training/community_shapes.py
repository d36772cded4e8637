"""Networks of community-1's true shapes and file names with random weights.

For tests and speed measurements where the real weights are not at hand; what they compute means nothing. The graphs
follow the published architectures: PyanNet (Bredin & Laurent 2021; SincNet front, four bidirectional LSTM layers) and
WeSpeaker's ResNet34 (Wang et al. 2023) with statistics pooled under three masks, batch norms folded. Needs `onnx`.

    python -m training.community_shapes DIRECTORY [--seed 0] [--batch 32] [--width 32]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 18, 9
FBANK, MELS, FRAMES, SAMPLES, MASKS = 998, 80, 589, 160_000, 3
DIMENSION, COMPONENTS = 256, 128
STAGES = ((3, 1), (4, 2), (6, 2), (3, 2))
"""Blocks and stride of ResNet34's four stages."""


@dataclass
class Graph:
    """An ONNX graph under construction."""

    rng: np.random.Generator
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; the name of its first output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        outputs = [name, "", ""][: 1 if kind != "LSTM" else 3]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Store an array; its name."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def floats(self, values: Any) -> str:
        """Store float32 values; their name."""
        return self.constant(np.asarray(values, np.float32))

    def integers(self, *values: int) -> str:
        """Store integers as a vector; its name."""
        return self.constant(np.asarray(values, np.int64))

    def random(self, *shape: int, inputs: int, gain: float = 1.0) -> str:
        """Store normal weights that keep the variance of `inputs` summands, times `gain` squared; their name."""
        return self.floats(self.rng.standard_normal(shape) * gain / np.sqrt(inputs))

    def model(self, inputs: dict[str, tuple[Any, ...]], output: str, shape: tuple[Any, ...]) -> onnx.ModelProto:
        """Finish: the last node's result becomes `output`."""
        self.nodes.append(helper.make_node("Identity", [self.nodes[-1].output[0]], [output], name="result"))
        graph = helper.make_graph(
            self.nodes,
            "community_shapes",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model)
        return model


def sinc_filters(count: int = 80, taps: int = 251, rate: int = 16_000) -> NDArray[np.float64]:
    """Windowed band passes evenly spaced in mel, the even ones first, then their odd twins: (count, 1, taps)."""
    mel = np.linspace(1127 * np.log1p(30 / 700), 1127 * np.log1p(7900 / 700), count // 2 + 1)
    edges = 700 * np.expm1(mel / 1127)
    low, high = edges[:-1, None], edges[1:, None]
    t = 2 * np.pi * np.arange(-(taps // 2), taps // 2 + 1) / rate
    middle = taps // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        even = (np.sin(high * t) - np.sin(low * t)) / (t / 2)
        odd = (np.cos(low * t) - np.cos(high * t)) / (t / 2)
    even[:, middle] = 2 * (high - low)[:, 0]
    odd[:, middle] = 0
    filters = np.concatenate([even, odd]) * np.hamming(taps) / np.tile(2 * (high - low), (2, 1))
    return np.asarray(filters[:, None, :])


def segmentation(
    seed: int = 0, batch: int | None = 1, samples: int | str = "samples", width: int = 32
) -> onnx.ModelProto:
    """PyanNet: `input` [batch, 1, samples] to log-probabilities `output` [batch, frames, 7].

    batch: fixed size; None for any
    width: 32 for the true number of channels, less for proportionally fewer
    """
    graph = Graph(np.random.default_rng(seed))
    filters, inner, hidden = 2 * (40 * width // 32), 60 * width // 32, 128 * width // 32

    def norm(x: str, channels: int) -> str:
        return graph.add(
            "InstanceNormalization", x, graph.floats(np.ones(channels)), graph.floats(np.zeros(channels)), epsilon=1e-5
        )

    x = norm("input", 1)
    x = graph.add("Abs", graph.add("Conv", x, graph.floats(sinc_filters(filters)), kernel_shape=[251], strides=[10]))
    channels = filters
    for stage in range(3):
        if stage:
            kernel = graph.random(inner, channels, 5, inputs=channels * 5, gain=1.4)
            x = graph.add("Conv", x, kernel, graph.floats(np.zeros(inner)), kernel_shape=[5])
            channels = inner
        x = norm(graph.add("MaxPool", x, kernel_shape=[3], strides=[3]), channels)
        x = graph.add("LeakyRelu", x, alpha=0.01)
    x = graph.add("Transpose", x, perm=[2, 0, 1])
    size = inner
    for _ in range(4):
        arrays = [
            graph.random(2, 4 * hidden, size, inputs=size),
            graph.random(2, 4 * hidden, hidden, inputs=hidden),
            graph.floats(np.zeros((2, 8 * hidden))),
        ]
        x = graph.add("LSTM", x, *arrays, hidden_size=hidden, direction="bidirectional")
        x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
        x = graph.add("Reshape", x, graph.integers(0, 0, 2 * hidden))
        size = 2 * hidden
    x = graph.add("Transpose", x, perm=[1, 0, 2])
    for outputs in (128, 128, 7):
        x = graph.add("MatMul", x, graph.random(size, outputs, inputs=size, gain=1.4))
        x = graph.add("Add", x, graph.floats(np.zeros(outputs)))
        x = graph.add("LeakyRelu", x, alpha=0.01) if outputs == 128 else graph.add("LogSoftmax", x, axis=-1)
        size = outputs
    first: int | str = "batch" if batch is None else batch
    frames: int | str = FRAMES if samples == SAMPLES else "frames"
    return graph.model({"input": (first, 1, samples)}, "output", (first, frames, 7))


def _trunk(graph: Graph, width: int) -> str:
    """ResNet34 on `fbank`: [B, 8 width, 10, T']."""

    def convolve(x: str, inputs: int, outputs: int, kernel: int, stride: int, gain: float) -> str:
        pad = kernel // 2
        weight = graph.random(outputs, inputs, kernel, kernel, inputs=inputs * kernel * kernel, gain=gain)
        return graph.add(
            "Conv",
            x,
            weight,
            graph.floats(graph.rng.standard_normal(outputs) * 0.01),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad, pad, pad, pad],
        )

    x = graph.add("Unsqueeze", graph.add("Transpose", "fbank", perm=[0, 2, 1]), graph.integers(1))
    x = graph.add("Relu", convolve(x, 1, width, 3, 1, 0.5))
    channels = width
    for number, (blocks, first_stride) in enumerate(STAGES):
        outputs = width << number
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y = graph.add("Relu", convolve(x, channels, outputs, 3, stride, 1.4))
            y = convolve(y, outputs, outputs, 3, 1, 0.5)
            if stride != 1 or channels != outputs:
                x = convolve(x, channels, outputs, 1, stride, 1.0)
            x = graph.add("Relu", graph.add("Add", y, x))
            channels = outputs
    return x


def multimask(seed: int = 1, batch: int = 1, width: int = 32) -> onnx.ModelProto:
    """ResNet34 with three poolings: `fbank` [batch, 998, 80], `masks` [3 batch, 589] to `output` [3 batch, 256].

    width: channels of the first stage, 32 in the real network; fewer make a small network of the same interface
    """
    graph = Graph(np.random.default_rng(seed))
    channels = 8 * width * 10
    features = _trunk(graph, width)
    features = graph.add("Reshape", features, graph.integers(batch, 1, channels, -1))
    count = 125
    nearest = graph.integers(*[index * FRAMES // count for index in range(count)])
    weights = graph.add("Gather", "masks", nearest, axis=1)
    weights = graph.add("Reshape", weights, graph.integers(batch, MASKS, 1, count))
    axis = graph.integers(3)
    zero, one = graph.floats(0.0), graph.floats(1.0)
    total = graph.add("ReduceSum", weights, axis, keepdims=1)
    spoken = graph.add("Greater", total, zero)
    safe = graph.add("Where", spoken, total, one)
    summed = graph.add("ReduceSum", graph.add("Mul", features, weights), axis, keepdims=1)
    mean = graph.add("Div", summed, safe)
    apart = graph.add("Sub", features, mean)
    squares = graph.add("Mul", graph.add("Mul", apart, apart), weights)
    squared = graph.add("ReduceSum", graph.add("Mul", weights, weights), axis, keepdims=1)
    freedom = graph.add("Add", graph.add("Sub", safe, graph.add("Div", squared, safe)), graph.floats(1e-8))
    variance = graph.add("Div", graph.add("ReduceSum", squares, axis, keepdims=1), freedom)
    deviation = graph.add("Sqrt", graph.add("Max", variance, graph.floats(1e-10)))
    mean = graph.add("Where", spoken, mean, zero)
    deviation = graph.add("Where", spoken, deviation, graph.floats(1e-5))
    pooled = graph.add("Concat", mean, deviation, axis=2)
    pooled = graph.add("Reshape", pooled, graph.integers(MASKS * batch, 2 * channels))
    graph.add(
        "Gemm",
        pooled,
        graph.random(DIMENSION, 2 * channels, inputs=channels),
        graph.floats(graph.rng.standard_normal(DIMENSION) * 0.03),
        transB=1,
    )
    inputs = {"fbank": (batch, FBANK, MELS), "masks": (MASKS * batch, FRAMES)}
    return graph.model(inputs, "output", (MASKS * batch, DIMENSION))


def whole(seed: int = 1, width: int = 32) -> onnx.ModelProto:
    """ResNet34 pooled over everything: `feats` [1, T, 80] to `embs` [1, 256], as WeSpeaker exports it.

    The weights are those of `multimask` with the same seed and width.
    """
    graph = Graph(np.random.default_rng(seed))
    channels = 8 * width * 10
    graph.nodes.append(helper.make_node("Identity", ["feats"], ["fbank"], name="features"))
    features = graph.add("Reshape", _trunk(graph, width), graph.integers(0, channels, -1))
    axis = graph.integers(2)
    mean = graph.add("ReduceMean", features, axis, keepdims=1)
    apart = graph.add("Sub", features, mean)
    variance = graph.add("ReduceMean", graph.add("Mul", apart, apart), axis, keepdims=1)
    deviation = graph.add("Sqrt", graph.add("Max", variance, graph.floats(1e-10)))
    pooled = graph.add("Reshape", graph.add("Concat", mean, deviation, axis=1), graph.integers(0, 2 * channels))
    weights = graph.random(DIMENSION, 2 * channels, inputs=channels)
    graph.add("Gemm", pooled, weights, graph.floats(graph.rng.standard_normal(DIMENSION) * 0.03), transB=1)
    return graph.model({"feats": ("batch", "frames", MELS)}, "embs", ("batch", DIMENSION))


def plda(seed: int = 2, dimension: int = DIMENSION, components: int = COMPONENTS) -> dict[str, NDArray[Any]]:
    """Random tables of the true shapes and types."""
    rng = np.random.default_rng(seed)
    return {
        "mean1": rng.standard_normal(dimension) * 0.09,
        "lda": (rng.standard_normal((dimension, components)) / np.sqrt(dimension)).astype(np.float32),
        "mean2": (rng.standard_normal(components) * 0.1).astype(np.float32),
        "mu": rng.standard_normal(components) * 0.07,
        "tr": np.linalg.qr(rng.standard_normal((components, components)))[0] * 1.5,
        "psi": np.geomspace(25.9, 0.57, components),
    }


def write(
    directory: Path, *, seed: int = 0, width: int = 32, batches: tuple[int, ...] = (), external: bool = False
) -> Path:
    """Write a directory in the speakrs-models layout; the directory.

    width: channels of the embedding network's first stage, 32 in the real one; fewer make small networks
    batches: fixed batch sizes to export besides 1
    external: keep the embedding network's weights in a file of their own
    """
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(segmentation(seed, width=width), directory / "segmentation-3.0.onnx")
    tail = directory / "wespeaker-multimask-tail.onnx"
    onnx.save(multimask(seed + 1, width=width), tail, save_as_external_data=external, location=f"{tail.name}.data")
    for batch in batches:
        onnx.save(segmentation(seed, batch, SAMPLES, width), directory / f"segmentation-3.0-b{batch}.onnx")
        onnx.save(multimask(seed + 1, batch, width), directory / f"wespeaker-multimask-tail-b{batch}.onnx")
    for name, table in plda(seed + 2).items():
        np.save(directory / f"plda_{name}.npy", table)
    (directory / "wespeaker-voxceleb-resnet34.min_num_samples.txt").write_text("400\n")
    return directory


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="write networks of community-1's shapes with random weights")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, nargs="*", default=[], help="fixed batch sizes besides 1")
    parser.add_argument("--width", type=int, default=32, help="32 for true shapes, less for small networks")
    given = parser.parse_args()
    print(write(given.directory, seed=given.seed, width=given.width, batches=tuple(given.batch)))


if __name__ == "__main__":
    main()
