"""Simulated network outputs: true to the reference, to the PLDA model, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.parity import load_plda
from benchmarks.simulation import Simulation, Voices, calibration, long_meeting
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.grid import FRAME_MIDDLE, FRAME_STEP, WINDOW
from speakrs_stream.scoring import Labelled

REFERENCE = [Labelled(0.0, 6.0, "A"), Labelled(5.0, 12.0, "B"), Labelled(12.5, 20.0, "C"), Labelled(15.0, 15.3, "A")]


@pytest.fixture(scope="module")
def plda(shared: Path) -> Plda:
    return load_plda(shared / "models" / "community-1")


def test_windows_follow_the_reference(plda: Plda) -> None:
    simulation = Simulation(REFERENCE, plda, seed=3)
    assert simulation.samples == 21 * 16_000
    agreement = []
    for start in range(0, 11):
        looked = simulation.look(start * 16_000)
        assert looked.activations.shape == (589, 3)
        assert looked.activations.sum(axis=1).max() <= 2
        times = start + (np.arange(589) * FRAME_STEP + FRAME_MIDDLE) / 16_000
        there = sum(((times >= turn.start) & (times < turn.end)).astype(int) for turn in REFERENCE)
        agreement.append(np.mean(looked.activations.sum(axis=1) == np.minimum(there, 2)))
        active = looked.activations.any(axis=0)
        assert np.isfinite(looked.embeddings[active]).all()
        assert np.isnan(looked.embeddings[~active]).all()
    assert 0.93 < np.mean(agreement) < 1.0  # errors are there, and small


def test_nothing_is_seen_before_it_is_heard(plda: Plda) -> None:
    looked = Simulation(REFERENCE, plda, seed=3).look(0, 2 * 16_000)
    assert looked.activations[: 2 * 59].any()
    assert not looked.activations[2 * 60 :].any()


def test_seed_decides(plda: Plda) -> None:
    one, same, other = (Simulation(REFERENCE, plda, seed=seed).look(WINDOW // 2) for seed in (3, 3, 4))
    assert np.array_equal(one.activations, same.activations)
    assert np.array_equal(one.embeddings, same.embeddings, equal_nan=True)
    assert not np.array_equal(one.embeddings, other.embeddings, equal_nan=True)


def test_embeddings_have_the_model_s_distances(plda: Plda) -> None:
    """Five seconds of speech: alike within a speaker, far less between, nearer with more speech."""
    voices = Voices(plda, 12, seed=1)

    def cuts(speaker: int, seconds: int) -> np.ndarray:
        return np.stack(
            [voices.embed([(speaker, 100 * cut + second, 1.0) for second in range(seconds)]) for cut in range(6)]
        )

    def within(seconds: int) -> float:
        rows = [unit(cuts(speaker, seconds).astype(np.float64)) for speaker in range(12)]
        return float(np.mean([(row @ row.T)[np.triu_indices(6, 1)].mean() for row in rows]))

    middles = unit(np.stack([cuts(speaker, 5).mean(axis=0) for speaker in range(12)]).astype(np.float64))
    between = float((middles @ middles.T)[np.triu_indices(12, 1)].mean())
    assert within(5) > between + 0.4
    assert within(5) > within(2) + 0.02
    assert between < 0.35


def test_plda_space_is_reached_again(plda: Plda) -> None:
    """A raw embedding goes back to where it was drawn, up to the length that normalisation takes."""
    voices = Voices(plda, 2, seed=5)
    drawn = voices.second(0, 10)
    features = plda.transform(voices.raw(drawn)[None])[0]
    cosine = features @ drawn[: plda.dimension] / np.linalg.norm(features) / np.linalg.norm(drawn[: plda.dimension])
    assert cosine > 0.9


def test_long_meetings_have_their_people_and_absences() -> None:
    turns = long_meeting(2.0, 6, seed=2, absence=1800.0)
    assert {turn.speaker for turn in turns} == {f"P{number:02d}" for number in range(6)}
    assert turns == long_meeting(2.0, 6, seed=2, absence=1800.0)
    assert turns[-1].end <= 7200
    spoken = sum(turn.end - turn.start for turn in turns)
    assert 0.7 < spoken / 7200 < 1.1
    for speaker in {turn.speaker for turn in turns}:
        own = sorted((turn.start, turn.end) for turn in turns if turn.speaker == speaker)
        gaps = np.diff([edge for pair in own for edge in pair])[1::2]
        assert gaps.max() > 600


def test_similarities_are_those_of_real_speech(plda: Plda) -> None:
    """Phone speech has 0.75 within a speaker (5th percentile 0.54), 0.15 to 0.20 between (95th 0.17 to 0.31)."""
    found = calibration(plda)
    assert found.within == pytest.approx(0.75, abs=0.03)
    assert found.within_p5 == pytest.approx(0.54, abs=0.05)
    assert found.between == pytest.approx(0.15, abs=0.04)
    assert found.between_p95 == pytest.approx(0.31, abs=0.07)
