"""Writes the networks as ONNX and the bundle's manifest."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.features import Fbank
from training.graph import Graph
from training.network import OFFSET, RECEPTIVE_FIELD, STRIDE, Conv2dBlock, Embedder, Residual1d, Residual2d
from training.pyannet import FRAMES, HIDDEN, PyanNet, load_teacher
from training.record import record
from training.student import Student, load_student
from training.teacher import session

VERSION = "0.3.0"
PLDA_FILES = ("mean1", "lda", "mean2", "mu", "tr", "psi")
TEACHER_NOTE = "started from pyannote/segmentation (Bredin and Laurent 2021, MIT)"
DATA_NOTE = "trained on LibriSpeech (CC BY 4.0) with AMI excerpts (CC BY 4.0) unlabelled"


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Float32 values of a tensor."""
    return np.asarray(tensor.detach().float().numpy())


def folded(conv: nn.Conv1d | nn.Conv2d, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm folded in."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shape = [-1] + [1] * (conv.weight.dim() - 1)
    return conv.weight * scale.reshape(shape), norm.bias - norm.running_mean * scale


def convolution(
    graph: Graph, x: str, conv: nn.Conv1d | nn.Conv2d, norm: nn.BatchNorm1d | nn.BatchNorm2d, relu: bool
) -> str:
    """Convolution, folded norm, optional ReLU."""
    weight, bias = folded(conv, norm)
    pads = [int(p) for p in conv.padding] * 2
    y = graph.node(
        "Conv", x, graph.weight(array(weight)), graph.weight(array(bias), half=False),
        kernel_shape=list(conv.kernel_size), strides=list(conv.stride), pads=pads,
    )  # fmt: skip
    return graph.node("Relu", y) if relu else y


def cropped(graph: Graph, x: str, frames: int) -> str:
    """`x` without `frames` at both ends of axis 2."""
    return graph.node("Slice", x, graph.integers(frames), graph.integers(-frames), graph.integers(2))


def export_trunk(model: Embedder, path: Path) -> None:
    """`fbank` [B, T, 80] to `features` [B, T', C]."""
    trunk, graph = model.trunk, Graph("trunk")
    x = graph.node("Sub", "fbank", graph.node("ReduceMean", "fbank", axes=[2], keepdims=1))
    x = graph.node("Sub", x, graph.weight(array(trunk.mel_mean), half=False))
    x = graph.node("Mul", x, graph.weight(array(trunk.mel_scale), half=False))
    x = graph.node("Unsqueeze", x, graph.integers(1))
    for layer in trunk.stem:
        if isinstance(layer, Conv2dBlock):
            x = convolution(graph, x, layer.conv, layer.norm, relu=True)
        else:
            assert isinstance(layer, Residual2d)
            y = convolution(graph, x, layer.first.conv, layer.first.norm, relu=True)
            y = convolution(graph, y, layer.second.conv, layer.second.norm, relu=False)
            x = graph.node("Relu", graph.node("Add", cropped(graph, x, 2), y))
    # [B, 64, T, 10] to [B, 640, T]
    x = graph.node("Transpose", x, perm=[0, 1, 3, 2])
    x = graph.node("Reshape", x, graph.integers(0, trunk.join.in_channels, -1))
    x = convolution(graph, x, trunk.join, trunk.join_norm, relu=True)
    for block in trunk.blocks:
        assert isinstance(block, Residual1d)
        y = convolution(graph, x, block.wide, block.wide_norm, relu=True)
        y = convolution(graph, y, block.point, block.point_norm, relu=False)
        x = graph.node("Relu", graph.node("Add", cropped(graph, x, 1), y))
    x = convolution(graph, x, trunk.out, trunk.out_norm, relu=True)
    graph.node("Transpose", x, output="features", perm=[0, 2, 1])
    channels = trunk.out.out_channels
    graph.save(path, {"fbank": ["batch", "frames", 80]}, {"features": ["batch", "features", channels]}, DATA_NOTE)


def head_matrix(model: Embedder) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [2C, D] and bias [D] of the head with the statistics' norm folded in."""
    norm = model.norm
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    weight = model.head.weight * scale
    return array(weight.T), array(model.head.bias + model.head.weight @ shift)


def export_head(model: Embedder, path: Path) -> None:
    """`statistics` [B, 2C] to `embedding` [B, D]."""
    weight, bias = head_matrix(model)
    graph = Graph("head")
    # the columns' scales are kept apart: float16 has little range for the small ones
    rows = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-8)
    x = graph.node("Mul", "statistics", graph.weight(rows[:, 0], half=False))
    x = graph.node("MatMul", x, graph.weight(weight / rows))
    graph.node("Add", x, graph.weight(bias, half=False), output="embedding")
    size, dimension = weight.shape
    graph.save(path, {"statistics": ["batch", size]}, {"embedding": ["batch", dimension]}, DATA_NOTE)


