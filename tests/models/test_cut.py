"""A fused embedding network cut in two gives the same embeddings, and windows can share its trunk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from speakrs_stream.core.arrays import Array
from speakrs_stream.engine import Engine
from speakrs_stream.errors import BundleCorrupt, MissingExtra, OutputError
from speakrs_stream.inference import fake
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.cut import cut, embed, take_apart
from tests.models import small
from training import community_shapes

MULTIMASK = "wespeaker-multimask-tail.onnx"
RECEPTIVE_FIELD = 225
"""Filter-bank frames that one feature of ResNet34 depends on."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of community-1's interface with few channels."""
    return community_shapes.write(tmp_path_factory.mktemp("fused") / "models", width=2)


def change(fused: Path, directory: Path, how: Callable[[onnx.ModelProto], object]) -> ModelBundle:
    """The same networks with a changed embedding network."""
    directory.mkdir()
    for path in fused.iterdir():
        (directory / path.name).symlink_to(path)
    model = onnx.load(str(fused / MULTIMASK))
    how(model)
    (directory / MULTIMASK).unlink()
    (directory / MULTIMASK).write_bytes(model.SerializeToString())
    return ModelBundle.open(directory)


def noise(*shape: int, seed: int = 0) -> Array:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_the_cut_bundle(fused: Path, cache: Path) -> None:
    whole = ModelBundle.open(fused)
    parts = cut(whole, OnnxBackend())
    trunk, head = parts.embedding.trunk, parts.embedding.head
    assert trunk and head
    assert (trunk.stride, trunk.offset, trunk.receptive_field, trunk.padded) == (8, 0, RECEPTIVE_FIELD, True)
    assert trunk.channels == 8 * 2 * 10
    assert (parts.name, parts.version) == (whole.name, "1-cut")
    assert parts.embedding.fbank.normalization == "window_mean"
    assert parts.clustering == whole.clustering and parts.licences == whole.licences
    np.testing.assert_array_equal(parts.plda.lda, whole.plda.lda)
    assert parts.directory == cache / f"models-{whole.sha256[:12]}-cut3"
    assert trunk.flow and (trunk.flow.context, trunk.flow.delay) == (11_360, 14)
    assert parts.files["trunk.onnx"].source == f"cut out of {MULTIMASK}"
    assert parts.files["trunk.onnx"].licence == "CC-BY-4.0"
    assert [path.name for path in cache.iterdir()] == [parts.directory.name]
    assert cut(parts, OnnxBackend()) is parts


