"""Batches of every size come out right, and networks of another shape are refused by name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW
from speakrs_stream.core.embedding.pooling import pool, resample_nearest
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.errors import BundleCorrupt, ConfigError, ModelError, OutOfMemory
from speakrs_stream.inference.base import Array, Backend, LoadOptions, Network, Role
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.bundle import ModelBundle
from tests.models import small
from training import community_shapes


def windows(count: int, seed: int = 0) -> Array:
    """Noise as loud as speech, (count, 160000)."""
    return 0.1 * np.random.default_rng(seed).standard_normal((count, WINDOW)).astype(np.float32)


def banks(count: int, frames: int, seed: int = 1) -> Array:
    """Random filter banks, (count, frames, 80)."""
    return np.random.default_rng(seed).standard_normal((count, frames, 80)).astype(np.float32)


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """Small networks of kind `split` with free batch sizes."""
    return Networks(ModelBundle.open(small.write(tmp_path_factory.mktemp("split"))), OnnxBackend())


@pytest.fixture(scope="session")
def community(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of community-1's interface with few channels; batches of 1 and 32."""
    return community_shapes.write(tmp_path_factory.mktemp("community"), width=2, batches=(32,))


# -- running --------------------------------------------------------------------------------------------------


def test_split_networks(split: Networks) -> None:
    assert split.batches == {"segmentation": None, "trunk": None, "head": None}
    found = split.segment(windows(3))
    assert found.shape == (3, FRAMES_PER_WINDOW, 7) and found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, rtol=1e-4)
    for frames, count in ((small.FIELD, 1), (small.FIELD + 3, 1), (small.FIELD + 4, 2), (998, 248)):
        assert split.trunk(banks(2, frames)).shape == (2, count, small.CHANNELS)
    assert split.head(np.zeros((4, 2 * small.CHANNELS), np.float32)).shape == (4, small.DIMENSION)


def test_features_do_not_depend_on_what_lies_around_them(split: Networks) -> None:
    bank = banks(1, 60)
    whole = split.trunk(bank)
    part = split.trunk(bank[:, 5 * small.STRIDE : 5 * small.STRIDE + small.FIELD])
    np.testing.assert_allclose(part[0, 0], whole[0, 5], rtol=1e-5, atol=1e-5)


def test_nothing_gives_nothing(split: Networks, community: Path) -> None:
    assert split.segment(np.empty((0, WINDOW), np.float32)).shape == (0, FRAMES_PER_WINDOW, 7)
    assert split.trunk(banks(0, 50)).shape == (0, 11, small.CHANNELS)
    assert split.trunk(banks(3, small.FIELD - 1)).shape == (3, 0, small.CHANNELS)
    assert split.head(np.empty((0, 2 * small.CHANNELS), np.float32)).shape == (0, small.DIMENSION)
    networks = Networks(ModelBundle.open(community), OnnxBackend())
    masks = np.empty((0, 3, FRAMES_PER_WINDOW), np.float32)
    assert networks.multimask(banks(0, FBANK_PER_WINDOW), masks).shape == (0, 3, 256)


def test_wrong_arrays_are_refused(split: Networks) -> None:
    with pytest.raises(ValueError, match=r"windows must have shape \(any, 160000\), got \(1, 5\)"):
        split.segment(np.zeros((1, 5), np.float32))
    with pytest.raises(ValueError, match="fbank"):
        split.trunk(np.zeros((1, 5, 79), np.float32))
    with pytest.raises(ValueError, match="statistics"):
        split.head(np.zeros(12, np.float32))
    with pytest.raises(ConfigError, match="no multimask network"):
        split.multimask(banks(1, 998), np.zeros((1, 3, FRAMES_PER_WINDOW), np.float32))
    with pytest.raises(ConfigError, match="threads must be at least 1"):
        Networks(split.bundle, OnnxBackend(), threads=0)


def test_nan_passes_through_embeddings_only(split: Networks) -> None:
    statistics = np.zeros((2, 2 * small.CHANNELS), np.float32)
    statistics[0, 0] = np.nan
    found = split.head(statistics)
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    with pytest.raises(ModelError, match=r"segmentation\.onnx gave values that are not finite"):
        split.segment(np.full((1, WINDOW), np.nan, np.float32))


def test_threads_share_networks(split: Networks) -> None:
    sound = windows(4)
    expected = [split.segment(sound[i : i + 1]) for i in range(4)]
    found: dict[int, Array] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = split.segment(sound[number : number + 1])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(found[number], expected[number])


# -- community-1's interface ----------------------------------------------------------------------------------


