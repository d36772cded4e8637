"""Weighted groups merged until a given number is left."""

from __future__ import annotations

import numpy as np

from speakrs_stream.core.arrays import F64, I64
from speakrs_stream.core.clustering.ahc import first_merges, weighted_centroid_linkage


def merge_to(points: F64, weights: F64, clusters: int) -> I64:
    """Labels 0… of weighted points (n, D) after merging the nearest centroids until `clusters` remain."""
    leaves = len(points)
    if leaves <= clusters:
        return np.arange(leaves)
    return first_merges(weighted_centroid_linkage(points, weights), leaves, clusters)