def onnx_gates(tensor: Tensor) -> Tensor:
    """PyTorch's gate order (i, f, g, o) to ONNX's (i, o, f, c) along the first axis."""
    i, f, g, o = tensor.chunk(4, dim=0)
    return torch.cat([i, o, f, g], dim=0)


def export_segmentation(net: PyanNet, path: Path, note: str) -> None:
    """`input` [B, 1, samples] to `output` [B, frames, 7]; a student only takes windows of 160000 samples."""
    graph = Graph("segmentation")

    def normed(x: str, norm: nn.InstanceNorm1d) -> str:
        scale, bias = graph.weight(array(norm.weight), half=False), graph.weight(array(norm.bias), half=False)
        return graph.node("InstanceNormalization", x, scale, bias, epsilon=norm.eps)

    x = normed("input", net.wave_norm)
    x = graph.node("Conv", x, graph.weight(array(net.filters.weight)), kernel_shape=[251], strides=[10])
    x = graph.node("Abs", x)
    for i, norm in enumerate(net.norms):
        assert isinstance(norm, nn.InstanceNorm1d)
        x = normed(graph.node("MaxPool", x, kernel_shape=[3], strides=[3]), norm)
        x = graph.node("LeakyRelu", x, alpha=0.01)
        if i < 2:
            conv = net.convolutions[i]
            assert isinstance(conv, nn.Conv1d) and conv.bias is not None
            bias = graph.weight(array(conv.bias), half=False)
            x = graph.node("Conv", x, graph.weight(array(conv.weight)), bias, kernel_shape=[5])
    if isinstance(net, Student):
        weight, bias = graph.weight(array(net.join.weight)), graph.weight(array(net.join.bias), half=False)
        shape, pads = [net.rate], [0, net.rate * net.steps - FRAMES]
        x = graph.node("Conv", x, weight, bias, kernel_shape=shape, strides=shape, pads=pads)
    x = graph.node("Transpose", x, perm=[2, 0, 1])
    state = net.lstm.state_dict()
    for layer in range(net.lstm.num_layers):
        parts = []
        for kind in ("weight_ih", "weight_hh"):
            both = [onnx_gates(state[f"{kind}_l{layer}{s}"]) for s in ("", "_reverse")]
            parts.append(graph.weight(array(torch.stack(both))))
        both = [torch.cat([onnx_gates(state[f"bias_{k}_l{layer}{s}"]) for k in ("ih", "hh")]) for s in ("", "_reverse")]
        parts.append(graph.weight(array(torch.stack(both)), half=False))
        x = graph.node("LSTM", x, *parts, direction="bidirectional", hidden_size=HIDDEN)
        x = graph.node("Transpose", x, perm=[0, 2, 1, 3])
        x = graph.node("Reshape", x, graph.integers(0, 0, 2 * HIDDEN))
    x = graph.node("Transpose", x, perm=[1, 0, 2])
    for linear in [*net.linear, net.classifier]:
        assert isinstance(linear, nn.Linear)
        x = graph.node("MatMul", x, graph.weight(array(linear.weight.T)))
        x = graph.node("Add", x, graph.weight(array(linear.bias), half=False))
        if linear is not net.classifier:
            x = graph.node("LeakyRelu", x, alpha=0.01)
    if isinstance(net, Student):
        x = graph.node("Reshape", x, graph.integers(0, net.rate * net.steps, 7))
        x = graph.node("Slice", x, graph.integers(0), graph.integers(FRAMES), graph.integers(1))
    graph.node("LogSoftmax", x, output="output", axis=-1)
    lengths: tuple[int | str, int | str] = (160_000, FRAMES) if isinstance(net, Student) else ("samples", "frames")
    graph.save(path, {"input": ["batch", 1, lengths[0]]}, {"output": ["batch", lengths[1], 7]}, note)


def check(folder: Path, model: Embedder, net: PyanNet) -> dict[str, float]:
    """Largest differences between ONNX (float16 weights) and PyTorch (float32) on a seeded test signal."""
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal((2, 160_000)) * 0.05 * rng.random((2, 160_000)).cumsum(1) / 80_000).astype(np.float32)
    with torch.no_grad():
        fbank = Fbank()(torch.from_numpy(wave))
        features = model.trunk(fbank)
        weights = torch.ones(2, features.shape[1])
        weights[1, :80] = 0
        embedding = array(model.head(model.statistics(features, weights)))
        output = array(net(torch.from_numpy(wave)[:, None]))
    found = session(folder / "trunk.onnx").run(None, {"fbank": fbank.numpy()})[0]
    from training.network import weighted_statistics

    statistics = weighted_statistics(torch.from_numpy(found), weights).numpy()
    vector = session(folder / "head.onnx").run(None, {"statistics": statistics})[0]
    classes = session(folder / "segmentation.onnx").run(None, {"input": wave[:, None]})[0]
    cosine = (vector * embedding).sum(1) / np.linalg.norm(vector, axis=1) / np.linalg.norm(embedding, axis=1)
    return {
        "trunk_max_difference": float(np.abs(found - array(features)).max()),
        "embedding_min_cosine": float(cosine.min()),
        "segmentation_max_probability_difference": float(np.abs(np.exp(classes) - np.exp(output)).max()),
    }


