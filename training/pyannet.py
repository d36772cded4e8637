"""The PyanNet segmentation network in PyTorch, started from the MIT-licensed pyannote/segmentation weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

POWERSET = torch.tensor(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=torch.float32
)
FRAMES = 589
FRAME_STEP = 270
FIELD = 991
LAYERS = 4
HIDDEN = 128


class PyanNet(nn.Module):
    """`input` [B, 1, samples] to log-probabilities [B, frames, 7] of the powerset classes."""

    def __init__(self) -> None:
        super().__init__()
        self.wave_norm = nn.InstanceNorm1d(1, affine=True)
        self.filters = nn.Conv1d(1, 80, 251, stride=10, bias=False)
        self.convolutions = nn.ModuleList([nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norms = nn.ModuleList([nn.InstanceNorm1d(n, affine=True) for n in (80, 60, 60)])
        self.lstm = nn.LSTM(60, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
        self.linear = nn.ModuleList([nn.Linear(2 * HIDDEN, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, len(POWERSET))

    def encode(self, samples: Tensor) -> Tensor:
        """Convolutional features [B, frames, 60]."""
        x = self.filters(self.wave_norm(samples)).abs()
        x = functional.leaky_relu(self.norms[0](functional.max_pool1d(x, 3)), 0.01)
        for convolution, norm in zip(self.convolutions, list(self.norms)[1:], strict=True):
            x = functional.leaky_relu(norm(functional.max_pool1d(convolution(x), 3)), 0.01)
        return x.transpose(1, 2)

    def answers(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of the classes from what the last LSTM layer says, [B, T, 256]."""
        x = hidden
        for layer in self.linear:
            x = functional.leaky_relu(layer(x), 0.01)
        return functional.log_softmax(self.classifier(x), dim=-1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.answers(self.lstm(self.encode(samples))[0])


def reordered(gates: Tensor) -> Tensor:
    """ONNX gate order (i, o, f, c) to PyTorch's (i, f, g, o) along the first axis."""
    i, o, f, c = gates.chunk(4, dim=0)
    return torch.cat([i, f, c, o], dim=0)


def load_teacher(path: Path) -> PyanNet:
    """The teacher's weights. Its three sigmoids become seven classes: log p(S) = sum of the logits in S + constant."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    weights = {t.name: torch.from_numpy(np.array(numpy_helper.to_array(t))) for t in graph.initializer}
    net = PyanNet()
    state = {
        "wave_norm.weight": weights["n.s.wn.weight"],
        "wave_norm.bias": weights["n.s.wn.bias"],
        "filters.weight": weights["n.s.c.0.weight"],
    }
    for i in range(3):
        state[f"norms.{i}.weight"] = weights[f"n.s.n.{i}.weight"]
        state[f"norms.{i}.bias"] = weights[f"n.s.n.{i}.bias"]
    for i in range(2):
        state[f"convolutions.{i}.weight"] = weights[f"n.s.c.{i + 1}.weight"]
        state[f"convolutions.{i}.bias"] = weights[f"n.s.c.{i + 1}.bias"]
    for layer, node in enumerate(n for n in graph.node if n.op_type == "LSTM"):
        w, r, b = (weights[node.input[k]] for k in (1, 2, 3))
        for direction, suffix in enumerate(("", "_reverse")):
            state[f"lstm.weight_ih_l{layer}{suffix}"] = reordered(w[direction])
            state[f"lstm.weight_hh_l{layer}{suffix}"] = reordered(r[direction])
            state[f"lstm.bias_ih_l{layer}{suffix}"] = reordered(b[direction][: 4 * HIDDEN])
            state[f"lstm.bias_hh_l{layer}{suffix}"] = reordered(b[direction][4 * HIDDEN :])
    products = [weights[n.input[1]] for n in graph.node if n.op_type == "MatMul"]
    for i, name in enumerate(("n.a.bias", "n.b.bias")):
        state[f"linear.{i}.weight"] = products[i].T
        state[f"linear.{i}.bias"] = weights[name]
    state["classifier.weight"] = POWERSET @ products[2].T
    state["classifier.bias"] = POWERSET @ weights["n.o.bias"]
    net.load_state_dict(state)
    return net


def shifted(net: PyanNet, silence: float, overlap: float) -> PyanNet:
    """The network with something added to its logits of nobody and of two at once."""
    people = POWERSET.sum(dim=1)
    added = silence * (people == 0) + overlap * (people > 1)
    new = copy.deepcopy(net)
    with torch.no_grad():
        new.classifier.bias.add_(added.repeat(len(new.classifier.bias) // len(added)))
    return new


def exported_state(path: Path) -> dict[str, Tensor]:
    """The weights of a segmentation that `training.export` wrote, a student's too, however they are stored."""
    import onnx
    from onnx import numpy_helper

    from training.plain import without_quantization

    graph = without_quantization(onnx.load(str(path))).graph
    weights = {t.name: torch.from_numpy(np.array(numpy_helper.to_array(t))).float() for t in graph.initializer}
    weights |= {n.output[0]: weights[n.input[0]] for n in graph.node if n.op_type == "Cast"}

    def nodes(kind: str) -> list[onnx.NodeProto]:
        return [n for n in graph.node if n.op_type == kind]

    state: dict[str, Tensor] = {}
    norms = ["wave_norm", *(f"norms.{i}" for i in range(3))]
    for name, node in zip(norms, nodes("InstanceNormalization"), strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weights[node.input[1]], weights[node.input[2]]
    filters, *convolutions = nodes("Conv")
    state["filters.weight"] = weights[filters.input[1]]
    for name, node in zip(["convolutions.0", "convolutions.1", "join"], convolutions, strict=False):
        state[f"{name}.weight"], state[f"{name}.bias"] = (weights[k] for k in node.input[1:])
    for layer, node in enumerate(nodes("LSTM")):
        w, r, b = (weights[node.input[k]] for k in (1, 2, 3))
        for direction, suffix in enumerate(("", "_reverse")):
            state[f"lstm.weight_ih_l{layer}{suffix}"] = reordered(w[direction])
            state[f"lstm.weight_hh_l{layer}{suffix}"] = reordered(r[direction])
            state[f"lstm.bias_ih_l{layer}{suffix}"] = reordered(b[direction][: 4 * HIDDEN])
            state[f"lstm.bias_hh_l{layer}{suffix}"] = reordered(b[direction][4 * HIDDEN :])
    names = ["linear.0", "linear.1", "classifier"]
    for name, product, bias in zip(names, nodes("MatMul"), nodes("Add"), strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weights[product.input[1]].T, weights[bias.input[1]]
    return state


def load_exported(path: Path) -> PyanNet:
    """The PyanNet that `training.export` wrote."""
    net = PyanNet()
    net.load_state_dict(exported_state(path))
    return net.eval()
