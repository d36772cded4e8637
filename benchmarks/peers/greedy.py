"""Greedy constrained centroid matching as diart does it, in place of VBx, behind the same windows and turns.

Coria, Bredin, Ghannay, Rosset, "Overlap-aware low-latency online speaker diarization based on end-to-end local
segmentation", ASRU 2021, with the published defaults: a local speaker goes to the nearest centroid by cosine distance,
different ones within a window; beyond `delta_new` it becomes a new centroid; centroids move when it spoke long enough;
nothing is ever corrected. Distances are between unit vectors' sums, as in diart's code.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.events import SpeakerCreated, SpeakerEvent
from speakrs_stream.core.grid import FRAMES_PER_WINDOW
from speakrs_stream.core.live.identity import Heard, Identity
from speakrs_stream.core.powerset import LOCAL_SPEAKERS

RHO_UPDATE = 0.3
"""Share of the window a local speaker must speak to move or found a centroid."""
DELTA_NEW = 1.0
"""Cosine distance beyond which a voice is new."""
MAX_SPEAKERS = 20


class GreedyIdentity(Identity):
    """Centroids only: no memory, no re-clustering, no correction."""

    delta_new = DELTA_NEW

    def push(self, heard: Heard) -> tuple[I64, list[SpeakerEvent], bool]:
        """Numbers of a window's local speakers; see `Identity.push`. Previews found nothing."""
        events: list[SpeakerEvent] = []
        good = np.isfinite(heard.embeddings).all(axis=1) & (np.asarray(heard.active) > 0)
        long = good & (np.asarray(heard.active) >= RHO_UPDATE * FRAMES_PER_WINDOW)
        labels = np.full(LOCAL_SPEAKERS, UNASSIGNED, np.int64)
        distance = self._distance(heard.embeddings, good)
        people = self.people.living()
        taken: set[int] = set()
        if people and good.any():
            rows = np.flatnonzero(good)
            for r, c in zip(*linear_sum_assignment(np.minimum(distance[rows], self.delta_new)), strict=True):
                if distance[rows[r], c] < self.delta_new:
                    labels[rows[r]] = people[c].number
                    taken.add(int(c))
        for local in np.flatnonzero(good & (labels == UNASSIGNED)):
            if long[local] and len(people) < MAX_SPEAKERS and (heard.window >= 0 or not people):
                person = self.people.create(heard.processed, unit(heard.embeddings[local]), np.zeros(1))
                events.append(SpeakerCreated(person.number, heard.processed))
                labels[local] = person.number
                people = self.people.living()
            elif len(people) > len(taken):
                order = [c for c in np.argsort(distance[local][: len(people)]) if int(c) not in taken]
                if order:
                    labels[local] = people[int(order[0])].number
                    taken.add(int(order[0]))
        if heard.window >= 0:
            for local in np.flatnonzero(long & (labels > 0)):
                person = self.people[int(labels[local])]
                self.people.move(person.number, person.raw + unit(np.asarray(heard.embeddings[local], np.float64)))
        return labels, events, False

    def _distance(self, embeddings: Array, good: Array) -> F64:
        people = self.people.living()
        if not people:
            return np.zeros((LOCAL_SPEAKERS, 0))
        centroids = unit(np.stack([person.raw for person in people]))
        rows = unit(np.where(good[:, None], np.asarray(embeddings, np.float64), 0.0))
        return np.asarray(1.0 - rows @ centroids.T)
