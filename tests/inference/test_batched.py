"""How any number of items is run by exports of a few batch sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.inference.batched import plan


@given(
    items=st.integers(0, 200),
    batches=st.lists(st.sampled_from([1, 2, 3, 32, 64]), min_size=1, max_size=4) | st.just([None, 32]),
)
def test_plans_run_every_item_once(items: int, batches: list[int | None]) -> None:
    parts = plan(items, batches)
    covered = [item for part in parts for item in range(part.start, part.end)]
    assert covered == list(range(items))
    for part in parts:
        assert part.batch in batches
        assert part.batch is None or 0 < part.end - part.start <= part.batch


@pytest.mark.parametrize(
    ("items", "batches", "sizes"),
    [
        (5, [None], [None]),
        (5, [1], [1] * 5),
        (5, [32], [32]),
        (70, [1, 32], [32, 32, 32]),
        (33, [1, 32], [32, 1]),
        (70, [1, 32, 64], [64, 32]),
        (40, [64, 32], [64]),
    ],
)
def test_plans(items: int, batches: list[int | None], sizes: list[int | None]) -> None:
    assert [part.batch for part in plan(items, batches)] == sizes
