"""Which speaker each local speaker of each window is."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering.plda import unit

BLOCK = 4096
"""Windows whose embeddings are held in double precision at once."""


def scores(embeddings: Array, centroids: Array) -> F64:
    """1 + cosine similarity, 0 to 2: (windows, 3, D) against (K, D) -> (windows, 3, K).

    NaN for an embedding that is not finite throughout.
    """
    directions = unit(np.asarray(centroids, np.float64))
    out = np.empty((*embeddings.shape[:2], len(directions)))
    for first in range(0, len(embeddings), BLOCK):
        rows = np.array(embeddings[first : first + BLOCK], np.float64)
        rows[~np.isfinite(rows).all(axis=2)] = np.nan
        out[first : first + BLOCK] = 1.0 + unit(rows) @ directions.T
    return out


def constrained(score: F64, active: Array) -> I64:
    """Different local speakers of a window get different clusters, so that the sum of scores is largest.

    score: (windows, 3, K), NaN allowed; active: (windows, 3) bool. Returns (windows, 3) cluster numbers, UNASSIGNED
    for the inactive and for those left over when more speak than there are clusters. Missing scores count as the
    smallest one seen, as in pyannote.
    """
    known = np.isfinite(score)
    if not known.all():
        low = float(score.min(where=known, initial=np.inf))
        score = np.where(known, score, low if low < np.inf else 0.0)
    return best(score, np.asarray(active, bool))


def best(score: F64, active: Array) -> I64:
    """`constrained` of scores that are all there."""
    # where every active row has its own best cluster, that is the optimum: no solver needed
    out = np.where(active, score.argmax(axis=2), -1 - np.arange(active.shape[1]))
    hardest = [window for window, row in enumerate(out.tolist()) if len(set(row)) < len(row)]
    low = float(score.min()) - 1.0 if hardest else 0.0
    for window in hardest:
        filled = np.where(active[window][:, None], score[window], low)
        rows, columns = linear_sum_assignment(filled, maximize=True)
        out[window] = UNASSIGNED
        out[window, rows] = columns
    out[~active] = UNASSIGNED
    return out


def unconstrained(score: F64, active: Array) -> I64:
    """Each local speaker gets its best cluster, even if two share it; shapes as `constrained`."""
    finite = score[np.isfinite(score)]
    filled = np.where(np.isfinite(score), score, float(finite.min()) if len(finite) else 0.0)
    return np.where(active, filled.argmax(axis=2), UNASSIGNED)
