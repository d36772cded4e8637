"""How much a network multiplies, and how fast a core can: what bounds the cost of a stream whatever the program."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, SAMPLE_RATE, WINDOW
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.manifest import LOCAL_SPEAKERS, MELS

SIDE = 1024
"""Rows and columns of the matrices a core's speed is measured on."""


def multiplications(path: Path, shapes: Mapping[str, Sequence[int]]) -> list[int]:
    """Of every convolution, matrix product and LSTM of an ONNX network, in its order; shapes: of its inputs."""
    import onnx

    model = onnx.load(str(path))
    for entry in model.graph.input:
        for dimension, length in zip(entry.type.tensor_type.shape.dim, shapes.get(entry.name, ()), strict=False):
            dimension.dim_value = length
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = model.graph
    known = {entry.name: list(entry.dims) for entry in graph.initializer}
    for entry in (*graph.value_info, *graph.output, *graph.input):
        known[entry.name] = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
    return [count for node in graph.node if (count := _of(node, known))]


def _of(node: Any, known: Mapping[str, list[int]]) -> int:
    shape = [known.get(name, []) for name in (*node.input[:2], node.output[0])]
    if node.op_type == "Conv":
        return prod(shape[1]) * prod(shape[2][2:]) * shape[2][0]
    if node.op_type in ("MatMul", "Gemm"):
        return prod(shape[2]) * shape[0][-1]
    if node.op_type == "LSTM":
        steps, batch, width = shape[0]
        directions, gates, _ = shape[1]
        return steps * batch * directions * gates * (width + gates // 4)
    return 0


def per_second(bundle: ModelBundle, step: float, carried: bool) -> dict[str, float]:
    """Multiplications for a second of a live stream, by network. step: seconds; carried: whether filters run once."""
    spec, embedding = bundle.segmentation, bundle.embedding
    first, *rest = multiplications(bundle.path(spec.file), {spec.input: (1, 1, WINDOW)})
    second = WINDOW / SAMPLE_RATE
    found = {"segmentation": (sum(rest) + (0 if carried else first)) / step}
    if carried:
        found["filters"] = first / second
    if trunk := embedding.trunk:
        count = sum(multiplications(bundle.path(trunk.file), {trunk.input: (1, FBANK_PER_WINDOW, MELS)}))
        found["flow" if trunk.flow else "trunk"] = count / second
    if both := embedding.multimask:
        inputs = ((1, FBANK_PER_WINDOW, MELS), (LOCAL_SPEAKERS, FRAMES_PER_WINDOW))
        shapes = dict(zip(both.inputs, inputs, strict=True))
        found["multimask"] = sum(multiplications(bundle.path(both.file), shapes)) / step
    return found


def fastest(runs: int = 9) -> float:
    """Multiplications a second of processor time of one thread in a float32 matrix product, the median."""
    left, right = (np.random.default_rng(seed).random((SIDE, SIDE), np.float32) for seed in (0, 1))
    taken = []
    for _ in range(runs + 1):
        begin = time.process_time()
        left @ right
        taken.append(time.process_time() - begin)
    return SIDE**3 / median(taken[1:])
