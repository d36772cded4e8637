"""Everything after the networks once more, as plainly as the specification puts it, sharing nothing with the core.

This is pyannote's behaviour (`parity`): speakers without a vote may be switched on.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from speakrs_stream.core.arrays import Array
from speakrs_stream.core.clustering.plda import Plda


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What pyannote would find."""

    count: Array
    """(T,) speakers at once."""
    labels: Array
    """(windows, 3) clusters, -2 for nobody."""
    matrix: Array
    """(T, K) of 0 and 1."""
    exclusive: Array
    """(T, K) with one speaker at most."""


def normalised(row: Array) -> Array:
    length = math.sqrt(sum(float(x) ** 2 for x in row))
    return np.array([float(x) / length for x in row])


def features(x: Array, plda: Plda) -> Array:
    rows = []
    for row in x:
        a = math.sqrt(plda.lda.shape[0]) * normalised(row.astype(float) - plda.mean1)
        c = math.sqrt(plda.lda.shape[1]) * normalised(a @ plda.lda - plda.mean2)
        rows.append(plda.tr @ (c - plda.mu))
    return np.array(rows)


def plain_vbx(
    y: Array,
    phi: Array,
    gamma: Array,
    Fa: float = 0.07,
    Fb: float = 0.8,
    iterations: int = 20,
    epsilon: float = 1e-4,
    weights: Array | None = None,
) -> tuple[Array, Array, list[float]]:
    """Responsibilities, priors and bounds after each iteration, one speaker and one item at a time."""
    items, speakers = gamma.shape
    weights = np.ones(items) if weights is None else weights
    gamma, pi = gamma.copy(), np.full(speakers, 1 / speakers)
    V = np.diag(np.sqrt(phi))
    bounds: list[float] = []
    for _ in range(iterations):
        likelihood = np.empty((items, speakers))
        prior_gain = 0.0
        for s in range(speakers):
            n = sum(weights[t] * gamma[t, s] for t in range(items))
            L = np.eye(len(phi)) + Fa / Fb * n * np.diag(phi)
            inverse = np.linalg.inv(L)
            first_order = sum((weights[t] * gamma[t, s] * (V @ y[t]) for t in range(items)), start=np.zeros(len(phi)))
            alpha = Fa / Fb * inverse @ first_order
            for t in range(items):
                constant = -0.5 * (y[t] @ y[t] + len(phi) * math.log(2 * math.pi))
                expected = alpha @ V @ y[t] - 0.5 * np.trace(np.diag(phi) @ (inverse + np.outer(alpha, alpha)))
                likelihood[t, s] = Fa * (constant + expected)
            _, logdet = np.linalg.slogdet(inverse)
            prior_gain += Fb / 2 * (logdet - np.trace(inverse) - alpha @ alpha + len(phi))
        bound = prior_gain
        for t in range(items):
            joint = [likelihood[t, s] + math.log(pi[s] + 1e-8) for s in range(speakers)]
            top = max(joint)
            total = top + math.log(sum(math.exp(x - top) for x in joint))
            gamma[t] = [math.exp(x - total) for x in joint]
            bound += weights[t] * total
        pi = np.array([sum(weights[t] * gamma[t, s] for t in range(items)) for s in range(speakers)])
        pi = pi / pi.sum()
        bounds.append(bound)
        if len(bounds) > 1 and bounds[-1] - bounds[-2] < epsilon:
            break
    return gamma, pi, bounds


def best_assignment(score: Array, active: Array) -> float:
    """Largest sum of scores (3, K) that the active local speakers of a window reach with different clusters."""
    rows = np.flatnonzero(active)
    many = min(len(rows), score.shape[1])
    return max(
        (
            sum(float(score[row, column]) for row, column in zip(chosen, columns, strict=True))
            for chosen in itertools.combinations(rows, many)
            for columns in itertools.permutations(range(score.shape[1]), many)
        ),
        default=0.0,
    )