def test_multimask_is_trunk_pooling_and_head(community: Path) -> None:
    """The embedding network's pooling is the one the pipeline computes between trunk and head."""
    model = onnx.load(str(community / "wespeaker-multimask-tail.onnx"))
    networks = Networks(ModelBundle.open(community), OnnxBackend())
    bank = banks(3, FBANK_PER_WINDOW)
    masks = (np.random.default_rng(2).random((3, 3, FRAMES_PER_WINDOW)) < 0.4).astype(np.float32)
    masks[1, 2] = 0
    found = networks.multimask(bank, masks)
    assert found.shape == (3, 3, 256)
    relu = [node.output[0] for node in model.graph.node if node.op_type == "Relu"][-1]
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    weights = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    model.graph.output.extend([onnx.helper.make_tensor_value_info(relu, onnx.TensorProto.FLOAT, None)])
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for window in range(3):
        (maps,) = session.run([relu], {"fbank": bank[window : window + 1], "masks": masks[window]})
        features = maps[0].reshape(-1, 125).T  # channel-major features, one row per trunk frame
        pooled = pool(features, resample_nearest(masks[window], 125))
        expected = pooled @ weights[gemm.input[1]].T + weights[gemm.input[2]]
        spoken = masks[window].any(axis=1)
        np.testing.assert_allclose(found[window][spoken], expected[spoken], rtol=2e-3, atol=2e-3)


class Batching(OnnxBackend):
    """The processor, believed to like batches as a GPU does."""

    full_batches, carries = True, False


def test_fixed_batches_agree(community: Path, tmp_path: Path) -> None:
    expected = {"segmentation": 1, "filters": None, "multimask": 1}
    assert Networks(ModelBundle.open(community), OnnxBackend()).batches == expected
    both = Networks(ModelBundle.open(community), Batching())
    assert both.batches == {"segmentation": 32, "multimask": 32}
    sound = windows(34)
    found = both.segment(sound)
    for number in (0, 31, 33):
        np.testing.assert_allclose(found[number : number + 1], both.segment(sound[number : number + 1]), atol=1e-4)
    for path in community.iterdir():
        if path.name not in ("segmentation-3.0.onnx", "wespeaker-multimask-tail.onnx"):
            (tmp_path / path.name).symlink_to(path)
    only = Networks(ModelBundle.open(tmp_path), OnnxBackend())
    assert only.batches == {"segmentation": 32, "filters": None, "multimask": 32}
    np.testing.assert_allclose(only.segment(sound[:2]), found[:2], atol=1e-4)
    bank, masks = banks(2, FBANK_PER_WINDOW), np.ones((2, 3, FRAMES_PER_WINDOW), np.float32)
    np.testing.assert_allclose(only.multimask(bank, masks), both.multimask(bank, masks), atol=1e-3)


