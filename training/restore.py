"""The networks of a bundle back in PyTorch, the embedding with its batch norms unfolded, so that training can go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from training.augment import Batch
from training.network import Conv2dBlock, Embedder, Residual1d, weighted_statistics
from training.pyannet import PyanNet, exported_state
from training.student import student_of

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def constants(path: Path) -> list[NDArray[np.float32]]:
    """Float constants of a graph in the order `training.export` wrote them."""
    tensors = onnx.load(str(path)).graph.initializer
    return [numpy_helper.to_array(t).astype(np.float32) for t in tensors if t.name.startswith("weight_")]


def layers(model: Embedder) -> Iterator[tuple[nn.Conv1d | nn.Conv2d, Norm]]:
    """Convolutions of the trunk with their norms, in the order of the export."""
    trunk = model.trunk
    for layer in trunk.stem:
        blocks = [layer] if isinstance(layer, Conv2dBlock) else [layer.first, layer.second]  # type: ignore[union-attr]
        for block in blocks:
            assert isinstance(block, Conv2dBlock)
            yield block.conv, block.norm
    yield trunk.join, trunk.join_norm
    for layer in trunk.blocks:
        assert isinstance(layer, Residual1d)
        yield layer.wide, layer.wide_norm
        yield layer.point, layer.point_norm
    yield trunk.out, trunk.out_norm


def unfold(norm: Norm, values: Tensor, axes: list[int]) -> None:
    """Take the statistics of `values` and a weight and bias that leave them as they are, but for the bias kept."""
    mean, var = values.mean(axes), values.var(axes, unbiased=False)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_((var + norm.eps).sqrt())
    norm.bias.add_(mean)


@torch.no_grad()
def restored(bundle: Path, batch: Batch) -> Embedder:
    """The bundle's network; the norms get the statistics of the batch."""
    model = Embedder().eval()
    values = iter(torch.from_numpy(v.copy()) for v in constants(bundle / "trunk.onnx"))
    model.trunk.mel_mean.copy_(next(values))
    model.trunk.mel_scale.copy_(next(values))
    hooks = []
    for conv, norm in layers(model):
        conv.weight.copy_(next(values))
        norm.bias.copy_(next(values))
        axes = [0, 2, 3] if conv.weight.dim() == 4 else [0, 2]
        hooks.append(norm.register_forward_pre_hook(lambda m, x, axes=axes: unfold(m, x[0], axes)))
    features = model.trunk(batch.fbank)
    for hook in hooks:
        hook.remove()
    statistics = weighted_statistics(features, batch.weights)
    scale, weight, bias = (torch.from_numpy(v.copy()) for v in constants(bundle / "head.onnx"))
    assert model.norm.running_mean is not None and model.norm.running_var is not None
    model.norm.running_mean.copy_(statistics.mean(0))
    model.norm.running_var.copy_(statistics.var(0, unbiased=False))
    deviation = (model.norm.running_var + model.norm.eps).sqrt()
    matrix = (scale[:, None] * weight).T
    model.head.weight.copy_(matrix * deviation)
    model.head.bias.copy_(bias + matrix @ model.norm.running_mean)
    return model


def restored_segmentation(path: Path) -> PyanNet:
    """A segmentation back in PyTorch: from a checkpoint, or from what `training.export` or `training.fast` wrote."""
    state = exported_state(path) if path.suffix == ".onnx" else torch.load(path, weights_only=True)
    if "join.weight" in state:
        return student_of(state)
    net = PyanNet()
    net.load_state_dict(state)
    return net.eval()
