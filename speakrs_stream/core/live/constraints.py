"""What the user said about speakers; no re-clustering contradicts it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from speakrs_stream.core.arrays import I64
from speakrs_stream.core.live.memory import Items


class Constraints:
    """Who is somebody else, and which voices belong to one person."""

    def __init__(self) -> None:
        self.apart: set[frozenset[int]] = set()
        """Pairs of numbers that are two people."""
        self.joined: list[tuple[int, int]] = []
        """Numbers that are one person: given up, and for whom."""
        self._not: dict[int, set[int]] = {}  # item key -> numbers it was rejected as
        self._instead: dict[int, int] = {}  # item key -> the number it was given instead

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(self.apart or self.joined or self._not)

    def different(self, first: int, second: int) -> None:
        """Two numbers are two people."""
        self.apart.add(frozenset((first, second)))

    def are_apart(self, first: int, second: int) -> bool:
        """Whether two numbers are known to be two people."""
        return frozenset((first, second)) in self.apart

    def reject(self, keys: Iterable[int], number: int, instead: int) -> None:
        """The items `keys` are not `number`, however they sound; they were given the number `instead`."""
        for key in keys:
            self._not.setdefault(key, set()).add(number)
            self._instead[key] = instead

    def rejections(self) -> list[tuple[int, int, int]]:
        """Item key, a number it is not, and the number that was last given instead; by key."""
        return [(key, number, self._instead[key]) for key in sorted(self._not) for number in sorted(self._not[key])]

    @property
    def rejects(self) -> bool:
        """Whether anything was rejected."""
        return bool(self._not)

    def rejected(self, key: int) -> set[int]:
        """Numbers that an item is not."""
        return self._not.get(key, set())

    def merged(self, number: int, into: int) -> None:
        """`into` took the place of `number`: what was said of one holds for the other."""
        renamed = {frozenset(into if one == number else one for one in pair) for pair in self.apart}
        self.apart = {pair for pair in renamed if len(pair) == 2}
        for numbers in self._not.values():
            if number in numbers:
                numbers.remove(number)
                numbers.add(into)

    def state(self) -> dict[str, Any]:
        """Plain values for a snapshot."""
        return {
            "apart": sorted(sorted(pair) for pair in self.apart),
            "joined": [list(pair) for pair in self.joined],
            "not": [[key, sorted(numbers), self._instead[key]] for key, numbers in self._not.items()],
        }

    def restore(self, plain: dict[str, Any]) -> None:
        """Take over what `state` saved."""
        self.apart = {frozenset(pair) for pair in plain["apart"]}
        self.joined = [(number, into) for number, into in plain["joined"]]
        self._not = {key: set(numbers) for key, numbers, _ in plain["not"]}
        self._instead = {key: instead for key, _, instead in plain["not"]}


def separate(labels: I64, items: Items, apart: set[frozenset[int]]) -> I64:
    """Clusters cut where they hold two speakers that are known to be different."""
    out = labels.copy()
    for first, second in sorted(tuple(sorted(pair)) for pair in apart):
        for cluster in np.unique(out[items.speaker == second]):
            inside = out == cluster
            if (items.speaker[inside] == first).any():
                out[inside & (items.speaker == second)] = out.max() + 1
    return np.asarray(np.unique(out, return_inverse=True)[1], np.int64)


def together(labels: I64, joined: Iterable[Iterable[int]]) -> I64:
    """Clusters that are voices of one person as one: `joined` lists them, a group for each person."""
    out = labels.copy()
    for group in joined:
        clusters = list(group)
        out[np.isin(labels, clusters)] = min(clusters, default=0)
    return np.asarray(np.unique(out, return_inverse=True)[1], np.int64)
