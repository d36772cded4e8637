"""Embeddings a stream clusters again and again, bounded: recent ones singly, older ones as weighted groups.

VBx without transitions treats items as exchangeable, so a group of near-equal items acts as one item with their
number as its weight. Groups never mix speakers, so a rare voice is not absorbed by a loud one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from speakrs_stream.core.arrays import F32, F64, I64, Array
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.merging import merge_to

GROUP_DISTANCE = 0.5
"""Euclidean distance between centroids of unit vectors up to which items become one group."""


@dataclass(slots=True, eq=False)
class Items:
    """Parallel arrays, one row per item or group."""

    raw: F64
    """(n, D) mean raw embedding."""
    features: F64
    """(n, d) mean in PLDA space."""
    weight: F64
    """(n,) how many embeddings."""
    speaker: I64
    """(n,) number of the speaker it counts for; 0 for nobody yet."""
    key: I64
    """(n,) 3 * window + local speaker it came from; a group's latest."""

    @classmethod
    def empty(cls, dimension: int, features: int) -> Items:
        """No items."""
        whole = np.zeros(0, np.int64)
        return cls(np.zeros((0, dimension)), np.zeros((0, features)), np.zeros(0), whole, whole)

    def __len__(self) -> int:
        return len(self.weight)

    def take(self, index: Array | slice) -> Items:
        """Rows by index, mask or slice."""
        return Items(self.raw[index], self.features[index], self.weight[index], self.speaker[index], self.key[index])

    @staticmethod
    def join(parts: list[Items]) -> Items:
        """Rows of all parts, in order."""
        return Items(
            np.concatenate([p.raw for p in parts]),
            np.concatenate([p.features for p in parts]),
            np.concatenate([p.weight for p in parts]),
            np.concatenate([p.speaker for p in parts]),
            np.concatenate([p.key for p in parts]),
        )

    def grouped(self, labels: I64) -> Items:
        """One row per label: weighted means, summed weights; every label must hold one speaker."""
        count = int(labels.max()) + 1 if len(labels) else 0
        weight = np.asarray(np.bincount(labels, self.weight, count), np.float64)
        raw, features = np.zeros((count, self.raw.shape[1])), np.zeros((count, self.features.shape[1]))
        np.add.at(raw, labels, self.raw * self.weight[:, None])
        np.add.at(features, labels, self.features * self.weight[:, None])
        speaker, key = np.zeros(count, np.int64), np.zeros(count, np.int64)
        speaker[labels] = self.speaker
        np.maximum.at(key, labels, self.key)
        return Items(raw / weight[:, None], features / weight[:, None], weight, speaker, key)

    def state(self, prefix: str) -> dict[str, Array]:
        """Plain arrays for a snapshot."""
        names = ("raw", "features", "weight", "speaker", "key")
        return {f"{prefix}.{name}": getattr(self, name) for name in names}

    @classmethod
    def restore(cls, state: dict[str, Array], prefix: str) -> Items:
        """The items `state` was made from."""
        names = ("raw", "features", "weight", "speaker", "key")
        return cls(*[state[f"{prefix}.{name}"] for name in names])


class Memory:
    """What re-clustering works on; at most `recent + groups` rows however long the stream is."""

    def __init__(self, dimension: int, features: int, recent: int, groups: int) -> None:
        self.recent_limit = recent
        self.group_limit = groups
        self._recent = Items.empty(dimension, features)
        self._groups = Items.empty(dimension, features)

    def __len__(self) -> int:
        return len(self._groups) + len(self._recent)

    def push(self, raw: F32, features: F64, speaker: int, key: int) -> None:
        """Remember one embedding (D,), its PLDA form (d,), whom it was taken for and where it came from."""
        one = Items(
            np.asarray(raw, np.float64)[None],
            features[None],
            np.ones(1),
            np.array([speaker]),
            np.array([key]),
        )
        self._recent = Items.join([self._recent, one])
        if len(self._recent) > self.recent_limit:
            self._compact()

    def _compact(self) -> None:
        half = self.recent_limit // 2
        old, self._recent = self._recent.take(slice(0, half)), self._recent.take(slice(half, None))
        fresh = [
            part.grouped(_near(part.raw, GROUP_DISTANCE))
            for part in (old.take(old.speaker == speaker) for speaker in np.unique(old.speaker))
        ]
        self._groups = Items.join([self._groups, *fresh])
        if len(self._groups) > self.group_limit:
            self._thin(self.group_limit // 2)

    def _thin(self, target: int) -> None:
        """Merge the nearest groups of each speaker until about `target` remain, each speaker keeping its share."""
        speakers, sizes = np.unique(self._groups.speaker, return_counts=True)
        kept = []
        for speaker, size in zip(speakers, sizes, strict=True):
            part = self._groups.take(self._groups.speaker == speaker)
            share = max(2, round(target * size / len(self._groups)))
            if size > share:
                part = part.grouped(merge_to(unit(part.raw), part.weight, int(share)))
            kept.append(part)
        self._groups = Items.join(kept)

    def items(self) -> Items:
        """Everything remembered, groups first."""
        return Items.join([self._groups, self._recent])

    def relabel(self, speaker: I64) -> None:
        """Say anew whom each row of `items()` counts for."""
        cut = len(self._groups)
        self._groups.speaker, self._recent.speaker = speaker[:cut].copy(), speaker[cut:].copy()

    def rename(self, old: int, new: int) -> None:
        """Let everything of speaker `old` count for `new`."""
        for items in (self._groups, self._recent):
            items.speaker = np.where(items.speaker == old, new, items.speaker)

    def state(self) -> dict[str, Array]:
        """Plain arrays for a snapshot."""
        return {**self._groups.state("groups"), **self._recent.state("recent")}

    def restore(self, state: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        self._groups = Items.restore(state, "groups")
        self._recent = Items.restore(state, "recent")


def _near(raw: F64, distance: float) -> I64:
    if len(raw) == 1:
        return np.zeros(1, np.int64)
    tree = linkage(unit(raw), "centroid", "euclidean")
    labels = fcluster(tree, distance, "distance")
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)
