"""Agglomerative start: centroid linkage on unit vectors, cut at a distance.

Exact up to some thousand items with SciPy. Centroid linkage has inversions (a merge may be lower than one beneath
it); SciPy's `distance` criterion cuts on the highest merge inside each subtree, which this relies on. Beyond the
limit the exact form would need quadratic memory, so items are first clustered block by block in time order, and the
blocks' clusters, weighted by their size, are then merged by the same rule (docs/adr/0007).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist, squareform

from speakrs_stream.core.arrays import F32, F64, I64, Array
from speakrs_stream.core.clustering.plda import unit

MOST_CLUSTERS = 100
"""Clusters the bounded start gives at most; VBx only ever removes clusters, and each costs it memory and time."""


def exact(embeddings: Array, threshold: float) -> I64:
    """Cluster numbers 0… of embeddings (n, D), n >= 1, by SciPy's centroid linkage cut at `threshold`."""
    return _cluster_rows(_unit(embeddings), threshold)


def quick(embeddings: Array, threshold: float) -> I64:
    """Like `exact`, with distances from inner products: a third of the time, and equal but for rounding (1e-7)."""
    if len(embeddings) == 1:
        return np.zeros(1, np.int64)
    rows = unit(np.asarray(embeddings, np.float64))
    inner = rows @ rows.T
    if not inner.diagonal().all():  # as far from anybody of length 1 as they are
        absent = 0.5 * (inner.diagonal() == 0)
        inner += absent
        inner += absent[:, None]
    distances = squareform(inner, checks=False)
    distances *= -2.0
    distances += 2.0  # of rows of length 1
    np.maximum(distances, 0.0, out=distances)
    return cut(linkage(np.sqrt(distances, out=distances), "centroid"), threshold)


def _unit(embeddings: Array) -> F32:
    # float32 normalisation, then float64 linkage: the order pyannote computes in. Zeros stay zero.
    x = np.asarray(embeddings, np.float32)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms == 0, np.float32(1), norms), np.float32)


def _cluster_rows(rows: Array, threshold: float) -> I64:
    if len(rows) == 1:
        return np.zeros(1, np.int64)
    return cut(linkage(rows, "centroid", "euclidean"), threshold)


def cut(tree: F64, threshold: float) -> I64:
    """Labels (leaves,): those of SciPy's fcluster with criterion `distance`, from 0, in half of its time or less."""
    leaves = len(tree) + 1
    children: list[tuple[int, int]] = list(zip(*tree[:, :2].T.astype(int).tolist(), strict=True))
    highest = [0.0] * leaves  # merge within each node
    for (left, right), height in zip(children, tree[:, 2].tolist(), strict=True):
        highest.append(max(height, highest[left], highest[right]))
    labels = [-1] * len(highest)
    found, waiting = 0, [len(highest) - 1]
    while waiting:
        node = waiting.pop()
        if node < leaves or highest[node] <= threshold:
            labels[node] = found
            found += 1
        else:  # single leaves are numbered after what is merged, otherwise left before right
            left, right = children[node - leaves]
            waiting += sorted((right, left), key=lambda child: child >= leaves)
    for node in range(len(highest) - 1, leaves - 1, -1):
        if labels[node] >= 0:
            left, right = children[node - leaves]
            labels[left] = labels[right] = labels[node]
    return np.array(labels[:leaves])


def weighted_centroid_linkage(points: Array, weights: F64) -> F64:
    """SciPy-style linkage (m - 1, 4) of weighted points (m, D): every merge joins the two nearest centroids.

    The Lance-Williams update for centroid linkage with cluster masses; O(m^2) memory, O(m^2) to O(m^3) time.
    """
    m = len(points)
    squared = cdist(points, points, "sqeuclidean")
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


def bounded(embeddings: Array, threshold: float, block: int) -> I64:
    """Cluster numbers 0… of embeddings (n, D), n >= 1, in memory bounded by `block` (>= 2) items at a time.

    Up to `block` items at once are clustered, and replaced by their clusters' centroids with their masses, until one
    block holds all of them. A block that falls apart into more than a quarter of its items keeps the heaviest
    clusters, and the others' items go to the nearest of these; at the end `MOST_CLUSTERS` are kept the same way.
    """
    points: Array = _unit(embeddings)
    weights = np.ones(len(points))
    labels = np.arange(len(points))
    while len(points) > block:
        parts, means, masses = [], [], []
        count = 0
        single = len(points) == len(labels)  # still items: SciPy is faster
        edges = np.linspace(0, len(points), -(-len(points) // block) + 1).astype(int).tolist()
        for start, end in pairwise(edges):
            rows, mass = points[start:end], weights[start:end]
            part = _cluster_rows(rows, threshold) if single else merge_centroids(rows, mass, threshold)
            part, centroids, sizes = _heaviest(part, rows, mass, max(1, block // 4))
            parts.append(part + count)
            means.append(centroids)
            masses.append(sizes)
            count += len(sizes)
        labels = np.concatenate(parts)[labels]
        points, weights = np.concatenate(means), np.concatenate(masses)
    part, _, _ = _heaviest(merge_centroids(points, weights, threshold), points, weights, MOST_CLUSTERS)
    return np.asarray(part[labels], np.int64)


def _heaviest(part: I64, points: Array, weights: F64, limit: int) -> tuple[I64, F64, F64]:
    """At most `limit` clusters: the heaviest; the points of the others go to the nearest of these.

    Returns cluster numbers (m,), centroids (K, D) and masses (K,).
    """
    masses = np.bincount(part, weights)
    if len(masses) > limit:
        kept = np.sort(np.argsort(-masses, kind="stable")[:limit])
        centroids = _centroids(part, points, weights)
        target = cdist(centroids, centroids[kept], "sqeuclidean").argmin(axis=1)
        target[kept] = np.arange(limit)
        part = np.asarray(target[part], np.int64)
    return part, _centroids(part, points, weights), np.asarray(np.bincount(part, weights), np.float64)


def _centroids(part: I64, points: Array, weights: F64) -> F64:
    sums = np.zeros((int(part.max()) + 1, points.shape[1]))
    np.add.at(sums, part, points * weights[:, None])
    return np.asarray(sums / np.bincount(part, weights)[:, None])


def merge_centroids(points: Array, weights: F64, threshold: float) -> I64:
    """Cluster numbers 0… of weighted points (m, D), m >= 1, by centroid linkage cut at `threshold`."""
    if len(points) == 1:
        return np.zeros(1, np.int64)
    return cut(weighted_centroid_linkage(points, weights), threshold)


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
