"""Comparisons that several tests share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from speakrs_stream.core.arrays import Array


def pieces(samples: Array, sizes: Sequence[int]) -> Iterator[Array]:
    """`samples` cut into pieces whose lengths are `sizes` over and over; sizes of 0 give empty pieces."""
    if not any(size > 0 for size in sizes):
        raise ValueError("at least one size must be above 0")
    at, number = 0, 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        yield samples[at : at + size]
        at, number = at + size, number + 1


def same_partition(first: Array, second: Array) -> bool:
    """Whether two labelings (n,) put the same items together, whatever the labels are called."""
    if len(first) != len(second):
        return False
    pairs = set(zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True))
    return len(pairs) == len(set(np.asarray(first).tolist())) == len(set(np.asarray(second).tolist()))


def adjusted_rand(first: Array, second: Array) -> float:
    """Adjusted Rand index of two labelings (n,): 1 for the same partition, about 0 for unrelated ones.

    Hubert & Arabie, "Comparing partitions", Journal of Classification 1985.
    """
    a, b = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a, b), 1.0)

    def together(counts: Array) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, one, other = together(table), together(table.sum(axis=1)), together(table.sum(axis=0))
    expected = one * other / (len(a) * (len(a) - 1) / 2)
    highest = (one + other) / 2
    return 1.0 if highest == expected else (both - expected) / (highest - expected)
