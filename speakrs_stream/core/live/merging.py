"""Weighted groups merged until a given number is left."""

from __future__ import annotations

import numpy as np

from speakrs_stream.core.arrays import F64, I64
from speakrs_stream.core.clustering.ahc import weighted_centroid_linkage


def merge_to(points: F64, weights: F64, clusters: int) -> I64:
    """Labels 0… of weighted points (n, D) after merging the nearest centroids until `clusters` remain."""
    leaves = len(points)
    if leaves <= clusters:
        return np.arange(leaves)
    tree = weighted_centroid_linkage(points, weights)
    parent = list(range(2 * leaves - 1))
    for merge in range(leaves - clusters):
        parent[int(tree[merge, 0])] = parent[int(tree[merge, 1])] = leaves + merge

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    return np.asarray(np.unique([root(leaf) for leaf in range(leaves)], return_inverse=True)[1], np.int64)
