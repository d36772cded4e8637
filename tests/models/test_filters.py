"""Segmentation networks taken apart give what they gave whole; others are left whole."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from speakrs_stream.core.grid import WINDOW
from speakrs_stream.errors import BundleNotFound, MissingExtra
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.filters import OtherForm, take_front
from tests.models import small
from training import community_shapes

MEETING = Path(__file__).resolve().parents[2] / "speakrs_stream" / "demo" / "meeting.flac"
NARROW = 8
"""Width of small networks of the true form."""


class Whole(OnnxBackend):
    """The processor, which leaves networks whole."""

    carries = False


def slower(model: onnx.ModelProto, rate: int) -> onnx.ModelProto:
    """The same network whose later layers see the mean of `rate` frames, as a quicker student does."""
    nodes = list(model.graph.node)
    at = next(number for number, node in enumerate(nodes) if node.op_type == "LSTM") - 1
    before = nodes[at]
    assert before.op_type == "Transpose"
    mean = helper.make_node(
        "AveragePool", [before.input[0]], ["mean"], kernel_shape=[rate], strides=[rate], ceil_mode=1
    )
    before.input[0] = "mean"
    nodes.insert(at, mean)
    last = nodes[-1]
    spread = helper.make_node("Resize", [last.input[0], "", "scales"], ["spread"], mode="nearest")
    cut = helper.make_node("Slice", ["spread", "zero", "frames", "axis"], ["cut"])
    last.input[0] = "cut"
    nodes[-1:] = [spread, cut, last]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    constants = {"zero": np.array([0]), "frames": np.array([589]), "axis": np.array([1])}
    constants |= {"scales": np.array([1, rate, 1], np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    return model


def computed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network whose filters are computed from two halves that are stored."""
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    taps = next(entry for entry in model.graph.initializer if entry.name == convolution.input[1])
    values = numpy_helper.to_array(taps)
    model.graph.initializer.extend(
        [numpy_helper.from_array(half, f"half{n}") for n, half in enumerate(np.split(values, 2))]
    )
    model.graph.initializer.remove(taps)
    node = helper.make_node("Concat", ["half0", "half1"], [taps.name], axis=0)
    model.graph.node.insert(0, node)
    return model


def narrow(batch: int | None = None) -> onnx.ModelProto:
    return community_shapes.segmentation(batch=batch, width=NARROW)


FORMS: dict[str, Callable[[], onnx.ModelProto]] = {
    "any batch": narrow,
    "a batch of one": lambda: narrow(1),
    "a batch of four": lambda: narrow(4),
    "a third of the frames": lambda: slower(narrow(), 3),
    "computed filters": lambda: computed(narrow()),
}


def sound(count: int = 5) -> np.ndarray:
    """Windows (count, 160000): speech, quiet, with an offset, padded, and silence."""
    samples, _ = soundfile.read(MEETING, dtype="float32", frames=2 * WINDOW)
    windows = np.stack([samples[16_000 * n : 16_000 * n + WINDOW] for n in range(count)])
    windows[1] *= 1e-3
    windows[2] += 0.2
    windows[3, 30_000:] = 0
    windows[4] = 0
    return np.asarray(windows, np.float32)


@pytest.mark.parametrize("form", FORMS)
def test_taken_apart_it_is_the_same(form: str, tmp_path: Path) -> None:
    bundle = ModelBundle.open(small.write(tmp_path, segmentation=FORMS[form]()))
    apart, whole = Networks(bundle, OnnxBackend()), Networks(bundle, Whole())
    assert apart.filters and apart.whole_because is None and whole.filters is None
    windows = sound()
    np.testing.assert_allclose(apart.segment(windows), whole.segment(windows), atol=1e-3)


def changed(kind: str, **given: Any) -> onnx.ModelProto:
    """A network of the right form, but for attributes of its first node of a kind."""
    model = narrow()
    node = next(node for node in model.graph.node if node.op_type == kind)
    for name, value in given.items():
        for old in [entry for entry in node.attribute if entry.name == name]:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute(name, value))
    return model


def _without_level() -> onnx.ModelProto:
    model = narrow()
    model.graph.node[1].input[0] = "input"
    del model.graph.node[0]
    return model


def _used_twice() -> onnx.ModelProto:
    model = narrow()
    model.graph.node.insert(2, helper.make_node("Relu", [model.graph.node[1].output[0]], ["more"]))
    return model


def _stored(model: onnx.ModelProto, node: str, place: int, values: np.ndarray) -> onnx.ModelProto:
    found = next(one for one in model.graph.node if one.op_type == node)
    names = [*found.input]
    names[place:] = ["other"]
    found.input[:] = names
    model.graph.initializer.append(numpy_helper.from_array(values, "other"))
    return model


OTHERS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "no level": (_without_level, "where InstanceNormalization was expected there is Conv"),
    "used twice": (_used_twice, "where Abs was expected there is Abs and Relu"),
    "padded": (lambda: changed("Conv", pads=[5, 5]), r"has pads \[5, 5\]"),
    "dilated": (lambda: changed("MaxPool", dilations=[2]), r"has dilations \[2\]"),
    "overlapping": (lambda: changed("MaxPool", strides=[2]), "groups that overlap"),
    "a bias": (
        lambda: _stored(narrow(), "Conv", 2, np.ones(20, np.float32)),
        "something is added to its filters' results",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_forms_stay_whole(other: str, tmp_path: Path) -> None:
    make, message = OTHERS[other]
    onnx.save(make(), tmp_path / "s.onnx")
    with pytest.raises(OtherForm, match=message):
        take_front(tmp_path / "s.onnx")


def test_files_that_are_no_network(tmp_path: Path) -> None:
    (tmp_path / "s.onnx").write_bytes(b"not a network")
    with pytest.raises(OtherForm):
        take_front(tmp_path / "s.onnx")
    with pytest.raises(BundleNotFound):
        take_front(tmp_path / "none.onnx")


def test_without_onnx_it_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"speakrs-stream\[cpu\]"):
        take_front(Path("s.onnx"))


@settings(deadline=None, max_examples=40)
@given(at=st.integers(0, 900) | st.integers(-900, -1), value=st.integers(0, 255))
def test_damaged_networks_are_refused_or_taken_apart(
    at: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(stored_narrow())
    content[at] = value
    path = tmp_path_factory.mktemp("damaged") / "s.onnx"
    path.write_bytes(content)
    with contextlib.suppress(OtherForm):
        assert take_front(path).rest


@cache
def stored_narrow() -> bytes:
    return bytes(narrow().SerializeToString())