def assign(score: Array, active: Array) -> list[int]:
    """One such assignment of one window; -2 for those left over."""
    rows = np.flatnonzero(active).tolist()
    many = min(len(rows), score.shape[1])
    best, found = -math.inf, [-2] * len(active)
    for chosen in itertools.combinations(rows, many):
        for columns in itertools.permutations(range(score.shape[1]), many):
            total = sum(float(score[row, column]) for row, column in zip(chosen, columns, strict=True))
            if total > best:
                best, found = total, [-2] * len(active)
                for row, column in zip(chosen, columns, strict=True):
                    found[row] = column
    return found


def clusters(seg: Array, emb: Array, plda: Plda, threshold: float) -> tuple[Array, int]:
    """(windows, 3) labels and the number of clusters."""
    windows = len(seg)
    chosen = [
        (c, s)
        for c in range(windows)
        for s in range(3)
        if np.isfinite(emb[c, s]).all() and (seg[c, :, s] * (seg[c].sum(axis=1) == 1)).sum() >= 0.2 * 589
    ]
    labels = np.full((windows, 3), -2)
    if len(chosen) < 2:
        labels[:] = 0
        count = 1
    else:
        x = np.array([emb[c, s] for c, s in chosen], np.float32)
        tree = linkage(x / np.linalg.norm(x, axis=1, keepdims=True), "centroid")
        start = np.unique(fcluster(tree, threshold, "distance"), return_inverse=True)[1]
        one_hot = np.exp(7.0 * (start[:, None] == np.arange(start.max() + 1)))
        gamma, pi, _ = plain_vbx(features(x, plda), plda.psi, one_hot / one_hot.sum(axis=1, keepdims=True))
        kept = np.flatnonzero(pi > 1e-7)
        count = len(kept)
        centroids = [sum(gamma[t, k] * x[t].astype(float) for t in range(len(x))) / gamma[:, k].sum() for k in kept]
        score = np.array(
            [[[1 + normalised(emb[c, s]) @ normalised(m) for m in centroids] for s in range(3)] for c in range(windows)]
        )
        lowest = np.nanmin(score) if np.isfinite(score).any() else 0.0
        score = np.where(np.isnan(score), lowest, score)
        for c in range(windows):
            labels[c] = assign(score[c], seg[c].any(axis=0))
    labels[~seg.any(axis=1)] = -2
    return labels, count


def reference(seg: Array, emb: Array, plda: Plda, step: int = 16_000, threshold: float = 0.6) -> Reference:
    """seg: (windows, 589, 3) of 0 and 1; emb: (windows, 3, D)."""
    windows = len(seg)
    starts = [round(c * step / 270) for c in range(windows)]
    total = round((160_000 + (windows - 1) * step) / 270) + 1
    sums, covers = np.zeros(total), np.zeros(total)
    for c, start in enumerate(starts):
        sums[start : start + 589] += seg[c].sum(axis=1)
        covers[start : start + 589] += 1
    count = np.array([round(sums[t] / max(covers[t], 1e-12)) for t in range(total)])
    labels, known = clusters(seg, emb, plda, threshold)
    if count.max() == 0:
        nobody = np.zeros((total, 0), int)
        return Reference(count, labels, nobody, nobody)
    width = max(known, int(count.max()))
    votes = np.zeros((total, width), int)
    for c, start in enumerate(starts):
        for k in range(known):
            mine = [seg[c, :, s] for s in range(3) if labels[c, s] == k]
            if mine:
                votes[start : start + 589, k] += np.max(mine, axis=0).astype(int)
    matrix, exclusive = np.zeros((total, width), int), np.zeros((total, width), int)
    for t in range(total):
        order = sorted(range(width), key=lambda k: -votes[t, k])  # sorted is stable: the lower cluster wins a tie
        matrix[t, order[: count[t]]] = 1
        exclusive[t, order[: min(count[t], 1)]] = 1
    return Reference(count, labels, matrix, exclusive)
