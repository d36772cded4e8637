"""CoreML programs of ONNX networks: the translation computed with NumPy, and the packages that coremltools writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY
from tests.models import small
from training import community_shapes
from training.coreml import Translation, Unknown, translated

F32 = NDArray[np.float32]


def sigmoid(x: F32) -> F32:
    return np.asarray(1 / (1 + np.exp(-x)))


class Eager:
    """MIL's operations, computed at once as its documentation describes them."""

    def __getattr__(self, name: str) -> Any:
        plain = {"abs": np.abs, "sqrt": np.sqrt}
        return lambda x: plain[name](x)

    def identity(self, x: F32, name: str) -> F32:
        return x

    def relu(self, x: F32) -> F32:
        return np.maximum(x, 0)

    def leaky_relu(self, x: F32, alpha: float) -> F32:
        return np.where(x < 0, alpha * x, x)

    def add(self, x: F32, y: F32) -> F32:
        return x + y

    def sub(self, x: F32, y: F32) -> F32:
        return x - y

    def mul(self, x: F32, y: F32) -> F32:
        return x * y

    def matmul(self, x: F32, y: F32) -> F32:
        return np.asarray(x @ y)

    def transpose(self, x: F32, perm: list[int]) -> F32:
        return x.transpose(perm)

    def reshape(self, x: F32, shape: list[int]) -> F32:
        return x.reshape(shape)

    def expand_dims(self, x: F32, axes: list[int]) -> F32:
        return np.expand_dims(x, tuple(axes))

    def concat(self, values: list[F32], axis: int) -> F32:
        return np.concatenate(values, axis)

    def reduce_mean(self, x: F32, axes: list[int], keep_dims: bool) -> F32:
        return np.asarray(x.mean(tuple(axes), keepdims=keep_dims))

    def reduce_log_sum_exp(self, x: F32, axes: list[int], keep_dims: bool) -> F32:
        return np.asarray(np.log(np.exp(x).sum(tuple(axes), keepdims=keep_dims)))

    def slice_by_index(self, x: F32, begin: list[int], end: list[int]) -> F32:
        return x[tuple(slice(a, b) for a, b in zip(begin, end, strict=True))]

    def max_pool(self, x: F32, kernel_sizes: list[int], strides: list[int], pad_type: str) -> F32:
        assert pad_type == "valid" and x.ndim == 3
        return np.asarray(sliding_window_view(x, kernel_sizes[0], axis=2)[:, :, :: strides[0]].max(axis=-1))

    def instance_norm(self, x: F32, gamma: F32, beta: F32, epsilon: float) -> F32:
        axes = tuple(range(2, x.ndim))
        spread = (-1, *[1] * len(axes))
        normed = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
        return np.asarray(normed * gamma.reshape(spread) + beta.reshape(spread))

    def conv(
        self,
        x: F32,
        weight: F32,
        strides: list[int],
        pad_type: str,
        pad: list[int],
        groups: int,
        bias: F32 | None = None,
    ) -> F32:
        assert pad_type == "custom" and groups == 1
        spatial = weight.ndim - 2
        padded = np.pad(x, [(0, 0), (0, 0), *zip(pad[::2], pad[1::2], strict=True)])
        views = sliding_window_view(padded, weight.shape[2:], axis=tuple(range(2, 2 + spatial)))
        views = views[(slice(None), slice(None), *(slice(None, None, step) for step in strides))]
        if spatial == 1:
            out = np.einsum("bctk,ock->bot", views, weight)
        else:
            out = np.einsum("bcthkl,ockl->both", views, weight)
        return np.asarray(out if bias is None else out + bias.reshape(-1, *[1] * spatial))

    def lstm(self, x: F32, initial_h: F32, initial_c: F32, direction: str, output_sequence: bool, **w: F32) -> Any:
        assert direction == "bidirectional" and output_sequence and not initial_h.any() and not initial_c.any()
        one = self._lstm(x, w["weight_ih"], w["weight_hh"], w["bias"])
        two = self._lstm(x[::-1], w["weight_ih_back"], w["weight_hh_back"], w["bias_back"])[::-1]
        return np.concatenate([one, two], axis=2), None, None

    def _lstm(self, x: F32, into: F32, again: F32, bias: F32) -> F32:
        """Gates in MIL's order: input, forget, output, cell."""
        h = c = np.zeros((x.shape[1], again.shape[1]))
        out = []
        for row in x:
            i, f, o, g = np.split(row @ into.T + h @ again.T + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return np.stack(out)


def both(model: onnx.ModelProto, **inputs: F32) -> tuple[F32, F32]:
    """What ONNX Runtime computes, and what the translation does."""
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    translation = Translation(model)
    for node in model.graph.node:
        given = [translation.values.get(name, inputs.get(name)) if name else None for name in node.input]
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        translation.values[node.output[0]] = translated(Eager(), node.op_type, given, attributes)
    return np.asarray(expected), np.asarray(translation.values[model.graph.output[0].name])


def test_a_segmentation() -> None:
    sound = np.random.default_rng(0).standard_normal((1, 1, 6000)).astype(np.float32)
    expected, found = both(community_shapes.segmentation(width=2), input=sound)
    assert expected.shape[1] > 10
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_head() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 12)).astype(np.float32)
    np.testing.assert_allclose(*both(small.head(), statistics=rows), atol=1e-5)