class Cramped:
    """A network on a device with little room."""

    def __init__(self, network: Network, device: Gpu) -> None:
        self.inputs, self.outputs, self._network, self._device = network.inputs, network.outputs, network, device

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One batch, if there is room."""
        size = len(next(iter(inputs.values())))
        self._device.seen.append(size)
        if size > self._device.room:
            raise OutOfMemory("no room")
        return self._network.run(inputs)


class Gpu(OnnxBackend):
    """A GPU on which full batches pay, with little memory."""

    full_batches, carries = True, False

    def __init__(self, room: int) -> None:
        super().__init__("gpu", "a GPU")
        self.room, self.seen = room, list[int]()

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> Network:
        """A network without room."""
        return Cramped(super().load(path, role, options, made), self)


def test_a_full_device_gets_smaller_batches(tmp_path: Path) -> None:
    bundle = ModelBundle.open(small.write(tmp_path))
    backend, plain = Gpu(5), Networks(bundle, OnnxBackend())
    networks = Networks(bundle, backend)  # warms up with batches that do not fit
    assert networks.batches["segmentation"] == 4
    rows = np.random.default_rng(0).standard_normal((11, 12)).astype(np.float32)
    backend.seen.clear()
    np.testing.assert_allclose(networks.head(rows), plain.head(rows), atol=1e-6)
    assert backend.seen == [4, 4, 4], "batches of few sizes, the last one filled up"
    backend.room = 0
    with pytest.raises(OutOfMemory):
        networks.head(rows)


def test_a_gpu_sees_few_batch_sizes(tmp_path: Path) -> None:
    backend = Gpu(1000)
    networks = Networks(ModelBundle.open(small.write(tmp_path)), backend)
    assert set(backend.seen) == {1, 2, 4, 8, 16, 32}
    for count in range(1, 70, 7):
        assert len(networks.head(np.zeros((count, 12), np.float32))) == count
    assert set(backend.seen) == {1, 2, 4, 8, 16, 32}


# -- networks of another shape --------------------------------------------------------------------------------

Models = Callable[[], Mapping[str, onnx.ModelProto]]
WRONG: dict[str, tuple[Models, str]] = {
    "frames": (lambda: {"segmentation": small.segmentation(stride=271)}, r"segmentation\.onnx.*\(589, 7\).*\(587, 7\)"),
    "classes": (lambda: {"segmentation": small.segmentation(classes=8)}, r"segmentation\.onnx.*\(589, 7\).*\(589, 8\)"),
    "input name": (
        lambda: {"segmentation": small.trunk()},
        r"segmentation\.onnx.*expected inputs input, found fbank float32 \[\?, \?, 80\]",
    ),
    "output name": (
        lambda: {"head": renamed(small.head(), "embedding", "vector")},
        r"head\.onnx.*expected an output embedding",
    ),
    "trunk stride": (lambda: {"trunk": small.trunk(stride=5)}, r"trunk\.onnx has the wrong shape: expected \(4, 6\)"),
    "trunk padding": (lambda: {"trunk": small.trunk(padded=True)}, r"trunk\.onnx has the wrong shape"),
    "dimension": (lambda: {"head": small.head(dimension=9)}, r"head\.onnx.*expected \(8,\).*found \(9,\)"),
    "statistics": (
        lambda: {"head": small.network({"statistics": ("b", 13)}, ("embedding", ("b", 8)), *_matrix(13))},
        r"head\.onnx.*statistics float32 \[batch, 12\], found statistics float32 \[\?, 13\]",
    ),
    "batch that only looks free": (
        lambda: {"head": small.network({"statistics": ("b", 12)}, ("embedding", ("b", 8)), *_matrix(12, fixed=True))},
        r"head\.onnx does not work",
    ),
}


def renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    """The model with another name for an output."""
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    model.graph.output[0].name = new
    return model


def _matrix(inputs: int, fixed: bool = False) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    weights: dict[str, Array] = {"w": np.ones((inputs, 8), np.float32)}
    nodes = [onnx.helper.make_node("MatMul", ["statistics", "w"], ["product" if fixed else "embedding"])]
    if fixed:
        weights["shape"] = np.array([1, 8])
        nodes.append(onnx.helper.make_node("Reshape", ["product", "shape"], ["embedding"]))
    return nodes, weights


@pytest.mark.parametrize("case", WRONG)
def test_wrong_shapes_are_refused_by_name(tmp_path: Path, case: str) -> None:
    make, message = WRONG[case]
    bundle = ModelBundle.open(small.write(tmp_path, **make()))
    with pytest.raises(BundleCorrupt, match=message):
        Networks(bundle, OnnxBackend())


def test_a_batch_that_the_manifest_denies(tmp_path: Path) -> None:
    small.write(tmp_path, segmentation=small.segmentation(batch=4))
    data = small.manifest(tmp_path)
    assert Networks(ModelBundle.open(tmp_path), OnnxBackend()).batches["segmentation"] == 4
    data["segmentation"]["batch"] = 2
    small.write_manifest(tmp_path, data)
    with pytest.raises(BundleCorrupt, match=r"segmentation\.onnx.*a batch of 2, as the manifest says, found.*\[4, 1"):
        Networks(ModelBundle.open(tmp_path), OnnxBackend())


def test_masks_of_another_batch(tmp_path: Path) -> None:
    directory = community_shapes.write(tmp_path, width=2)
    model = onnx.load(str(directory / "wespeaker-multimask-tail.onnx"))
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 4
    (directory / "wespeaker-multimask-tail.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleCorrupt, match=r"wespeaker-multimask-tail\.onnx"):
        Networks(ModelBundle.open(directory), OnnxBackend())


class Liar:
    """A backend whose networks change their mind after they were checked."""

    name, description, full_batches, carries = "liar", "", False, False

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.lie = False

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> Network:
        network = self.inner.load(path, role, options, made)
        truth = network.run

        class Lying:
            inputs, outputs = network.inputs, network.outputs

            def run(_, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
                return {name: array[:, :1] if self.lie else array for name, array in truth(inputs).items()}

        return Lying()


def test_every_answer_is_checked(split: Networks) -> None:
    liar = Liar(OnnxBackend())
    networks = Networks(split.bundle, liar)
    liar.lie = True
    with pytest.raises(BundleCorrupt, match=r"trunk\.onnx has the wrong shape"):
        networks.trunk(banks(1, 50))
    with pytest.raises(BundleCorrupt, match=r"head\.onnx has the wrong shape"):
        networks.head(np.zeros((1, 2 * small.CHANNELS), np.float32))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_networks_are_refused_or_run(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A folder without a manifest has no hashes, so any bytes may come this far."""
    directory = small.write(tmp_path_factory.mktemp("damaged"))
    victim = directory / data.draw(st.sampled_from(["segmentation.onnx", "trunk.onnx", "head.onnx"]))
    content = bytearray(victim.read_bytes())
    ends = st.integers(0, 300) | st.integers(len(content) - 300, len(content) - 1)
    match data.draw(st.sampled_from(["change", "cut", "insert"])):
        case "change":
            for at in data.draw(st.lists(ends, min_size=1, max_size=3)):
                content[at] = data.draw(st.integers(0, 255))
        case "cut":
            del content[data.draw(ends) :]
        case _:
            at = data.draw(ends)
            content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    victim.write_bytes(content)
    small.write_manifest(directory)
    with contextlib.suppress(ModelError):
        assert Networks(ModelBundle.open(directory), OnnxBackend()).batches
