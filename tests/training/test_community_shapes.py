"""Networks of community-1's shapes: parameters, names and shapes as published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from training import community_shapes


def parameters(model: onnx.ModelProto) -> int:
    """Floating-point weights of a model."""
    return sum(int(np.prod(entry.dims)) for entry in model.graph.initializer if entry.data_type == 1)


def signature(model: onnx.ModelProto) -> dict[str, list[object]]:
    """Inputs and outputs with their lengths."""
    return {
        entry.name: [axis.dim_value or axis.dim_param for axis in entry.type.tensor_type.shape.dim]
        for entry in [*model.graph.input, *model.graph.output]
    }


def test_segmentation_has_the_true_size() -> None:
    model = community_shapes.segmentation()
    sinc = 80 * 251  # stored as filters here, made from 80 numbers in the published count
    assert parameters(model) - sinc + 80 == 1_473_265
    assert signature(model) == {"input": [1, 1, "samples"], "output": [1, "frames", 7]}
    assert signature(community_shapes.segmentation(batch=32, samples=160_000, width=2)) == {
        "input": [32, 1, 160_000],
        "output": [32, 589, 7],
    }
    assert model.opset_import[0].version == 18


def test_multimask_has_the_true_size() -> None:
    model = community_shapes.multimask()
    norms = 2 * (32 + 3 * 2 * 32 + (4 * 2 + 1) * 64 + (6 * 2 + 1) * 128 + (3 * 2 + 1) * 256)
    folded = norms // 2  # of a norm's scale and shift only the shift is left, as a bias
    assert abs(parameters(model) + folded - 6_634_336) < 10
    assert signature(model) == {"fbank": [1, 998, 80], "masks": [3, 589], "output": [3, 256]}
    assert signature(community_shapes.multimask(batch=32, width=2))["masks"] == [96, 589]


def test_networks_say_different_things_about_different_sounds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    onnx.save(community_shapes.segmentation(width=8, batch=None), tmp_path / "s.onnx")
    onnx.save(community_shapes.multimask(width=4), tmp_path / "m.onnx")
    segment, embed = (
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for name in ("s.onnx", "m.onnx")
    )
    sound = generator.standard_normal((2, 1, 160_000)).astype(np.float32)
    (classes,) = segment.run(None, {"input": sound})
    np.testing.assert_allclose(np.exp(classes).sum(-1), 1, rtol=1e-4)
    assert np.abs(classes[0] - classes[1]).max() > 1e-3
    masks = np.zeros((3, 589), np.float32)
    masks[0, :300] = masks[1, 200:] = 1
    banks = generator.standard_normal((2, 1, 998, 80)).astype(np.float32)
    first, second = (embed.run(None, {"fbank": bank, "masks": masks})[0] for bank in banks)
    assert np.isfinite(first).all()
    assert np.abs(first[0] - second[0]).max() > 1e-3 and np.abs(first[0] - first[1]).max() > 1e-3
    np.testing.assert_allclose(first[2], second[2])  # nobody under the mask: the bias, and a constant
    assert 0.1 < np.linalg.norm(first[2]) < 2


def test_seeds(tmp_path: Path) -> None:
    texts = [community_shapes.segmentation(seed, width=2).SerializeToString() for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_sinc_filters() -> None:
    filters = community_shapes.sinc_filters()[:, 0]
    assert filters.shape == (80, 251) and np.isfinite(filters).all()
    np.testing.assert_allclose(filters[:40], filters[:40, ::-1], atol=1e-12)
    np.testing.assert_allclose(filters[40:], -filters[40:, ::-1], atol=1e-12)
    peaks = np.abs(np.fft.rfft(filters[:40], 4096)).argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()


@pytest.mark.parametrize("arguments", [[], ["--seed", "3", "--batch", "32", "--width", "2"]])
def test_command_line(tmp_path: Path, arguments: list[str]) -> None:
    if not arguments:
        arguments = ["--width", "2"]
    command = [sys.executable, "-m", "training.community_shapes", str(tmp_path / "out"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == f"{tmp_path / 'out'}\n"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert ("segmentation-3.0-b32.onnx" in files) == ("--batch" in arguments)
    assert {"segmentation-3.0.onnx", "wespeaker-multimask-tail.onnx", "plda_psi.npy"} <= files
