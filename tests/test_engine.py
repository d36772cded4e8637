"""The engine: settings, what it refuses, and results that do not depend on how sound is given."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakrs_stream import driver
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import Engine, Progress, name_of, pipeline_config
from speakrs_stream.errors import BadFormat, Cancelled, ConfigError, MissingExtra, SnapshotMismatch
from speakrs_stream.models.resolve import resolve
from training import community_shapes

MEETING = Path(__file__).resolve().parent.parent / "speakrs_stream" / "demo" / "meeting.flac"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    samples, rate = soundfile.read(MEETING, dtype="float32", frames=25 * 16_000)
    assert rate == 16_000
    return np.asarray(samples)


@pytest.fixture(scope="module")
def found(engine: Engine, speech: np.ndarray) -> Diarization:
    return engine.diarize(speech, sample_rate=16_000)


def test_a_recording_has_turns_of_several_people(found: Diarization) -> None:
    assert found.samples == 25 * 16_000
    assert len(found.speakers) >= 2 and found.turns
    assert found.labels == tuple(f"SPEAKER_{n:02d}" for n in range(len(found.speakers)))
    assert all(turn.span.end <= found.samples for turn in found.turns)
    assert found.bundle == "embedded"


def test_the_fast_bundle_hears_much_the_same(speech: np.ndarray, found: Diarization) -> None:
    fast = Engine("embedded-fast")
    result = fast.diarize(speech, sample_rate=16_000)
    assert result.bundle == "embedded-fast" and 2 <= len(result.speakers) <= 5
    said, expected = (sum(turn.span.end - turn.span.start for turn in one.turns) for one in (result, found))
    assert abs(said - expected) < 0.1 * expected
    stream = fast.stream(sample_rate=16_000)
    stream.push(speech)
    assert stream.finish().turns == result.turns


def test_kind_of_numbers_and_channels_do_not_matter(engine: Engine, speech: np.ndarray, found: Diarization) -> None:
    exact = np.round(speech * 32768).astype(np.int16)
    again = engine.diarize(np.stack([exact, exact], axis=1), sample_rate=16_000)
    assert again.turns == engine.diarize(exact, sample_rate=16_000).turns
    assert len(again.speakers) == len(found.speakers)


def test_progress_and_cancelling(engine: Engine, speech: np.ndarray) -> None:
    seen: list[Progress] = []
    engine.diarize(speech, sample_rate=16_000, hook=seen.append)
    assert [entry.stage for entry in seen] == ["inference", "clustering"]
    assert seen[-1].completed == len(speech)
    with pytest.raises(Cancelled):
        engine.diarize(speech, sample_rate=16_000, cancel=lambda: True)


def test_who_shares_a_batch_does_not_matter(
    engine: Engine, speech: np.ndarray, found: Diarization, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = np.stack([speech[start : start + 160_000] for start in range(0, 64_000, 16_000)])
    together, alone = engine.networks.segment(windows), [engine.networks.segment(one[None])[0] for one in windows]
    np.testing.assert_allclose(together, alone, atol=1e-4)  # up to the runtime's rounding; none was seen
    monkeypatch.setattr(driver, "BATCH", 1)
    assert engine.diarize(speech, sample_rate=16_000).turns == found.turns


def test_a_number_of_speakers_is_obeyed(engine: Engine, speech: np.ndarray) -> None:
    assert len(engine.diarize(speech, sample_rate=16_000, num_speakers=1).speakers) == 1
    with pytest.raises(ConfigError, match="not both"):
        engine.diarize(speech, sample_rate=16_000, num_speakers=2, max_speakers=3)


@pytest.mark.parametrize("length", [0, 1, 800, 16_000])
def test_short_and_silent_recordings_have_no_turns(engine: Engine, length: int) -> None:
    found = engine.diarize(np.zeros(length, np.float32), sample_rate=16_000)
    assert (found.turns, found.exclusive, found.samples) == ((), (), length)


def test_refuses_what_cannot_be_meant(engine: Engine, speech: np.ndarray) -> None:
    with pytest.raises(BadFormat, match="needs its sample_rate"):
        engine.diarize(speech)
    with pytest.raises(ConfigError, match="its own sample rate"):
        engine.diarize(MEETING, sample_rate=16_000)
    with pytest.raises(ConfigError, match="multiple of"):
        Engine(step=0.01)
    with pytest.raises(ConfigError, match="whole number of samples"):
        Engine(step=-1)


def test_settings_come_from_the_caller_then_from_the_bundle() -> None:
    bundle = resolve("embedded")
    own = pipeline_config(bundle, None, None)
    assert own.clustering == ClusteringConfig.from_mapping(bundle.clustering)
    assert own.step == bundle.default_step
    assert pipeline_config(bundle, PipelineConfig(parity=True), 2.0) == PipelineConfig(parity=True, step=32_000)


def test_a_voice_is_an_embedding(engine: Engine, speech: np.ndarray) -> None:
    voice = engine.voice(speech, sample_rate=16_000)
    assert voice.shape == (engine.bundle.embedding.dimension,) and np.isfinite(voice).all()
    with pytest.raises(BadFormat, match="too little clear speech"):
        engine.voice(np.zeros(16_000, np.float32), sample_rate=16_000)


def test_a_stream_ends_with_the_same_turns(engine: Engine, speech: np.ndarray, found: Diarization) -> None:
    stream = engine.stream(max_delay=5, recluster=4)
    for start in range(0, len(speech), 7_777):
        stream.push(speech[start : start + 7_777])
    saved = stream.snapshot()
    assert stream.finish().turns == found.turns
    assert engine.restore(saved, max_delay=5, recluster=4).finish().turns == found.turns
    with pytest.raises(SnapshotMismatch):
        engine.restore(saved)


# -- a bundle whose windows can share its trunk nearly exactly ----------------------------------------------------


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of community-1's form with few channels and random weights."""
    return community_shapes.write(tmp_path_factory.mktemp("community") / "models", width=2)


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEAKRS_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cut"))


