"""Memory of a device kept from call to call: tried with a real session on the processor, and with a stand-in."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from speakrs_stream.errors import ModelError, OutOfMemory
from speakrs_stream.inference.base import LoadOptions, Network
from speakrs_stream.inference.binding import KEPT, BoundNetwork
from speakrs_stream.inference.onnx import OnnxBackend, open_session
from tests.models import small


@pytest.fixture
def pair(tmp_path: Path) -> tuple[BoundNetwork, Network]:
    """A network with kept memory, and the same one without."""
    path = tmp_path / "trunk.onnx"
    onnx.save(small.trunk(), path)
    session = open_session(str(path), LoadOptions(), ["CPUExecutionProvider"])
    return BoundNetwork(session, path, "cpu"), OnnxBackend().load(path, "trunk", LoadOptions())


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_results_are_those_of_a_plain_run(pair: tuple[BoundNetwork, Network]) -> None:
    bound, plain = pair
    kept = []
    for seed in range(9):
        feeds = {"fbank": noise(1 + seed % 3, 40 + 10 * (seed % 2), 80, seed=seed)}
        found, expected = bound.run(feeds)["features"], plain.run(feeds)["features"]
        np.testing.assert_array_equal(found, expected)
        kept.append((found, expected))
    for found, expected in kept:
        np.testing.assert_array_equal(found, expected, err_msg="a later call wrote into an earlier result")
    assert bound.shapes == 6


def test_inputs_may_lie_anyhow_in_memory(pair: tuple[BoundNetwork, Network]) -> None:
    bound, plain = pair
    turned = np.asfortranarray(noise(2, 40, 80))
    for feeds in ({"fbank": turned}, {"fbank": noise(4, 40, 80)[::2]}):
        np.testing.assert_array_equal(bound.run(feeds)["features"], plain.run(feeds)["features"])


def test_few_shapes_are_kept(pair: tuple[BoundNetwork, Network]) -> None:
    bound, _ = pair
    for frames in range(20, 20 + KEPT + 5):
        bound.run({"fbank": noise(1, frames, 80)})
    assert bound.shapes == KEPT


def test_threads_do_not_mix(pair: tuple[BoundNetwork, Network]) -> None:
    bound, plain = pair
    wrong: list[int] = []

    def work(seed: int) -> None:
        feeds = {"fbank": noise(2, 40, 80, seed=seed)}
        expected = plain.run(feeds)["features"]
        wrong.extend(seed for _ in range(30) if not np.array_equal(bound.run(feeds)["features"], expected))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrong_inputs_are_model_errors(pair: tuple[BoundNetwork, Network]) -> None:
    bound, plain = pair
    for feeds in ({"fbank": noise(1, 40, 79)}, {"other": noise(1, 40, 80)}):
        with pytest.raises(ModelError, match=r"trunk\.onnx could not be run"):
            bound.run(feeds)
    feeds = {"fbank": noise(1, 40, 80)}
    np.testing.assert_array_equal(bound.run(feeds)["features"], plain.run(feeds)["features"])


class Full:
    """A session on a device without room: what a GPU says, without a GPU."""

    def __init__(self, session: Any, message: str) -> None:
        self._session, self._message = session, message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, io: Any) -> None:
        raise RuntimeError(self._message)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 4294967296", OutOfMemory),
        ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory),
        ("CUBLAS_STATUS_EXECUTION_FAILED", ModelError),
    ],
)
def test_a_full_device_is_told_from_a_broken_one(tmp_path: Path, message: str, kind: type[ModelError]) -> None:
    path = tmp_path / "head.onnx"
    onnx.save(small.head(), path)
    session = Full(open_session(str(path), LoadOptions(), ["CPUExecutionProvider"]), message)
    network = BoundNetwork(session, path, "cpu")
    with pytest.raises(ModelError) as caught:
        network.run({"statistics": noise(3, 12)})
    assert type(caught.value) is kind and "head.onnx" in str(caught.value)
    assert network.shapes == 0