def manifest(folder: Path, model: Embedder, clustering: dict[str, float], segmentation_note: str) -> dict[str, object]:
    """The bundle's manifest, format 1."""
    sources = {
        "segmentation.onnx": ("MIT", segmentation_note),
        "trunk.onnx": ("Apache-2.0", DATA_NOTE),
        "head.onnx": ("Apache-2.0", DATA_NOTE),
        "MODEL_CARD.md": ("Apache-2.0", "this project"),
    }
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name == "manifest.json" or path.suffix not in (".onnx", ".npy", ".md"):
            continue
        licence, source = sources.get(path.name, ("Apache-2.0", "fitted by training/plda.py"))
        files[path.name] = record(path, licence, source)
    return {
        "format": 1,
        "name": "embedded",
        "version": VERSION,
        "description": "Shipped with the package: PyanNet segmentation and a compact level-free embedding.",
        "sample_rate": 16000,
        "window": 160000,
        "default_step": 16000,
        "segmentation": {
            "file": "segmentation.onnx", "input": "input", "output": "output", "frames": 589, "frame_step": 270,
            "receptive_field": 991, "local_speakers": 3, "max_simultaneous": 2, "batch": None,
        },
        "embedding": {
            "kind": "split",
            "dimension": model.head.out_features,
            "fbank": {"mels": 80, "normalization": "none"},
            "trunk": {
                "file": "trunk.onnx", "input": "fbank", "output": "features",
                "channels": model.trunk.out.out_channels, "stride": STRIDE, "offset": OFFSET,
                "receptive_field": RECEPTIVE_FIELD, "batch": None,
            },
            "head": {"file": "head.onnx", "input": "statistics", "output": "embedding", "batch": None},
        },
        "plda": {name: f"plda_{name}.npy" for name in PLDA_FILES},
        "clustering": clustering,
        "files": files,
        "licences": [
            "Networks' own weights and tables: Apache-2.0.",
            "Segmentation started from pyannote/segmentation, MIT, copyright (c) 2020 CNRS.",
            "Training data: LibriSpeech and AMI, CC BY 4.0; turn-taking: AMI and VoxConverse references, CC BY 4.0.",
            "Embedding taught by the GE2E encoder of Resemblyzer, Apache-2.0.",
        ],
    }  # fmt: skip


def load_embedder(checkpoint: Path) -> Embedder:
    """The averaged network of a training checkpoint."""
    model = Embedder()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return model.eval()


def load_segmentation(shared: Path, checkpoint: Path | None) -> PyanNet:
    """A fine-tuned network, a student of one, or the teacher as it is."""
    if checkpoint is not None and "join.weight" in torch.load(checkpoint, weights_only=True):
        return load_student(checkpoint)
    net = load_teacher(shared / "models" / "teachers" / "segmentation.onnx")
    if checkpoint is not None:
        net.load_state_dict(torch.load(checkpoint, weights_only=True))
    return net.eval()


def main() -> None:
    """`python -m training.export SHARED OUT --embedding FILE [--segmentation FILE] [--plda DIR] …`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--embedding", type=Path, required=True)
    parser.add_argument("--segmentation", type=Path, help="fine-tuned weights; without, the teacher's")
    parser.add_argument("--plda", type=Path, help="folder of plda_*.npy to take into the bundle")
    parser.add_argument("--clustering", type=Path, help="JSON file of clustering settings")
    parser.add_argument("--card", type=Path, default=Path(__file__).with_name("MODEL_CARD.md"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_embedder(options.embedding)
    net = load_segmentation(options.shared, options.segmentation)
    note = f"{TEACHER_NOTE}; " + ("fine-tuned by training/segmentation.py" if options.segmentation else "unchanged")
    export_trunk(model, options.out / "trunk.onnx")
    export_head(model, options.out / "head.onnx")
    export_segmentation(net, options.out / "segmentation.onnx", note)
    if options.plda is not None:
        for name in PLDA_FILES:
            shutil.copyfile(options.plda / f"plda_{name}.npy", options.out / f"plda_{name}.npy")
    if options.card.exists():
        shutil.copyfile(options.card, options.out / "MODEL_CARD.md")
    clustering = json.loads(options.clustering.read_text()) if options.clustering else {}
    written = manifest(options.out, model, clustering, note)
    (options.out / "manifest.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(check(options.out, model, net)))


if __name__ == "__main__":
    main()
