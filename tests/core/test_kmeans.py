"""A given number of speakers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from speakrs_stream.core.arrays import I64, Array
from speakrs_stream.core.clustering.kmeans import _lloyd, kmeans
from speakrs_stream.core.clustering.plda import unit
from tests.checks import same_partition
from tests.core.voices import voices


def inertia(embeddings: Array, labels: I64) -> float:
    rows = unit(embeddings.astype(np.float64))
    return sum(float(((rows[labels == k] - rows[labels == k].mean(axis=0)) ** 2).sum()) for k in np.unique(labels))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 15))
def test_clear_voices_are_found(seed: int, people: int, times: int) -> None:
    who = np.random.default_rng(seed).permutation(np.repeat(np.arange(people), times))
    rows = voices(who, spread=0.3, seed=seed)
    labels = kmeans(rows, people)
    assert same_partition(labels, who)
    assert (labels == kmeans(rows, people)).all(), "the same every time"


def test_as_good_as_scikit_learn() -> None:
    """Voices that run into each other have many local optima; over some examples neither finds better ones."""
    ours, theirs = 0.0, 0.0
    for seed in range(12):
        who = np.random.default_rng(seed).integers(0, 4, 60)
        rows = voices(who, spread=1.0, seed=seed)
        labels = kmeans(rows, 3 + seed % 4)
        assert sorted(set(labels.tolist())) == list(range(3 + seed % 4))
        ours += inertia(rows, labels)
        theirs += KMeans(3 + seed % 4, n_init=3, random_state=42).fit(unit(rows.astype(np.float64))).inertia_
    assert ours <= 1.02 * theirs


def test_length_does_not_matter() -> None:
    rows = voices(np.arange(40) % 4, spread=0.3)
    longer = rows * np.random.default_rng(1).uniform(0.1, 50, (40, 1)).astype(np.float32)
    assert same_partition(kmeans(rows, 4), kmeans(longer, 4))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_equal_embeddings_are_one_cluster(count: int) -> None:
    two = voices(np.array([0, 1]))[np.array([0, 1, 0, 0, 1])]
    assert same_partition(kmeans(two, count), np.zeros(5) if count == 1 else np.array([0, 1, 0, 0, 1]))


def test_as_many_clusters_as_embeddings() -> None:
    rows = voices(np.arange(9) % 3, spread=1.0)
    assert sorted(kmeans(rows, 9).tolist()) == list(range(9))
    assert kmeans(rows[:1], 1).tolist() == [0]


def test_zeros_do_no_harm() -> None:
    rows = np.concatenate([voices(np.arange(8) % 2), np.zeros((3, 32), np.float32)])
    labels = kmeans(rows, 3)
    assert same_partition(labels, np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 2, 2]))


def test_a_cluster_that_runs_empty_gets_the_farthest_row() -> None:
    rows = unit(voices(np.array([0, 0, 0, 0, 1, 2]), spread=0.3).astype(np.float64))
    crowd = np.repeat(rows[:1], 3, axis=0)  # three starts in one place: two of them win nobody
    labels, left = _lloyd(rows, crowd)
    assert same_partition(labels, np.array([0, 0, 0, 0, 1, 2]))
    assert left < 0.5
    after_one, _ = _lloyd(rows, crowd, most=1)
    assert len(set(after_one.tolist())) == 3
    # nobody is taken away from a cluster of one, nor put apart from its equals
    labels, left = _lloyd(np.repeat(rows[:1], 4, axis=0), crowd)
    assert labels.tolist() == [0] * 4 and left == pytest.approx(0)


def test_the_number_of_rounds_is_limited() -> None:
    rows = unit(voices(np.arange(60) % 4, spread=1.2).astype(np.float64))
    once, settled = _lloyd(rows, rows[:4], most=1), _lloyd(rows, rows[:4])
    assert settled[1] < once[1]
