"""Greedy matching, case by case."""

from __future__ import annotations

import numpy as np

from benchmarks.live_run import play
from benchmarks.peers.greedy import MAX_SPEAKERS, Centroids, PeerIdentity
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.live.config import LiveConfig
from tests.benchmarks.test_live_run import REFERENCE, looks, model, small_plda

A, B, C = np.eye(4)[:3]
ALL = np.array([True, True, True])
LONG, SHORT = 0.5, 0.1


def near(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(unit((share * one + (1 - share) * other)[None])[0])


def window(*rows: np.ndarray) -> np.ndarray:
    return np.stack([*rows, *[np.ones(4) / 2] * (3 - len(rows))])


def match(centroids: Centroids, *rows: np.ndarray, spoken: tuple[float, ...] = (LONG, LONG, LONG)) -> list[int]:
    active = np.arange(3) < len(rows)
    return [int(one) for one in centroids(window(*rows), active, np.array(spoken) * active)]


def test_everybody_in_the_first_window_is_new_however_short() -> None:
    centroids = Centroids(0.5)
    assert match(centroids, A, B, spoken=(SHORT, LONG, 0)) == [0, 1, -1]


def test_voices_go_to_the_nearest_and_different_ones_apart() -> None:
    centroids = Centroids(0.9)
    match(centroids, A, B)
    assert match(centroids, near(B, A, 0.8), near(A, B, 0.8)) == [1, 0, -1]
    # both are nearest to A; the sum of distances decides who gets it
    assert match(centroids, near(A, B, 0.6), near(A, B, 0.9)) == [1, 0, -1]


def test_a_far_voice_is_new_only_after_long_speech() -> None:
    centroids = Centroids(0.9)
    match(centroids, A, B)
    assert match(centroids, C, spoken=(SHORT, 0, 0)) in ([0, -1, -1], [1, -1, -1])
    assert match(centroids, C, spoken=(LONG, 0, 0)) == [2, -1, -1]
    assert match(centroids, C, A, spoken=(SHORT, SHORT, 0)) == [2, 0, -1]


def test_a_short_stranger_beside_everybody_known_is_nobody() -> None:
    centroids = Centroids(0.9)
    match(centroids, A, B)
    assert match(centroids, A, B, C, spoken=(LONG, LONG, SHORT)) == [0, 1, -1]


def test_only_long_speech_moves_a_centroid() -> None:
    centroids = Centroids(0.9)
    match(centroids, A, B)
    match(centroids, near(A, C, 0.6), spoken=(SHORT, 0, 0))
    assert centroids.sums is not None
    assert np.array_equal(centroids.sums, [A, B])
    match(centroids, near(A, C, 0.6), spoken=(LONG, 0, 0))
    assert np.allclose(centroids.sums[0], A + near(A, C, 0.6))


def test_silence_first_leaves_newcomers_to_the_rule() -> None:
    centroids = Centroids(0.9)
    assert match(centroids) == [-1, -1, -1]
    assert match(centroids, A, spoken=(SHORT, 0, 0)) == [-1, -1, -1]
    assert match(centroids, A, spoken=(LONG, 0, 0)) == [0, -1, -1]


def test_there_are_never_more_than_twenty() -> None:
    generator = np.random.default_rng(0)
    centroids = Centroids(0.05)
    for _ in range(30):
        found = centroids(unit(generator.standard_normal((3, 40))), ALL, np.full(3, LONG))
        assert found.min() >= 0
    assert centroids.sums is not None
    assert len(centroids.sums) == MAX_SPEAKERS


def test_as_an_identity_it_gives_numbers_and_never_corrects() -> None:
    config, live = PipelineConfig(), LiveConfig()
    identity = PeerIdentity(live, config.clustering, small_plda(), Centroids(0.6))
    played = play(looks(), config, live, model(), identity)
    result = played.judged(REFERENCE)
    assert result.der["final"]["all"].der < 0.4
    assert (result.merges, result.behind, result.reclusters) == (0, 0.0, [])
    assert 3 <= len(identity.people.living()) <= MAX_SPEAKERS
    assert min(at for at, _ in played.arrivals) < 10 * 16_000  # the watermark moves, though nobody is shown
    shown = [at for at, event in played.arrivals if type(event).__name__ == "TurnStarted"]
    assert min(shown) == 10 * 16_000
