"""Streams of known outputs: the same as the product's stream, and the same as the recording as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.live_metrics import RANGES
from benchmarks.live_run import ClockedIdentity, SimulatedLooks, logits, piece_of, play, whole
from benchmarks.simulation import Looked, Simulation
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.powerset import decode
from speakrs_stream.core.session import SpeakerModel
from speakrs_stream.scoring import Labelled

REFERENCE = [Labelled(round(4.0 * turn + 0.3, 3), round(4.0 * turn + 3.9, 3), "ABC"[turn % 3]) for turn in range(12)]
D = 24


def small_plda() -> Plda:
    """A model with dimensions as few as a test needs."""
    generator = np.random.default_rng(0)
    lda, _ = np.linalg.qr(generator.standard_normal((D, 16)))
    psi = np.sort(generator.uniform(20, 60, 16))[::-1]
    return Plda(np.zeros(D), lda, np.zeros(16), np.zeros(16), 6.3 * np.eye(16), psi)


def model() -> SpeakerModel:
    return SpeakerModel(EmbeddingLayout(kind="multimask", dimension=D, window_mean=True), small_plda())


def looks(step: int = SAMPLE_RATE) -> SimulatedLooks:
    return SimulatedLooks(Simulation(REFERENCE, small_plda(), seed=5), step)


def test_a_simulated_stream_is_good_and_ends_as_the_whole() -> None:
    seen = looks()
    played = play(seen, PipelineConfig(), LiveConfig(), model(), marks=(20.0, 40.0, 600.0))
    assert played.samples == seen.samples == 49 * SAMPLE_RATE - 1600
    assert played.same is True
    result = played.judged(REFERENCE)
    assert result.same is True
    assert result.der["final"]["all"].der < 0.15
    assert set(result.der["offline"]) == set(RANGES)
    assert result.behind == 0.0
    assert [at for at, _ in result.snapshots] == [20 * SAMPLE_RATE, 40 * SAMPLE_RATE, seen.samples]
    assert all(10_000 < size for _, size in result.snapshots)
    assert len(result.reclusters) > 10
    assert all(0.0 < took < 10.0 for _, took in result.reclusters)
    assert [at for at, _ in played.arrivals] == sorted(at for at, _ in played.arrivals)


def test_events_come_when_their_audio_was_heard() -> None:
    """A step that does not divide the window: previews after whole steps, windows when they are complete."""
    config = PipelineConfig(step=24_320)
    played = play(looks(24_320), config, LiveConfig(), model())
    times = sorted({at for at, _ in played.arrivals})
    windows = [at for at in times if at >= WINDOW]
    assert [at % 24_320 for at in times if at < WINDOW] == [0] * 6
    assert [(at - WINDOW) % 24_320 for at in windows[:-1]] == [0] * (len(windows) - 1)
    assert times[-1] == played.samples


@pytest.mark.parametrize(("step", "piece"), [(16_000, 16_000), (24_320, 1_280), (320_000, 160_000)])
def test_pieces_end_where_windows_end(step: int, piece: int) -> None:
    assert piece_of(step) == piece


def test_a_result_that_differs_is_noticed() -> None:
    class Forgetful(SimulatedLooks):
        """Says something else when asked again."""

        asked = 0

        def window(self, index: int) -> Looked:
            look = super().window(index)
            if index == 20:
                self.asked += 1
            return look if index != 20 or self.asked <= 1 else replace(look, activations=look.activations * 0)

    forgetful = Forgetful(Simulation(REFERENCE, small_plda(), seed=5), SAMPLE_RATE)
    assert play(forgetful, PipelineConfig(), LiveConfig(), model()).same is False
    assert play(looks(), PipelineConfig(), LiveConfig(), model(), check=False).same is None


def test_activity_survives_the_networks_form() -> None:
    look = looks().window(3)
    assert np.array_equal(decode(logits(look.activations)), look.activations)
    assert logits(look.activations).shape == (589, 7)


def test_short_and_empty_recordings() -> None:
    short = SimulatedLooks(Simulation([Labelled(0.2, 1.0, "A")], small_plda(), seed=1), SAMPLE_RATE)
    played = play(short, PipelineConfig(), LiveConfig(), model())
    assert played.same is True
    empty = SimulatedLooks(Simulation([], small_plda(), seed=1, seconds=0.0), SAMPLE_RATE)
    assert whole(empty, PipelineConfig(), model()) == []


def test_the_clock_changes_nothing() -> None:
    plain = play(looks(), PipelineConfig(), LiveConfig(), model())
    clocked = ClockedIdentity(LiveConfig(), PipelineConfig().clustering, small_plda())
    again = play(looks(), PipelineConfig(), LiveConfig(), model(), clocked)
    assert again.arrivals == plain.arrivals
    assert len(clocked.reclusters) == clocked.reclusterings
