"""Agglomerative start: centroid linkage on unit vectors, cut at a distance.

Exact up to some thousand items with SciPy. Centroid linkage has inversions (a merge may be lower than one beneath
it); SciPy's `distance` criterion cuts on the highest merge inside each subtree, which this relies on. Beyond the
limit the exact form would need quadratic memory, so items are first clustered block by block in time order, and the
blocks' clusters, weighted by their size, are then merged by the same rule.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering.plda import unit


def exact(embeddings: Array, threshold: float) -> I64:
    """Cluster numbers 0… of embeddings (n, D), n >= 1, by SciPy's centroid linkage cut at `threshold`."""
    if len(embeddings) == 1:
        return np.zeros(1, np.int64)
    # float32 normalisation, then float64 linkage: the order pyannote computes in
    x = np.asarray(embeddings, np.float32)
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    return _cut(linkage(rows, "centroid", "euclidean"), threshold)


def _cut(tree: F64, threshold: float) -> I64:
    labels = fcluster(tree, threshold, "distance")
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def weighted_centroid_linkage(points: F64, weights: F64) -> F64:
    """SciPy-style linkage (m - 1, 4) of weighted points (m, D): every merge joins the two nearest centroids.

    The Lance-Williams update for centroid linkage with cluster masses; O(m^2) memory, O(m^2) to O(m^3) time.
    """
    m = len(points)
    squared = np.maximum(((points[:, None] - points[None]) ** 2).sum(-1) if m <= 512 else _squared(points), 0.0)
    np.fill_diagonal(squared, np.inf)
    mass = weights.astype(np.float64).copy()
    identity = np.arange(m)
    size = np.ones(m, np.int64)
    tree = np.zeros((m - 1, 4))
    nearest = squared.argmin(axis=1)
    lowest = squared[np.arange(m), nearest]
    for merge in range(m - 1):
        i = int(lowest.argmin())
        j = int(nearest[i])
        low, high = sorted((int(identity[i]), int(identity[j])))
        tree[merge] = low, high, np.sqrt(max(squared[i, j], 0.0)), size[i] + size[j]
        total = mass[i] + mass[j]
        p, q = mass[i] / total, mass[j] / total
        row = np.maximum(p * squared[i] + q * squared[j] - p * q * squared[i, j], 0.0)
        row[~np.isfinite(squared[i]) | ~np.isfinite(squared[j])] = np.inf
        row[[i, j]] = np.inf
        squared[i], squared[:, i] = row, row
        squared[j], squared[:, j] = np.inf, np.inf
        mass[i], size[i], identity[i] = total, size[i] + size[j], m + merge
        lowest[j] = np.inf
        closer = row < lowest
        nearest[closer], lowest[closer] = i, row[closer]
        stale = np.flatnonzero(((nearest == i) | (nearest == j)) & np.isfinite(lowest) & ~closer)
        for k in {*stale.tolist(), i}:
            nearest[k] = squared[k].argmin()
            lowest[k] = squared[k, nearest[k]]
    return tree


def _squared(points: F64) -> F64:
    norms = (points**2).sum(axis=1)
    return np.asarray(norms[:, None] + norms[None] - 2 * points @ points.T)


def bounded(embeddings: Array, threshold: float, block: int) -> I64:
    """Cluster numbers 0… of embeddings (n, D) with memory bounded by `block` items at a time."""
    n = len(embeddings)
    edges = [*range(0, n, block), n]
    if len(edges) > 2 and edges[-1] - edges[-2] < block // 4:
        del edges[-2]
    labels = np.empty(n, np.int64)
    means: list[F64] = []
    masses: list[F64] = []
    count = 0
    for start, end in pairwise(edges):
        part = exact(embeddings[start:end], threshold)
        rows = unit(np.asarray(embeddings[start:end], np.float64))
        sizes = np.bincount(part)
        sums = np.zeros((len(sizes), rows.shape[1]))
        np.add.at(sums, part, rows)
        means.append(sums / sizes[:, None])
        masses.append(sizes.astype(np.float64))
        labels[start:end] = part + count
        count += len(sizes)
    merged = merge_centroids(np.concatenate(means), np.concatenate(masses), threshold)
    return np.asarray(merged[labels], np.int64)


def merge_centroids(points: F64, weights: F64, threshold: float) -> I64:
    """Cluster numbers 0… of weighted points (m, D) by centroid linkage cut at `threshold`."""
    if len(points) == 1:
        return np.zeros(1, np.int64)
    return _cut(weighted_centroid_linkage(points, weights), threshold)


def first_merges(tree: F64, leaves: int, clusters: int) -> I64:
    """Labels after the first `leaves - clusters` merges of a linkage tree, in the order they were made."""
    parent = list(range(2 * leaves - 1))
    for merge in range(leaves - clusters):
        parent[int(tree[merge, 0])] = parent[int(tree[merge, 1])] = leaves + merge

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    return np.asarray(np.unique([root(leaf) for leaf in range(leaves)], return_inverse=True)[1], np.int64)
