"""Embeddings a stream clusters again and again, bounded: recent ones singly, older ones as weighted groups.

VBx without transitions treats items as exchangeable, so a group of near-equal items acts as one item with their
number as its weight. Groups never mix speakers, so a rare voice is not absorbed by a loud one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from speakrs_stream.core.arrays import F64, I64, Array
from speakrs_stream.core.clustering import ahc
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.merging import merge_to

GROUP_DISTANCE = 0.5
"""Euclidean distance between centroids of unit vectors up to which items become one group."""


@dataclass(frozen=True, slots=True, eq=False)
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

    def mean(self) -> tuple[F64, F64]:
        """Weighted mean raw embedding (D,) and its PLDA form (d,), of at least one row."""
        share = self.weight / self.weight.sum()
        return share @ self.raw, share @ self.features

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
        inside = labels == np.arange(int(labels.max()) + 1 if len(labels) else 0)[:, None]
        weight = inside @ self.weight
        share = inside * self.weight / weight[:, None]
        speaker, key = np.zeros(len(weight), np.int64), np.zeros(len(weight), np.int64)
        speaker[labels] = self.speaker
        np.maximum.at(key, labels, self.key)
        return Items(share @ self.raw, share @ self.features, weight, speaker, key)

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
        self._rows = Items.empty(dimension, features)  # groups first
        self._groups = 0
        self._fresh: list[tuple[F64, F64, int, int]] = []  # raw, features, speaker, key that are not in `_rows` yet

    def __len__(self) -> int:
        return len(self._rows) + len(self._fresh)

    def push(self, raw: Array, features: F64, speaker: int, key: int) -> None:
        """Remember one embedding (D,), its PLDA form (d,), whom it was taken for and where it came from."""
        self._fresh.append((np.asarray(raw, np.float64), features, speaker, key))
        if len(self) - self._groups > self.recent_limit:
            self._compact()

    def _compact(self) -> None:
        rows = self.items()
        cut = self._groups + self.recent_limit // 2
        groups, old = rows.take(slice(0, self._groups)), rows.take(slice(self._groups, cut))
        fresh = [
            part.grouped(ahc.quick(part.raw, GROUP_DISTANCE))
            for part in (old.take(old.speaker == speaker) for speaker in np.unique(old.speaker))
        ]
        groups = Items.join([groups, *fresh])
        if len(groups) > self.group_limit:
            groups = _thinned(groups, self.group_limit)
        self._rows, self._groups = Items.join([groups, rows.take(slice(cut, None))]), len(groups)

    def items(self) -> Items:
        """Everything remembered, groups first; not to be changed."""
        if self._fresh:
            raw, features, speaker, key = map(np.array, zip(*self._fresh, strict=True))
            fresh = Items(raw, features, np.ones(len(key)), speaker, key)
            self._rows, self._fresh = Items.join([self._rows, fresh]), []
        return self._rows

    def relabel(self, speaker: I64) -> None:
        """Say anew whom each row of `items()` counts for."""
        self._rows = replace(self.items(), speaker=np.asarray(speaker, np.int64).copy())

    def rename(self, old: int, new: int) -> None:
        """Let everything of speaker `old` count for `new`."""
        speaker = self.items().speaker
        self.relabel(np.where(speaker == old, new, speaker))

    def state(self) -> dict[str, Array]:
        """Plain arrays for a snapshot."""
        rows = self.items()
        return {
            **rows.take(slice(0, self._groups)).state("groups"),
            **rows.take(slice(self._groups, None)).state("recent"),
        }

    def restore(self, state: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        groups = Items.restore(state, "groups")
        self._rows, self._groups = Items.join([groups, Items.restore(state, "recent")]), len(groups)


def _thinned(groups: Items, limit: int) -> Items:
    """The nearest groups of each speaker merged until about half of `limit` remain, each speaker keeping its share.

    However many speakers there are, `limit` is kept: beyond that many, the lightest are forgotten.
    """
    speakers, sizes = np.unique(groups.speaker, return_counts=True)
    target = limit // 2
    least = 2 if target + 2 * len(speakers) <= limit else 1
    kept = []
    for speaker, size in zip(speakers, sizes, strict=True):
        part = groups.take(groups.speaker == speaker)
        share = max(least, round(target * size / len(groups)))
        if size > share:
            part = part.grouped(merge_to(unit(part.raw), part.weight, int(share)))
        kept.append(part)
    joined = Items.join(kept)
    if len(joined) > limit:
        joined = joined.take(np.sort(np.argsort(-joined.weight, kind="stable")[:limit]))
    return joined