def test_embeddings_stay_the_same(fused: Path) -> None:
    whole = ModelBundle.open(fused)
    one, two = Networks(whole, OnnxBackend()), Networks(cut(whole, OnnxBackend()), OnnxBackend())
    for seed in range(3):
        bank = noise(998, 80, seed=seed)
        masks = (noise(3, 589, seed=seed + 9) > 0.5).astype(np.float32)
        expected = one.multimask(bank[None], masks[None])[0]
        np.testing.assert_allclose(embed(two, bank, masks), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_features_far_from_the_ends_can_be_shared(fused: Path) -> None:
    networks = Networks(cut(ModelBundle.open(fused), OnnxBackend()), OnnxBackend())
    bank = noise(1, 1600, 80)
    long = networks.trunk(bank)[0]
    assert len(long) == 200
    half, stride = RECEPTIVE_FIELD // 2, 8
    for start, frames in ((0, 998), (400, 998), (600, 701)):
        part = networks.trunk(bank[:, start : start + frames])[0]
        assert len(part) == -(-frames // stride)
        first = 0 if start == 0 else -(-half // stride)
        last = (frames - 1 - half) // stride
        shared = long[start // stride + first : start // stride + last + 1]
        np.testing.assert_allclose(part[first : last + 1], shared, rtol=1e-4, atol=1e-4 * np.abs(shared).max())
        assert np.abs(part[-1] - long[start // stride + len(part) - 1]).max() > 1e-4  # the end sees padding


def test_batches(fused: Path) -> None:
    networks = Networks(cut(ModelBundle.open(fused), OnnxBackend()), OnnxBackend())
    assert networks.batches == {"segmentation": 1, "filters": None, "trunk": None, "flow": None, "head": None}
    banks = noise(3, 250, 80)
    together = networks.trunk(banks)
    for number in range(3):
        one = networks.trunk(banks[number : number + 1])[0]
        np.testing.assert_allclose(together[number], one, rtol=1e-4, atol=1e-4)


def test_the_pipeline_runs_on_it(fused: Path) -> None:
    whole = ModelBundle.open(fused)
    sound = fake.speak(fake.script("A 0-6, B 5-12"))
    one, two = (
        Engine(bundle, backend="cpu").diarize(sound, sample_rate=16000) for bundle in (whole, cut(whole, OnnxBackend()))
    )
    assert one.turns
    assert one.turns == two.turns


def test_done_once(fused: Path) -> None:
    class Counting(OnnxBackend):
        loads = 0

        def load(self, *arguments: Any) -> Any:
            self.loads += 1
            return super().load(*arguments)

    backend = Counting()
    first = cut(ModelBundle.open(fused), backend)
    loads = backend.loads
    assert loads > 0
    assert cut(ModelBundle.open(fused), backend).sha256 == first.sha256
    assert backend.loads == loads
    (first.directory / "trunk.onnx").write_bytes(b"damaged")
    assert cut(ModelBundle.open(fused), backend).sha256 == first.sha256
    assert backend.loads > loads


def test_many_at_once(fused: Path, cache: Path) -> None:
    found: list[str] = []

    def one() -> None:
        found.append(cut(ModelBundle.open(fused), OnnxBackend()).sha256)

    work = [threading.Thread(target=one) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(found) == 2 and len(set(found)) == 1
    assert len(list(cache.iterdir())) == 1


# -- other ways to write the same network ---------------------------------------------------------------------


def rename(model: onnx.ModelProto) -> None:
    """Give tensors inside the names that the cut uses itself."""
    unsqueezed = next(node for node in model.graph.node if node.op_type == "Unsqueeze").output[0]
    relu = next(node for node in model.graph.node if node.op_type == "Relu").output[0]
    names = {unsqueezed: "turned", relu: "features"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def constants(model: onnx.ModelProto) -> None:
    """Keep weights in Constant nodes."""
    nodes = [helper.make_node("Constant", [], [entry.name], value=entry) for entry in model.graph.initializer]
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)


def matrix_and_sum(model: onnx.ModelProto) -> None:
    """End with a product and a sum."""
    nodes = list(model.graph.node)
    at = next(place for place, node in enumerate(nodes) if node.op_type == "Gemm")
    statistics, weight, bias = nodes[at].input
    tensor = next(entry for entry in model.graph.initializer if entry.name == weight)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(tensor).T), weight))
    product = helper.make_node("MatMul", [statistics, weight], ["product"])
    nodes[at : at + 1] = [product, helper.make_node("Add", [bias, "product"], list(nodes[at].output))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def batch_norm(model: onnx.ModelProto) -> None:
    """Normalise after the first convolution."""
    nodes = list(model.graph.node)
    at = next(place for place, node in enumerate(nodes) if node.op_type == "Conv")
    result = nodes[at].output[0]
    nodes[at].output[0] = "raw"
    generator = np.random.default_rng(0)
    tables = {f"norm_{name}": generator.uniform(0.5, 1.5, 2).astype(np.float32) for name in ("s", "b", "m", "v")}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in tables.items())
    nodes.insert(at + 1, helper.make_node("BatchNormalization", ["raw", *tables], [result]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@pytest.mark.parametrize("how", [rename, constants, matrix_and_sum, batch_norm])
def test_other_ways_to_write_it(fused: Path, tmp_path: Path, how: Callable[[onnx.ModelProto], None]) -> None:
    whole = change(fused, tmp_path / "changed", how)
    parts = cut(whole, OnnxBackend())
    bank, masks = noise(998, 80), np.ones((3, 589), np.float32)
    expected = Networks(whole, OnnxBackend()).multimask(bank[None], masks[None])[0]
    found = embed(Networks(parts, OnnxBackend()), bank, masks)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_weights_kept_beside(tmp_path: Path) -> None:
    directory = community_shapes.write(tmp_path / "models", width=2, external=True)
    parts = cut(ModelBundle.open(directory), OnnxBackend())
    assert set(parts.files) == {"trunk.onnx", "flow.onnx", "head.onnx", "segmentation-3.0.onnx"} | {
        f"plda_{name}.npy" for name in small.tables()
    }


# -- networks that cannot be cut ------------------------------------------------------------------------------


def edit(kind: str, how: Callable[[onnx.NodeProto], object], which: int = 0) -> Callable[[onnx.ModelProto], object]:
    """Change one node of a kind."""
    return lambda model: how([node for node in model.graph.node if node.op_type == kind][which])


def asymmetric(node: onnx.NodeProto) -> None:
    """Pad a convolution's time axis only at the start."""
    next(entry for entry in node.attribute if entry.name == "pads").ints[:] = [1, 2, 1, 0]


def another_rectifier(model: onnx.ModelProto) -> None:
    """End the convolutions with something the cut does not know, which is then left out."""
    relu = [node for node in model.graph.node if node.op_type == "Relu"][-1]
    relu.op_type = "Sigmoid"


def scaled(node: onnx.NodeProto) -> None:
    """Scale the last matrix."""
    node.attribute.append(helper.make_attribute("alpha", 2.0))


REFUSED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "padding": (edit("Conv", asymmetric), "a convolution pads its two ends differently"),
    "rectifier": (another_rectifier, r"cut in two, wespeaker-multimask-tail\.onnx differs from what it was"),
    "last matrix": (edit("Gemm", scaled), "its last matrix is scaled or transposed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cut(fused: Path, tmp_path: Path, cache: Path, case: str) -> None:
    how, message = REFUSED[case]
    whole = change(fused, tmp_path / "changed", how)
    with pytest.raises(BundleCorrupt, match=rf"{message}.*exact mode"):
        cut(whole, OnnxBackend())
    assert not cache.is_dir() or not list(cache.iterdir())


def test_a_network_without_convolutions(tmp_path: Path, fused: Path) -> None:
    def simple(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("ReduceMean", ["fbank"], ["mean"], axes=[0, 1], keepdims=1),
            helper.make_node("ReduceMean", ["masks"], ["share"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "share"], ["product"]),
            helper.make_node("Identity", ["product"], ["output"]),
        ]
        del model.graph.node[:]
        model.graph.node.extend(nodes)

    whole = change(fused, tmp_path / "changed", simple)
    with pytest.raises(BundleCorrupt, match=r"is not built as .* 0 beginnings and 0 ends"):
        take_apart(whole)


def test_without_onnx(fused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'speakrs-stream\[hub\]'"):
        cut(ModelBundle.open(fused), OnnxBackend())


def test_a_cache_that_cannot_be_written(fused: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="keeping the cut network"):
        cut(ModelBundle.open(fused), OnnxBackend())
