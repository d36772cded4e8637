"""From the clusters of one re-clustering to the numbers the stream has given out: an optimal, reluctant mapping.

Pure decisions: nothing here changes anything. A cluster and a speaker belong together by the seconds they share and
by the likeness of their voices; what the assignment leaves over is a newcomer, a split or a merge, and each of these
needs evidence or patience.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.arrays import F64
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.memory import Items
from speakrs_stream.core.live.people import Person
from speakrs_stream.core.live.reclustering import Clusters

LIKENESS = 2.0
"""Seconds of shared speech that a cosine similarity of 1 counts as."""

LEAST = 1e-6
"""Gain of a cluster and a speaker that share something, however unlike they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Which cluster is whom."""

    person: dict[int, int]
    """Cluster -> number, for clusters that are somebody known."""
    spare: dict[int, int]
    """Cluster without a number of its own -> the number most of it counted for so far, 0 for nobody."""
    lost: dict[int, int]
    """Number without a cluster of its own -> the number whose cluster holds most of it."""


def reconcile(clusters: Clusters, items: Items, people: list[Person]) -> Mapping:
    """Match clusters to people so that shared seconds plus likeness is largest."""
    count = len(clusters.centroids)
    if not people:
        return Mapping({}, dict.fromkeys(range(count), 0), {})
    held = (clusters.labels == np.arange(count)[:, None]) * items.weight  # (clusters, items)
    shared = held @ (items.speaker[:, None] == [person.number for person in people])
    likeness = unit(clusters.centroids) @ unit(np.stack([person.raw for person in people])).T
    # Only who shares something can be matched; a place spent on likeness alone would leave both sides without one.
    gain = np.where(shared > 0, np.maximum(shared + LIKENESS * likeness, LEAST), 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    matched = {int(r): people[c].number for r, c in zip(rows, columns, strict=True) if shared[r, c] > 0}
    spare = {
        cluster: people[int(shared[cluster].argmax())].number if shared[cluster].any() else 0
        for cluster in range(count)
        if cluster not in matched
    }
    lost = {}
    for index, person in enumerate(people):
        if person.number not in matched.values() and shared[:, index].any():
            home = int(shared[:, index].argmax())
            lost[person.number] = matched.get(home, spare.get(home, 0))
    return Mapping(matched, spare, lost)


def weights_of(clusters: Clusters, items: Items) -> F64:
    """Embeddings in each cluster, (clusters,)."""
    return np.asarray(np.bincount(clusters.labels, items.weight, len(clusters.centroids)), np.float64)
