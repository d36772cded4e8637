"""Recordings played as live streams, through the product's own stream and from kept outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.live import RecordedLooks, measure, pieces, stream
from benchmarks.live_run import play
from benchmarks.live_summary import summarize
from benchmarks.outputs import inferred, inferred_previews
from benchmarks.references import Pair
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.session import SpeakerModel
from speakrs_stream.engine import Engine
from speakrs_stream.scoring import Labelled
from tests.live_conversations import Talk, coded, coded_engine

SECONDS = 33


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two voices in turn, 33 s and a little."""
    talks = [
        Talk(n % 2, Span(round((3.0 * n + 0.2) * SAMPLE_RATE), round((3.0 * n + 2.9) * SAMPLE_RATE)))
        for n in range(SECONDS // 3)
    ]
    audio = tmp_path_factory.mktemp("set") / "talk.wav"
    soundfile.write(audio, coded(talks, SAMPLE_RATE, SECONDS * SAMPLE_RATE + 5_000), SAMPLE_RATE, subtype="FLOAT")
    turns = [Labelled(t.span.start / SAMPLE_RATE, t.span.end / SAMPLE_RATE, "AB"[t.voice]) for t in talks]
    return Pair("talk", audio, tuple(turns))


def test_the_stream_is_judged(pair: Pair) -> None:
    figures = summarize([measure(coded_engine(), pair, LiveConfig())])
    assert figures["minutes"] == pytest.approx((SECONDS + 5_000 / SAMPLE_RATE) / 60, abs=0.01)
    assert (figures["finish_checked"], figures["finish_differs"]) == (1, 0)
    assert figures["changed_behind_watermark_seconds"] == 0.0
    assert figures["der"]["all"]["final"]["der"] < 60.0
    assert figures["first_label_seconds"]["p50"] < 1.0
    assert 10.0 < figures["finalization_seconds"]["p95"] < 13.1
    assert figures["push_ms"]["p50"] > 0.0
    assert figures["recluster_ms"]["p50"] > 0.0


@pytest.mark.parametrize("seconds", [None, 4.5, 12.0])
def test_kept_outputs_give_the_same_events(pair: Pair, tmp_path: Path, seconds: float | None) -> None:
    engine, live = coded_engine(), LiveConfig()
    heard = stream(engine, pair, live, seconds)
    layout = EmbeddingLayout(kind="multimask", dimension=engine.model.layout.dimension, window_mean=True)
    for _ in range(2):  # made, then kept
        windows, previews = (get(engine, pair.audio, tmp_path, seconds) for get in (inferred, inferred_previews))
        played = play(RecordedLooks(windows, previews), engine.config, live, SpeakerModel(layout, engine.model.plda))
        assert played.arrivals == heard.arrivals
        assert played.offline == heard.offline
        assert played.samples == heard.samples
        assert played.same is heard.same is True
    assert len(list(tmp_path.iterdir())) == 2


def test_with_a_cache_the_figures_are_the_same(pair: Pair, tmp_path: Path) -> None:
    engine: Engine = coded_engine()
    fresh, kept = (
        summarize([measure(engine, pair, LiveConfig(), cache=cache, seconds=20.0)]) for cache in (None, tmp_path)
    )
    timed = {"push_ms", "recluster_ms", "recluster_ms_at", "host_ms_at", "snapshot_bytes_at"}
    assert {name: fresh[name] for name in fresh.keys() - timed} == {name: kept[name] for name in kept.keys() - timed}


@pytest.mark.parametrize("seconds", [None, 1.25, 100.0])
def test_pieces_are_the_file(tmp_path: Path, seconds: float | None) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 70_001).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE, subtype="FLOAT")
    found = list(pieces(tmp_path / "a.wav", 16_000, seconds))
    length = 70_001 if seconds != 1.25 else 20_000
    assert np.array_equal(np.concatenate(found), sound[:length])
    assert {len(piece) for piece in found[:-1]} == {16_000}
