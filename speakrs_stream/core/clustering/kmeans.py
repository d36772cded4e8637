"""A given number of speakers: K-means on unit vectors when VBx found another number.

Lloyd's iterations from k-means++ starts (Arthur & Vassilvitskii 2007), as scikit-learn does it for pyannote.
"""

from __future__ import annotations

import numpy as np

from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering.plda import unit

TRIES = 3
MOST_ITERATIONS = 300
TOLERANCE = 1e-4
"""Squared movement of the centres, as a share of the rows' variance, below which they stand still."""
SEED = 42
SAME = 1e-12
"""Squared distance up to which two unit vectors count as equal."""


def kmeans(embeddings: Array, count: int) -> I64:
    """Cluster numbers 0… of embeddings (n, D), n >= count: the best of three seeded k-means++ starts.

    Fewer than `count` clusters come back only where fewer embeddings differ.
    """
    rows = unit(np.asarray(embeddings, np.float64))
    tries = [_lloyd(rows, _start(rows, count, np.random.default_rng(SEED + number))) for number in range(TRIES)]
    labels, _ = min(tries, key=lambda found: found[1])
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _squared(rows: F64, centres: F64) -> F64:
    """Squared distances (n, K) of rows of length 1; rows of zeros, if any, get all of theirs larger by 1."""
    return np.asarray(np.maximum(1.0 - 2.0 * (rows @ centres.T) + (centres**2).sum(axis=1), 0.0))


def _start(rows: F64, count: int, generator: np.random.Generator) -> F64:
    """k-means++: the next centre is drawn with odds that grow with the squared distance to those before.

    Of a few candidates the one that leaves the smallest distances is taken (the greedy variant).
    """
    chosen = [int(generator.integers(len(rows)))]
    nearest = _squared(rows, rows[chosen])[:, 0]
    candidates = 2 + int(np.log(count))
    while len(chosen) < count:
        total = nearest.sum()
        drawn = generator.choice(len(rows), candidates, p=nearest / total if total > 0 else None)
        left = np.minimum(nearest[:, None], _squared(rows, rows[drawn]))  # (n, candidates)
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = left[:, best]
    return rows[chosen]


def _lloyd(rows: F64, centres: F64, most: int = MOST_ITERATIONS) -> tuple[I64, float]:
    """Labels (n,) and the sum of squared distances once the centres hardly move any more, or after `most` rounds."""
    still = TOLERANCE * float(rows.var(axis=0).mean())
    for _ in range(most):
        squared = _squared(rows, centres)
        labels = np.asarray(squared.argmin(axis=1), np.int64)
        nearest = squared[np.arange(len(rows)), labels]
        _fill_empty(labels, nearest, len(centres))
        members = (labels == np.arange(len(centres))[:, None]).astype(np.float64)  # (K, n)
        before, centres = centres, (members @ rows) / np.maximum(members.sum(axis=1), 1.0)[:, None]
        if ((centres - before) ** 2).sum() <= still:
            break
    return labels, float(nearest.sum())


def _fill_empty(labels: I64, nearest: F64, count: int) -> None:
    """Give each empty cluster the row that lies farthest from its centre; changes `labels` and `nearest`."""
    sizes = np.bincount(labels, minlength=count)
    for empty in np.flatnonzero(sizes == 0):
        farthest = int(np.where(sizes[labels] > 1, nearest, -1.0).argmax())
        if nearest[farthest] <= SAME or sizes[labels[farthest]] < 2:
            return  # only equal rows are left
        sizes[labels[farthest]] -= 1
        sizes[empty] += 1
        labels[farthest], nearest[farthest] = empty, 0.0
