"""Greedy constrained centroid matching as diart does it, in place of VBx, behind the same windows and turns.

Coria, Bredin, Ghannay, Rosset, "Overlap-aware low-latency online speaker diarization based on end-to-end local
segmentation", ASRU 2021. Nothing is ever corrected: every local speaker of a window goes to one centroid, different
ones within the window, by the assignment with the smallest sum of cosine distances; pairs at `delta_new` or beyond are
undone and the rest is assigned again. Whoever is left becomes a new centroid if it spoke for `rho_update` of the
window, else the nearest free one. A centroid is the sum of the unit embeddings of those who spoke long enough and were
matched to it. In the first window everybody becomes a centroid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.config import ClusteringConfig
from speakrs_stream.core.events import SpeakerCreated, SpeakerEvent
from speakrs_stream.core.grid import FRAMES_PER_WINDOW
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.identity import Heard, Identity
from speakrs_stream.core.powerset import LOCAL_SPEAKERS

RHO_UPDATE = 0.3
"""Share of the window a local speaker must speak to move or found a centroid."""
DELTA_NEW = 1.0
"""Cosine distance from which a voice is new, as published (for other embeddings than ours)."""
MAX_SPEAKERS = 20
"""Centroids at most."""


class Centroids:
    """The matching itself: windows in, centroid of every local speaker out."""

    def __init__(self, delta_new: float = DELTA_NEW) -> None:
        self.delta_new = delta_new
        self.sums: F64 | None = None
        """(centroids, D); None before the first window."""

    def __call__(self, embeddings: F64, active: Array, spoken: F64) -> I64:
        """Centroids (3,) of a window's local speakers; see `Matching`."""
        long = spoken >= RHO_UPDATE
        labels = np.full(len(embeddings), -1, np.int64)
        here = [int(local) for local in np.flatnonzero(active)]
        if self.sums is None:
            self.sums = embeddings[here].copy()
            labels[here] = np.arange(len(here))
            return labels
        distance = 1.0 - embeddings @ unit(self.sums).T
        kept = [local for local, centroid in _assigned(distance, here) if distance[local, centroid] < self.delta_new]
        matched = dict(_assigned(distance, kept))
        new: list[int] = []
        taken = set(matched.values())
        for local in (local for local in here if local not in kept):
            if long[local] and len(self.sums) + len(new) < MAX_SPEAKERS:
                new.append(local)
                continue
            free = [int(centroid) for centroid in np.argsort(distance[local]) if int(centroid) not in taken]
            if free:
                labels[local] = free[0]
                taken.add(free[0])
        for local, centroid in matched.items():
            labels[local] = centroid
            if long[local]:
                self.sums[centroid] += embeddings[local]
        labels[new] = len(self.sums) + np.arange(len(new))
        self.sums = np.concatenate([self.sums, embeddings[new]])
        return labels


def _assigned(distance: F64, local: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of local speaker and centroid with the smallest sum."""
    rows, columns = linear_sum_assignment(distance[list(local)])
    return [(local[int(row)], int(column)) for row, column in zip(rows, columns, strict=True)]


class Matching(Protocol):
    """Somebody's way to find the speakers of one window after the other."""

    def __call__(self, embeddings: F64, active: Array, spoken: F64) -> I64:
        """Centroids (3,) counted from 0 in the order they appeared, -1 for none.

        embeddings: (3, D) unit vectors; active: (3,) whether there is one; spoken: (3,) share of the window.
        """
        ...


class PeerIdentity(Identity):
    """An identity that only passes windows on to a matching and gives numbers to what it finds."""

    def __init__(self, live: LiveConfig, clustering: ClusteringConfig, plda: Plda, matching: Matching) -> None:
        super().__init__(live, clustering, plda)
        self._matching = matching

    def push(self, heard: Heard) -> tuple[I64, list[SpeakerEvent], bool]:
        """Numbers of a window's local speakers; see `Identity.push`. Nothing is known before the first whole window."""
        labels = np.full(LOCAL_SPEAKERS, UNASSIGNED, np.int64)
        if heard.window < 0:
            return labels, [], False
        spoken = np.asarray(heard.active, np.float64) / FRAMES_PER_WINDOW
        active = np.isfinite(heard.embeddings).all(axis=1) & (spoken > 0)
        rows = unit(np.where(active[:, None], heard.embeddings, 1.0).astype(np.float64))
        found = self._matching(rows, active, spoken)
        events: list[SpeakerEvent] = []
        for centroid in range(len(self.people.living()), int(found.max(initial=-1)) + 1):
            self.people.create(heard.processed, np.zeros(rows.shape[1]), np.zeros(1))
            events.append(SpeakerCreated(centroid + 1, heard.processed))
        return np.where(found >= 0, found + 1, UNASSIGNED), events, False
