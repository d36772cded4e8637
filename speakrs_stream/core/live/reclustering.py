"""Everything remembered, clustered again: agglomerative start and VBx over weighted items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from speakrs_stream.core.arrays import F64, I64
from speakrs_stream.core.clustering import ahc
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.clustering.vbx import holding, start_from, vbx
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.live.memory import Items
from speakrs_stream.core.live.merging import merge_to

DROP_AFTER = (2, 4)
"""Iterations of VBx after which empty clusters are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What one re-clustering found."""

    labels: I64
    """(items,) cluster of each item."""
    centroids: F64
    """(clusters, D) weighted mean raw embedding."""


def recluster(items: Items, phi: F64, config: ClusteringConfig, bounds: SpeakerBounds) -> Clusters:
    """Cluster at least one item; the cost depends on the number of rows only, not on what they weigh."""
    if len(items) == 1:
        return Clusters(np.zeros(1, np.int64), items.raw.copy())
    # The start has many small clusters, of which the first iterations take nearly everything: those that are empty
    # then stay empty, and are left out of the further ones.
    found = vbx(
        items.features,
        phi,
        start_from(ahc.quick(items.raw, config.threshold), config.init_smoothing),
        Fa=config.Fa,
        Fb=config.Fb,
        max_iterations=config.max_iterations,
        epsilon=config.epsilon,
        weights=items.weight,
        drop_after=DROP_AFTER,
        keep_prior=config.keep_prior,
    )
    gamma = found.gamma[:, holding(found.pi, config.keep_prior)]
    labels = _bounded(items, np.unique(gamma.argmax(axis=1), return_inverse=True)[1], bounds)
    return Clusters(labels, means(items, labels))


def means(items: Items, labels: I64) -> F64:
    """Weighted mean raw embedding of each cluster 0…, (clusters, D)."""
    share = (labels == np.arange(int(labels.max()) + 1)[:, None]) * items.weight
    return np.asarray((share @ items.raw) / share.sum(axis=1, keepdims=True))


def _bounded(items: Items, labels: I64, bounds: SpeakerBounds) -> I64:
    """The same labels, or others where their number is outside the hint."""
    count = int(labels.max()) + 1
    wanted = min(bounds.clamp(count), len(items))
    if wanted < count:
        weight = np.asarray(np.bincount(labels, items.weight), np.float64)
        return np.asarray(merge_to(unit(means(items, labels)), weight, wanted)[labels], np.int64)
    if wanted > count:
        tree = linkage(unit(items.raw), "average", "euclidean")
        forced = fcluster(tree, wanted, "maxclust")
        return np.asarray(np.unique(forced, return_inverse=True)[1], np.int64)
    return np.asarray(labels, np.int64)