def streamed(engine: Engine, speech: np.ndarray) -> Diarization:
    stream = engine.stream()
    for start in range(0, len(speech), 20_000):
        stream.push(speech[start : start + 20_000])
    return stream.finish()


def same(one: Diarization, two: Diarization) -> bool:
    voices = [[speaker.embedding for speaker in found.speakers] for found in (one, two)]
    equal = all(a is b or np.array_equal(a, b) for a, b in zip(*voices, strict=True) if a is not None and b is not None)
    return one.turns == two.turns and one.exclusive == two.exclusive and equal


@pytest.mark.usefixtures("cache")
def test_what_a_stream_ends_with(community: Path, speech: np.ndarray) -> None:
    engines = {name: Engine(community, embedding=name) for name in (None, "exact", "fast", "refined")}
    found = {name: engine.diarize(speech, sample_rate=16_000) for name, engine in engines.items()}
    assert found["exact"].turns
    for name, engine in engines.items():
        assert same(streamed(engine, speech), found[name]), name
    assert same(found["refined"], found[None])
    assert found["refined"].turns == found["exact"].turns, "cut or whole"
    configs = {name: (engine.config.embedding, engine.live_config.embedding) for name, engine in engines.items()}
    assert configs == {
        None: ("exact", "refined"),
        "exact": ("exact", "exact"),
        "fast": ("fast", "fast"),
        "refined": ("exact", "refined"),
    }


@pytest.mark.usefixtures("cache")
def test_a_stream_saved_and_restored_ends_the_same(community: Path, speech: np.ndarray) -> None:
    engine = Engine(community)
    stream = engine.stream()
    stream.push(speech[: 15 * 16_000])
    saved = stream.snapshot()
    again = engine.restore(saved)
    for one in (stream, again):
        one.push(speech[15 * 16_000 :])
    expected = stream.finish()
    assert same(again.finish(), expected)
    assert same(engine.restore(stream.snapshot()).finish(), expected), "saved after its end"


def test_without_onnx_windows_are_not_shared(community: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert Engine(community).live_config.embedding == "exact"
    with pytest.raises(MissingExtra, match="hub"):
        Engine(community, embedding="fast")


def test_a_trunk_that_is_shared_exactly_has_no_other_way(engine: Engine) -> None:
    assert Engine(embedding="fast").live_config == engine.live_config == engine.config


def test_what_a_recording_is_called() -> None:
    assert name_of("calls/monday.wav") == "monday"
    assert name_of(np.zeros(3)) == "recording"
