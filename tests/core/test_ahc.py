"""Centroid linkage: SciPy's cut, weights as repeated points, and the bounded start beside the exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering import ahc
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.clustering.vbx import start_from, vbx
from tests.checks import adjusted_rand, same_partition
from tests.core.voices import drawn, toy_plda, voices

seeds = st.integers(0, 2**32 - 1)


def naive_cut(points: F64, weights: F64, threshold: float) -> I64:
    """Merge the two nearest centroids again and again; cut on the highest merge inside each subtree."""
    clusters = [([index], points[index] * weights[index], weights[index], 0.0) for index in range(len(points))]
    whole = []  # subtrees whose highest merge is within the threshold, biggest last
    while len(clusters) > 1:
        means = np.array([total / mass for _, total, mass, _ in clusters])
        distances = np.linalg.norm(means[:, None] - means[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        i, j = sorted(divmod(int(distances.argmin()), len(clusters)))
        height = max(float(distances[i, j]), clusters[i][3], clusters[j][3])
        merged = (
            clusters[i][0] + clusters[j][0],
            clusters[i][1] + clusters[j][1],
            clusters[i][2] + clusters[j][2],
            height,
        )
        clusters = [cluster for index, cluster in enumerate(clusters) if index not in (i, j)] + [merged]
        if height <= threshold:
            whole.append(merged[0])
    labels = np.arange(len(points))
    for members in whole:
        labels[members] = members[0]
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def mixed_rows(seed: int, n: int, people: int = 4, dimension: int = 12, spread: float = 0.9) -> Array:
    generator = np.random.default_rng(seed)
    return voices(generator.integers(0, people, n), dimension, spread, seed)


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(2, 40), st.sampled_from([0.3, 0.45, 0.6, 0.8, 1.1]))
def test_exact_is_scipys_cut_and_the_naive_one(seed: int, n: int, threshold: float) -> None:
    rows = mixed_rows(seed, n)
    unit_rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    labels = ahc.exact(rows, threshold)
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))
    assert same_partition(labels, fcluster(linkage(unit_rows, "centroid"), threshold, "distance"))
    assert same_partition(labels, naive_cut(unit_rows.astype(np.float64), np.ones(n), threshold))


@settings(deadline=None, max_examples=200)
@given(seeds, st.integers(2, 60), st.integers(1, 4), st.booleans(), st.floats(0, 2))
def test_a_cut_numbers_clusters_as_scipy_does(seed: int, n: int, dimension: int, coarse: bool, share: float) -> None:
    """With ties, inversions, and thresholds that are the height of a merge."""
    generator = np.random.default_rng(seed)
    points = generator.standard_normal((n, dimension))
    tree = linkage(pdist(np.round(points) if coarse else points), "centroid")
    for threshold in (share, float(generator.choice(tree[:, 2]))):
        assert (ahc.cut(tree, threshold) + 1).tolist() == fcluster(tree, threshold, "distance").tolist()


def test_inversions_are_cut_on_the_highest_merge_beneath() -> None:
    # an equilateral triangle: the third point is nearer to the middle of the first two than they were to each other
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]]) * 0.2
    triangle[2] *= 1.0001
    tree = ahc.weighted_centroid_linkage(triangle, np.ones(3))
    assert tree[1, 2] < tree[0, 2], "this example must have an inversion"
    between = (tree[0, 2] + tree[1, 2]) / 2
    # stopping at the first merge above the threshold, or cutting at a node's own height, would join all three
    assert ahc.merge_centroids(triangle, np.ones(3), between).tolist() == [0, 1, 2]
    assert ahc.merge_centroids(triangle, np.ones(3), 1.001 * tree[0, 2]).max() == 0


def test_inversions_happen_in_the_random_examples() -> None:
    rows = unit(mixed_rows(5, 60).astype(np.float64))
    heights = ahc.weighted_centroid_linkage(rows, np.ones(60))[:, 2]
    assert (np.diff(heights) < -1e-9).any()
    for threshold in np.quantile(heights, [0.2, 0.5, 0.8, 0.95]):
        assert same_partition(ahc.exact(rows, float(threshold)), naive_cut(rows, np.ones(60), float(threshold)))


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(2, 60))
def test_linkage_of_unit_weights_is_scipys(seed: int, n: int) -> None:
    rows = unit(mixed_rows(seed, n).astype(np.float64))
    ours, theirs = ahc.weighted_centroid_linkage(rows, np.ones(n)), linkage(rows, "centroid")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(2, 20), st.sampled_from([0.3, 0.6, 0.9]))
def test_integer_weights_are_repeated_points(seed: int, n: int, threshold: float) -> None:
    rows = unit(mixed_rows(seed, n).astype(np.float64))
    times = np.random.default_rng(seed).integers(1, 6, n)
    ours = ahc.merge_centroids(rows, times.astype(np.float64), threshold)
    repeated = np.repeat(np.arange(n), times)
    theirs = fcluster(linkage(rows[repeated], "centroid"), threshold, "distance")
    assert same_partition(ours[repeated], theirs)
    assert same_partition(ours, naive_cut(rows, times.astype(np.float64), threshold))
    # the merges of copies have height 0; those after them are the weighted ones
    heights = linkage(rows[repeated], "centroid")[-(n - 1) :, 2]
    np.testing.assert_allclose(
        np.sort(ahc.weighted_centroid_linkage(rows, times.astype(np.float64))[:, 2]), np.sort(heights), atol=1e-7
    )


def test_one_item_zeros_and_equal_items() -> None:
    one = np.ones((1, 8), np.float32)
    assert ahc.exact(one, 0.6).tolist() == [0]
    assert ahc.bounded(one, 0.6, 2).tolist() == [0]
    assert ahc.merge_centroids(one, np.ones(1), 0.6).tolist() == [0]
    assert ahc.exact(np.repeat(one, 5, axis=0), 0.6).tolist() == [0] * 5
    assert ahc.bounded(np.repeat(one, 50, axis=0), 0.6, 4).tolist() == [0] * 50
    # zeros have no direction; they keep to themselves instead of failing
    rows = np.concatenate([np.zeros((2, 8), np.float32), one])
    assert same_partition(ahc.exact(rows, 0.6), np.array([0, 0, 1]))
    assert same_partition(ahc.bounded(np.repeat(rows, 4, axis=0), 0.6, 5), np.repeat([0, 0, 1], 4))


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 6), st.integers(2, 300), st.integers(2, 50))
def test_bounded_equals_exact_on_clear_voices(seed: int, people: int, n: int, block: int) -> None:
    who = np.random.default_rng(seed).integers(0, people, n)
    rows = voices(who, spread=0.3, seed=seed)
    if block // 4 < people:  # a block keeps a quarter of its items: too few for everybody
        block = 4 * people
    labels = ahc.bounded(rows, 0.6, block)
    assert same_partition(labels, ahc.exact(rows, 0.6))
    assert same_partition(labels, who)
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))


def test_bounded_gives_a_limited_number_of_clusters_and_uses_all_items() -> None:
    rows = np.random.default_rng(0).standard_normal((1500, 64)).astype(np.float32)  # nobody resembles anybody
    assert ahc.exact(rows, 0.6).max() + 1 > 1400
    labels = ahc.bounded(rows, 0.6, 600)
    assert labels.shape == (1500,)
    assert labels.max() + 1 == ahc.MOST_CLUSTERS == len(set(labels.tolist()))


def test_bounded_gives_the_left_over_to_the_nearest_heavy_cluster() -> None:
    turn = np.deg2rad([0, 0, 0, 90, 90, 90, 40, 50])
    rows = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    labels = ahc.bounded(rows, 0.1, 8)
    assert labels.max() == 3  # within one block and below the limit: as exact
    part, centroids, masses = ahc._heaviest(labels, rows, np.ones(8), 2)
    assert part.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert masses.tolist() == [4, 4]
    np.testing.assert_allclose(centroids[0], rows[[0, 1, 2, 6]].mean(axis=0))


def final_speakers(plda: Plda, rows: Array, start: I64) -> I64:
    found = vbx(
        plda.transform(rows), plda.phi, start_from(start, 7.0), Fa=0.07, Fb=0.8, max_iterations=20, epsilon=1e-4
    )
    return np.asarray(found.gamma[:, found.pi > 1e-7].argmax(axis=1), np.int64)


@pytest.mark.parametrize("within", [0.7, 1.0, 1.1])
def test_bounded_ends_at_the_speakers_of_exact_on_voices_drawn_from_a_plda(within: float) -> None:
    plda = toy_plda(64, 32)
    who = np.repeat(np.random.default_rng(8).integers(0, 4, 200), 4)
    rows = drawn(plda, who, seed=9, within=within, rest=0.5)
    exact, bounded = ahc.exact(rows, 0.6), ahc.bounded(rows, 0.6, 200)
    assert adjusted_rand(exact, bounded) > 0.95
    assert same_partition(final_speakers(plda, rows, exact), final_speakers(plda, rows, bounded))
    assert same_partition(final_speakers(plda, rows, bounded), who)


def test_golden_start(shared: Path) -> None:
    golden = np.load(shared / "golden" / "two_speakers.npz")
    rows, clusters = golden["train_embeddings"], golden["ahc_clusters"]
    assert same_partition(ahc.exact(rows, 0.6), clusters)
    assert same_partition(ahc.bounded(rows, 0.6, 8), clusters)


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 80), st.floats(0.2, 1.5))
def test_the_quick_form_is_the_exact_one(seed: int, n: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((4, 16))[generator.integers(0, 4, n)] + 0.3 * generator.standard_normal((n, 16))
    np.testing.assert_array_equal(ahc.quick(rows, threshold), ahc.exact(rows, threshold))


def test_the_quick_form_takes_equal_and_silent_items() -> None:
    rows = np.repeat([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], 3, axis=0)
    assert ahc.quick(rows, 0.6).tolist() == ahc.exact(rows, 0.6).tolist()


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 30))
def test_first_merges_leave_the_number_asked_for(seed: int, n: int) -> None:
    rows = unit(mixed_rows(seed, n).astype(np.float64))
    tree = ahc.weighted_centroid_linkage(rows, np.ones(n))
    before: I64 | None = None
    for clusters in range(n, 0, -1):
        labels = ahc.first_merges(tree, n, clusters)
        assert labels.max() + 1 == clusters
        if before is not None:  # one more merge: two clusters of before became one
            assert len(set(zip(before.tolist(), labels.tolist(), strict=True))) == clusters + 1
        before = labels
