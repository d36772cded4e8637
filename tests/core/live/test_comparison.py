from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.core.live.comparison import Difference, Labelled, differences, match

LENGTH = 40


def drawn(generator: np.random.Generator, labels: str) -> list[Labelled]:
    """Random spans, overlapping ones and empty ones of one speaker included."""
    out = []
    for _ in range(int(generator.integers(0, 9))):
        start, end = sorted(generator.integers(0, LENGTH, 2).tolist())
        out.append((Span(start, end), str(generator.choice(list(labels)))))
    return out


def by_sample(turns: list[Labelled]) -> list[frozenset[str]]:
    return [frozenset(who for span, who in turns if span.start <= at < span.end) for at in range(LENGTH)]


def common(live: list[Labelled], final: list[Labelled]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for ours, theirs in zip(by_sample(live), by_sample(final), strict=True):
        for a in ours:
            for b in theirs:
                counts[a, b] = counts.get((a, b), 0) + 1
    return counts


def best_one_to_one(counts: dict[tuple[str, str], int], ours: list[str], theirs: list[str]) -> int:
    wide = [*theirs, *[""] * len(ours)]
    return max(
        sum(counts.get((a, b), 0) for a, b in zip(ours, order, strict=True)) for order in permutations(wide, len(ours))
    )


@pytest.mark.parametrize("seed", range(200))
def test_mapping_and_differences_are_those_of_a_sample_by_sample_look(seed: int) -> None:
    generator = np.random.default_rng(seed)
    live, final = drawn(generator, "abc"), drawn(generator, "XYZ"[: int(generator.integers(1, 4))])
    mapping = match(live, final)
    counts = common(live, final)
    ours, theirs = sorted({a for a, _ in counts}), sorted({b for _, b in counts})
    assert set(mapping) == set(ours), "everybody who shares something with the result is mapped"

    taken: set[str] = set()
    one_to_one = {}
    for a, b in mapping.items():  # one to one comes first
        if b not in taken:
            one_to_one[a] = b
            taken.add(b)
    assert sum(counts[a, b] for a, b in one_to_one.items()) == best_one_to_one(counts, ours, theirs)
    for a, b in mapping.items():
        assert counts[a, b] > 0
        if a not in one_to_one:
            assert counts[a, b] == max(counts.get((a, other), 0) for other in theirs)

    found = differences(live, final, mapping)
    said: list[tuple[tuple[str, ...], tuple[str, ...]] | None] = [None] * LENGTH
    for difference in found:
        assert difference.span.start < difference.span.end
        for at in range(difference.span.start, difference.span.end):
            assert said[at] is None
            said[at] = (difference.live, difference.final)
    for at, (shown, wanted) in enumerate(zip(by_sample(live), by_sample(final), strict=True)):
        mapped = tuple(sorted({mapping.get(who, who) for who in shown}))
        expected = None if mapped == tuple(sorted(wanted)) else (mapped, tuple(sorted(wanted)))
        assert said[at] == expected
    assert all(
        first.span.end < second.span.start or (first.live, first.final) != (second.live, second.final)
        for first, second in pairwise(found)
    ), "neighbours that say the same are one"


def test_a_swap_is_no_difference_and_a_missing_speaker_is() -> None:
    live = [(Span(0, 10), "S2"), (Span(10, 20), "S1"), (Span(30, 31), "S3")]
    final = [(Span(0, 10), "SPEAKER_00"), (Span(10, 22), "SPEAKER_01")]
    mapping = match(live, final)
    assert mapping == {"S2": "SPEAKER_00", "S1": "SPEAKER_01"}
    assert differences(live, final, mapping) == [
        Difference(Span(20, 22), (), ("SPEAKER_01",)),
        Difference(Span(30, 31), ("S3",), ()),
    ]


def test_nothing_is_like_nothing() -> None:
    assert match([], []) == {} and differences([], [], {}) == []
    assert match([(Span(0, 5), "S1")], []) == {}
    assert match([], [(Span(0, 5), "SPEAKER_00")]) == {}
