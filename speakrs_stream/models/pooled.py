"""Pooling in front of a head as one network, for devices that would otherwise wait for this program to pool.

It computes what `core.embedding.pooling.pool` does, in float32, and then the head: (B, T, C) features and (B, 3, T)
weights to (3 B, D) embeddings, NaN for a speaker without weight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from speakrs_stream.core.embedding.pooling import MIN_VARIANCE
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.errors import BundleCorrupt, BundleNotFound, MissingExtra, translate

FEATURES, WEIGHTS = "features", "weights"


def pooled_head(path: Path, source: str, channels: int) -> bytes:
    """The head in `path`, which takes statistics (B, 2C) as `source`, with pooling in front; an ONNX model.

    channels: C
    Raises MissingExtra without onnx, BundleCorrupt or BundleNotFound where the head cannot be read or joined.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import compose
    except ImportError as error:
        raise MissingExtra("onnx", "gpu", "pooling on the device") from error
    with translate({OSError: BundleNotFound, DecodeError: BundleCorrupt, ValueError: BundleCorrupt}, f"reading {path}"):
        head = compose.add_prefix(onnx.load(str(path)), "head/", rename_inputs=True, rename_outputs=False)
        joined = compose.merge_models(_pooling(head, channels), head, io_map=[("statistics", f"head/{source}")])
    return bytes(joined.SerializeToString())


def _pooling(head: Any, channels: int) -> Any:
    """The pooling, in the head's version of ONNX."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceSum", [WEIGHTS, "time"], ["total"], keepdims=1),
        helper.make_node("MatMul", [WEIGHTS, FEATURES], ["sums"]),
        helper.make_node("Div", ["sums", "total"], ["mean"]),  # (B, 3, C)
        helper.make_node("Unsqueeze", [FEATURES, "one"], ["everybody"]),
        helper.make_node("Unsqueeze", ["mean", "time"], ["middle"]),
        helper.make_node("Sub", ["everybody", "middle"], ["apart"]),  # (B, 3, T, C)
        helper.make_node("Mul", ["apart", "apart"], ["squares"]),
        helper.make_node("Unsqueeze", [WEIGHTS, "time"], ["rows"]),
        helper.make_node("MatMul", ["rows", "squares"], ["row"]),
        helper.make_node("Squeeze", ["row", "time"], ["spread"]),
        helper.make_node("Mul", [WEIGHTS, WEIGHTS], ["weights2"]),
        helper.make_node("ReduceSum", ["weights2", "time"], ["total2"], keepdims=1),
        helper.make_node("Div", ["total2", "total"], ["share"]),
        helper.make_node("Sub", ["total", "share"], ["freedom"]),
        helper.make_node("Add", ["freedom", "tiny"], ["divisor"]),
        helper.make_node("Div", ["spread", "divisor"], ["variance"]),
        helper.make_node("Max", ["variance", "least"], ["bounded"]),
        helper.make_node("Sqrt", ["bounded"], ["deviation"]),
        helper.make_node("Concat", ["mean", "deviation"], ["both"], axis=2),
        helper.make_node("Reshape", ["both", "shape"], ["statistics"]),
    ]
    constants = {
        "time": np.array([2]),
        "one": np.array([1]),
        "shape": np.array([-1, 2 * channels]),
        "tiny": np.array(1e-8, np.float32),
        "least": np.array(MIN_VARIANCE, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "pooling",
        [
            helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", "frames", channels]),
            helper.make_tensor_value_info(WEIGHTS, TensorProto.FLOAT, ["batch", LOCAL_SPEAKERS, "frames"]),
        ],
        [helper.make_tensor_value_info("statistics", TensorProto.FLOAT, ["speakers", 2 * channels])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=head.opset_import, ir_version=head.ir_version)
