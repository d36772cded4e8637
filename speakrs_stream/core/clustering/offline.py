"""One clustering over everything heard: agglomerative start, PLDA, VBx, centroids, assignment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F32, F64, I64, Array
from speakrs_stream.core.clustering import ahc, assignment
from speakrs_stream.core.clustering.kmeans import kmeans
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.clustering.vbx import Vbx, holding, start_from, vbx
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.history import History, training_items


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Who is who in every window, and how that was found."""

    labels: I64
    """(windows, 3) cluster of each local speaker; UNASSIGNED for nobody."""
    centroids: F64
    """(K, D) mean raw embedding of each cluster; a row of NaN where nothing was clean enough."""
    windows: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) window of each training embedding."""
    locals: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) local speaker of each training embedding."""
    start: I64 | None = None
    """(N,) agglomerative labels, None where fewer than two training embeddings exist."""
    features: F64 | None = None
    """(N, d) training embeddings in PLDA space."""
    vbx: Vbx | None = None
    """What VBx found."""


def cluster(history: History, plda: Plda, config: ClusteringConfig, bounds: SpeakerBounds | None = None) -> Clustering:
    """Cluster all embeddings of `history`; deterministic."""
    bounds = bounds or SpeakerBounds()
    windows, locals_ = training_items(history, config.min_clean_ratio)
    active = np.asarray(history.active) > 0
    training: F32 = history.embeddings[windows, locals_]
    if len(training) < 2:
        # too little clean speech to tell voices apart: one speaker, as pyannote decides
        centroid = training.astype(np.float64).mean(axis=0, keepdims=True) if len(training) else None
        none = np.full((1, history.dimension), np.nan)
        labels = np.where(active, 0, UNASSIGNED).astype(np.int64)
        return Clustering(labels, none if centroid is None else centroid, windows, locals_)
    if len(training) <= config.exact_items:
        start = ahc.exact(training, config.threshold)
    else:
        start = ahc.bounded(training, config.threshold, config.block_items)
    features = plda.transform(training)
    found = vbx(
        features,
        plda.phi,
        start_from(start, config.init_smoothing),
        Fa=config.Fa,
        Fb=config.Fb,
        max_iterations=config.max_iterations,
        epsilon=config.epsilon,
    )
    centroids, free = _centroids(training, found, config, bounds)
    assign = assignment.unconstrained if free else assignment.constrained
    labels = assign(assignment.scores(history.embeddings, centroids), active)
    return Clustering(labels, centroids, windows, locals_, start, features, found)


def _centroids(training: Array, found: Vbx, config: ClusteringConfig, bounds: SpeakerBounds) -> tuple[F64, bool]:
    """Mean embedding of each kept speaker, and whether a count was forced (which frees the assignment)."""
    x = training.astype(np.float64)
    kept = holding(found.pi, config.keep_prior)
    wanted = min(bounds.clamp(int(kept.sum())), len(x))
    if wanted != kept.sum():
        labels = kmeans(x, wanted)
        return np.stack([x[labels == k].mean(axis=0) for k in np.unique(labels)]), True
    gamma = found.gamma[:, kept]
    return (gamma.T @ x) / np.maximum(gamma.sum(axis=0)[:, None], 1e-8), False
