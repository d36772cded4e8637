"""A given number of speakers: K-means on unit vectors when VBx found another number."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import ClusterError, kmeans2

from speakrs_stream.core.arrays import I64, Array
from speakrs_stream.core.clustering.plda import unit

TRIES = 5
SEED = 42


def kmeans(embeddings: Array, count: int) -> I64:
    """Cluster numbers of embeddings (n, D), n >= count: the best of five seeded k-means++ starts.

    Fewer than `count` clusters come back only where fewer embeddings differ.
    """
    rows = unit(np.asarray(embeddings, np.float64))
    best: I64 | None = None
    lowest = np.inf
    for attempt in range(TRIES):
        generator = np.random.default_rng(SEED + attempt)
        try:
            centres, labels = kmeans2(rows, count, iter=100, minit="++", missing="raise", rng=generator)
        except ClusterError:  # a cluster ran empty: this start was a bad one
            continue
        inertia = float(((rows - centres[labels]) ** 2).sum())
        if inertia < lowest:
            best, lowest = np.asarray(labels, np.int64), inertia
    if best is None:
        best = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1) % count
    return best
