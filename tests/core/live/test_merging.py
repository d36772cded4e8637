from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.arrays import F64, I64
from speakrs_stream.core.live.merging import merge_to
from tests.checks import same_partition


def nearest_by_hand(points: F64, weights: F64, clusters: int) -> I64:
    """Merge the two nearest weighted means again and again."""
    groups = [[index] for index in range(len(points))]
    while len(groups) > clusters:
        means = [np.average(points[group], axis=0, weights=weights[group]) for group in groups]
        pairs = [(np.linalg.norm(means[a] - means[b]), a, b) for a in range(len(groups)) for b in range(a)]
        _, a, b = min(pairs)
        groups[b] += groups.pop(a)
    labels = np.zeros(len(points), np.int64)
    for number, group in enumerate(groups):
        labels[group] = number
    return labels


@pytest.mark.parametrize("seed", range(30))
def test_the_nearest_are_merged_first(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 14))
    points, weights = generator.standard_normal((count, 3)), generator.uniform(0.5, 9, count)
    for clusters in range(1, count + 2):
        labels = merge_to(points, weights, clusters)
        assert sorted(set(labels.tolist())) == list(range(min(clusters, count)))
        assert same_partition(labels, nearest_by_hand(points, weights, clusters))


def test_equal_points_come_together() -> None:
    assert merge_to(np.ones((5, 2)), np.ones(5), 1).tolist() == [0] * 5
    assert len(set(merge_to(np.ones((5, 2)), np.ones(5), 3).tolist())) == 3