def test_the_embedded_trunk() -> None:
    rows = np.random.default_rng(0).standard_normal((1, 107, 80)).astype(np.float32)
    expected, found = both(onnx.load(str(EMBEDDED_DIRECTORY / "trunk.onnx")), fbank=rows)
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_what_has_no_counterpart() -> None:
    with pytest.raises(Unknown, match="Einsum"):
        translated(Eager(), "Einsum", [], {})
    with pytest.raises(Unknown, match="bidirectional"):
        translated(Eager(), "LSTM", [np.zeros((1, 1, 1))] * 4, {"hidden_size": 1})


# -- with coremltools -----------------------------------------------------------------------------------------

OPERATIONS = {
    *("const", "abs", "add", "sub", "mul", "matmul", "linear", "conv", "relu", "leaky_relu", "max_pool", "sqrt"),
    *("instance_norm", "lstm", "reduce_log_sum_exp", "reshape", "transpose", "expand_dims", "reduce_mean", "identity"),
    *("slice_by_index", "concat", "squeeze", "batch_norm", "split"),
}
"""What CoreML computes in float32 on a processor or GPU; anything else would be news."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The embedded bundle as CoreML packages, by network."""
    pytest.importorskip("coremltools", reason="needs coremltools")
    import warnings

    from speakrs_stream.models.bundle import ModelBundle
    from training.coreml import write

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of coremltools about itself
        written = write(ModelBundle.open(EMBEDDED_DIRECTORY), tmp_path_factory.mktemp("coreml"), 16_000)
    return {path.stem: path for path in written}


@pytest.mark.filterwarnings("ignore")
def test_packages_are_programs_in_float32(packages: dict[str, Path]) -> None:
    import coremltools as ct

    assert set(packages) == {"segmentation", "trunk", "head"}
    wanted = {
        "segmentation": ({"input": [1, 1, 160_000]}, "output"),
        "trunk": ({"fbank": [1, 191, 80]}, "features"),
        "head": ({"statistics": [3, 1024]}, "embedding"),
    }
    for name, path in packages.items():
        spec = ct.utils.load_spec(str(path))
        assert spec.WhichOneof("Type") == "mlProgram"
        described = {entry.name: entry.type.multiArrayType for entry in spec.description.input}
        outputs = {entry.name: entry.type.multiArrayType for entry in spec.description.output}
        shapes, output = wanted[name]
        assert {key: list(value.shape) for key, value in described.items()} == shapes
        assert list(outputs) == [output]
        float32 = ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
        assert {value.dataType for value in (*described.values(), *outputs.values())} == {float32}
        block = spec.mlProgram.functions["main"].block_specializations
        used = {operation.type for one in block.values() for operation in one.operations}
        assert used <= OPERATIONS, used - OPERATIONS


@pytest.mark.coreml
@pytest.mark.skipif(sys.platform != "darwin", reason="CoreML is on a Mac")
def test_packages_compute_what_onnx_does(packages: dict[str, Path]) -> None:
    import coremltools as ct

    shapes = {
        "segmentation": ("input", (1, 1, 160_000)),
        "trunk": ("fbank", (1, 191, 80)),
        "head": ("statistics", (3, 1024)),
    }
    for name, (key, shape) in shapes.items():
        rows = 0.1 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        session = onnxruntime.InferenceSession(str(EMBEDDED_DIRECTORY / f"{name}.onnx"))
        expected = session.run(None, {key: rows})[0]
        model = ct.models.MLModel(str(packages[name]), compute_units=ct.ComputeUnit.CPU_AND_GPU)
        found = next(iter(model.predict({key: rows}).values()))
        np.testing.assert_allclose(found, expected, atol=1e-3 * max(1.0, float(np.abs(expected).max())))
