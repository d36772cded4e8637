from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.clustering.ahc import exact
from speakrs_stream.core.clustering.vbx import start_from, vbx
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.live.memory import Items
from speakrs_stream.core.live.reclustering import means, recluster
from tests.checks import same_partition
from tests.live_conversations import apart, plda

CONFIG, FREE = ClusteringConfig(), SpeakerBounds()


def items(who: list[int], weights: list[float] | None = None, spread: float = 0.2, seed: int = 0) -> Items:
    """Embeddings of voices at right angles."""
    generator = np.random.default_rng(seed)
    points = apart(max(who) + 1)
    noise = generator.standard_normal((len(who), points.shape[1])) * (3 * spread / 4)
    raw = points[who] + noise
    weight = np.ones(len(who)) if weights is None else np.array(weights, float)
    return Items(raw, plda().transform(raw), weight, np.zeros(len(who), np.int64), np.arange(len(who)))


@pytest.mark.parametrize("voices", [1, 2, 5])
def test_voices_are_found(voices: int) -> None:
    who = [index % voices for index in range(12 * voices)]
    for weights in (None, [1.0 + index % 3 for index in range(len(who))]):
        rows = items(who, weights)
        found = recluster(rows, plda().phi, CONFIG, FREE)
        assert same_partition(found.labels, np.array(who))
        for cluster in range(voices):
            inside = found.labels == cluster
            mean = np.average(rows.raw[inside], axis=0, weights=rows.weight[inside])
            np.testing.assert_allclose(found.centroids[cluster], mean)


def test_a_group_counts_as_many_items_as_it_stands_for() -> None:
    """Whole numbers as weights against the same rows repeated: exchangeable, so the result must be the same."""
    generator = np.random.default_rng(4)
    who = generator.integers(0, 3, 25).tolist()
    weights = generator.integers(1, 6, 25)
    once = items(who, weights.astype(float).tolist(), spread=0.8)
    repeated = once.take(np.repeat(np.arange(25), weights))
    repeated = Items(repeated.raw, repeated.features, np.ones(len(repeated)), repeated.speaker, repeated.key)
    first = recluster(once, plda().phi, CONFIG, FREE)
    second = recluster(repeated, plda().phi, CONFIG, FREE)
    assert same_partition(np.repeat(first.labels, weights), second.labels)


@pytest.mark.parametrize("seed", range(20))
def test_dropping_empty_clusters_early_changes_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(2, 90))
    who, weights = generator.integers(0, 6, count), generator.integers(1, 9, count)
    rows = items(who.tolist(), weights.tolist(), 0.9, seed)
    plain = vbx(
        rows.features,
        plda().phi,
        start_from(exact(rows.raw, CONFIG.threshold), CONFIG.init_smoothing),
        Fa=CONFIG.Fa,
        Fb=CONFIG.Fb,
        max_iterations=CONFIG.max_iterations,
        epsilon=CONFIG.epsilon,
        weights=rows.weight,
    )
    labels = plain.gamma[:, plain.pi > CONFIG.keep_prior].argmax(axis=1)
    assert same_partition(recluster(rows, plda().phi, CONFIG, FREE).labels, labels)


@pytest.mark.parametrize(("low", "high"), [(2, 2), (1, 3), (6, None), (4, 9)])
def test_bounds_are_kept(low: int, high: int | None) -> None:
    bounds = SpeakerBounds(low, high)
    who = [index % 4 for index in range(40)]
    found = recluster(items(who), plda().phi, CONFIG, bounds)
    assert len(found.centroids) == bounds.clamp(4)
    assert sorted(set(found.labels.tolist())) == list(range(bounds.clamp(4)))
    few = recluster(items(who[:3]), plda().phi, CONFIG, SpeakerBounds(9, 9))
    assert len(few.centroids) == 3, "there cannot be more clusters than items"


def test_one_item_is_one_cluster() -> None:
    rows = items([0])
    found = recluster(rows, plda().phi, CONFIG, SpeakerBounds(3, 3))
    assert found.labels.tolist() == [0]
    np.testing.assert_array_equal(found.centroids, rows.raw)
    np.testing.assert_array_equal(means(rows, found.labels), rows.raw)
