"""The segmentation's convolutions in int8: the same network nearly, and sums that no processor saturates."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from numpy.typing import NDArray
from onnx import numpy_helper

from speakrs_stream.core.grid import WINDOW
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY
from training.int8 import STEPS, OtherForm, quantized
from training.plain import without_casts, without_quantization

F32 = NDArray[np.float32]
MEETING = EMBEDDED_DIRECTORY.parent.parent / "demo" / "meeting.flac"
NETWORK = EMBEDDED_DIRECTORY / "segmentation.onnx"


@pytest.fixture(scope="module")
def windows() -> F32:
    samples, _ = soundfile.read(MEETING, dtype="float32", frames=3 * WINDOW)
    return np.asarray(samples.reshape(3, WINDOW), np.float32)


@pytest.fixture(scope="module")
def small(windows: F32) -> onnx.ModelProto:
    return quantized(onnx.load(str(NETWORK)), windows[:2])


def answers(model: onnx.ModelProto, window: F32) -> F32:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": window[None, None]})[0])


def test_it_answers_as_before(small: onnx.ModelProto, windows: F32) -> None:
    """On a window no range was seen on."""
    before, after = answers(onnx.load(str(NETWORK)), windows[2]), answers(small, windows[2])
    assert not np.array_equal(before, after)
    assert np.abs(np.exp(before) - np.exp(after)).mean() < 0.03
    assert (before.argmax(axis=-1) == after.argmax(axis=-1)).mean() > 0.95


def test_two_convolutions_have_weights_that_no_sum_saturates(small: onnx.ModelProto) -> None:
    kernels = [numpy_helper.to_array(one) for one in small.graph.initializer if one.data_type == onnx.TensorProto.INT8]
    shapes = sorted(one.shape for one in kernels if one.ndim == 3)
    assert shapes == [(60, 60, 5), (60, 80, 5)]
    assert all(np.abs(one.astype(int)).max() <= STEPS for one in kernels)
    assert 2 * 255 * STEPS < 2**15  # what a processor without VNNI adds in 16 bits


def test_nothing_is_kept_of_what_was_replaced(small: onnx.ModelProto) -> None:
    read = {name for node in small.graph.node for name in node.input} | {entry.name for entry in small.graph.output}
    assert all(read.intersection(node.output) for node in small.graph.node)
    assert {entry.name for entry in small.graph.initializer} <= read


def test_float32_again(small: onnx.ModelProto, windows: F32) -> None:
    """Without rounded activations the answers lie nearer to the first network's; the graph has no int8 left."""
    copy = onnx.ModelProto()
    copy.CopyFrom(small)
    plain = without_quantization(copy)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in plain.graph.node}
    before = answers(onnx.load(str(NETWORK)), windows[2])
    far, near = (np.abs(np.exp(before) - np.exp(answers(one, windows[2]))).mean() for one in (small, plain))
    assert near < far


def test_without_casts_it_is_the_same_network(windows: F32) -> None:
    plain = without_casts(onnx.load(str(NETWORK)))
    assert "Cast" not in {node.op_type for node in plain.graph.node}
    np.testing.assert_allclose(answers(plain, windows[0]), answers(onnx.load(str(NETWORK)), windows[0]), atol=1e-4)


def test_another_network_is_refused(windows: F32) -> None:
    with pytest.raises(OtherForm, match="no convolution between a leaky ReLU and maxima"):
        quantized(onnx.load(str(EMBEDDED_DIRECTORY / "trunk.onnx")), windows)


def test_channels_that_are_not_normalised_are_refused(windows: F32) -> None:
    model = onnx.load(str(NETWORK))
    norms = [node for node in model.graph.node if node.op_type == "InstanceNormalization"]
    norms[1].op_type = "Identity"
    del norms[1].input[1:]
    del norms[1].attribute[:]
    with pytest.raises(OtherForm, match="no normalised channels"):
        quantized(model, windows[:1])


def test_ranges_need_windows() -> None:
    with pytest.raises(ValueError, match="no windows"):
        quantized(onnx.load(str(NETWORK)), [])
