"""A segmentation in two parts, its filters carried over a stream, beside the whole one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakrs_stream.core.filters import LEVEL, Filters
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError
from speakrs_stream.inference.networks import Networks
from speakrs_stream.inference.onnx import OnnxBackend
from speakrs_stream.models.resolve import resolve
from tests.models import small

MEETING = Path(__file__).resolve().parents[2] / "speakrs_stream" / "demo" / "meeting.flac"


class Whole(OnnxBackend):
    """The processor, which leaves networks whole."""

    carries = False


@pytest.mark.parametrize(("name", "near", "apart"), [("embedded", 0.02, 0), ("embedded-fast", 0.1, 4)])
def test_a_shipped_network_carried_over_a_recording(name: str, near: float, apart: int) -> None:
    """From chunks, in batches of several sizes, as a stream does it.

    near: how far log-probabilities may lie apart; apart: frames that may change, since int8 rounds what is alike apart
    """
    bundle = resolve(name)
    carried, whole = Networks(bundle, OnnxBackend()), Networks(bundle, Whole())
    assert carried.filters
    samples, _ = soundfile.read(MEETING, dtype="float32", frames=WINDOW + 3 * 16_000)
    filters = Filters(carried.filters, 16_000)
    for window in range(4):
        chunks = filters.begin(window, samples[16_000 * window : 16_000 * window + WINDOW])
        inputs = np.stack([samples[slice(*filters.samples(chunk))] for chunk in chunks[1:]] or [np.zeros(0)])
        for chunk in chunks if window else chunks[:1]:
            filters.have(chunk, carried.filter(samples[None, slice(*filters.samples(chunk))])[0])
        if not window:
            for chunk, results in zip(chunks[1:], carried.filter(inputs), strict=True):
                filters.have(chunk, results)
    windows = np.stack([samples[16_000 * n : 16_000 * n + WINDOW] for n in range(4)])
    feeds = [filters.inputs(n) for n in range(4)]
    assert next(iter(feeds[0])) == LEVEL, "the scheduler tells questions apart by their first input"
    found, expected = carried.segment_filtered(feeds), whole.segment(windows)
    np.testing.assert_allclose(found, expected, atol=near)
    assert np.count_nonzero(found.argmax(axis=2) != expected.argmax(axis=2)) <= apart
    alone = np.concatenate([carried.segment_filtered([one]) for one in feeds])
    np.testing.assert_allclose(found, alone, atol=1e-4)


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_turns_are_those_of_the_whole_network(step: float) -> None:
    samples, _ = soundfile.read(MEETING, dtype="float32", frames=25 * 16_000)
    apart, whole = Engine("embedded", mode="cpu", step=step), Engine("embedded", backend=Whole(), step=step)
    found, expected = (engine.diarize(samples, sample_rate=16_000) for engine in (apart, whole))
    assert found.turns == expected.turns and found.exclusive == expected.exclusive


def test_a_network_that_stays_whole_is_told(tmp_path: Path) -> None:
    engine = Engine(small.write(tmp_path), mode="cpu")
    assert engine.networks.filters is None and engine.model.filters is None
    assert engine.description.endswith(
        "; filters run in every window: segmentation.onnx does not begin as PyanNet does: where InstanceNormalization "
        "was expected there is Conv"
    )


def test_without_onnx_it_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    networks = Networks(resolve("embedded"), OnnxBackend())
    assert networks.filters is None and "onnx" in str(networks.whole_because)
    window = np.zeros((1, WINDOW), np.float32)
    assert networks.segment(window).shape == (1, 589, 7)
    with pytest.raises(ConfigError, match="no filters that can be run"):
        networks.filter(window)
    with pytest.raises(ConfigError, match="takes samples"):
        networks.segment_filtered([{}])
