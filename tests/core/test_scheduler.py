"""Batches are of one kind, fair and oldest first; nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.core.jobs import Job, Model
from speakrs_stream.core.scheduler import Scheduler


def job(number: int, model: Model = "head", length: int = 4) -> Job:
    return Job(number, model, {"statistics": np.zeros(length, np.float32)})


def test_one_network_and_shape_at_a_time() -> None:
    plan: Scheduler[str] = Scheduler()
    plan.add("a", job(1), 0.0)
    plan.add("a", job(2, "trunk"), 0.0)
    plan.add("b", job(3), 0.0)
    plan.add("b", job(4, length=5), 0.0)
    batches = [[one.job.id for one in plan.take(0.0)] for _ in range(4)]
    assert batches == [[1, 3], [2], [4], []]


def test_a_batch_waits_to_fill_up_and_not_longer() -> None:
    plan: Scheduler[str] = Scheduler(max_batch=2, max_wait=0.01)
    assert plan.deadline() is None
    plan.add("a", job(1), 5.0)
    assert plan.take(5.0) == []
    assert plan.deadline() == 5.01
    assert [one.job.id for one in plan.take(5.01)] == [1]
    plan.add("a", job(2), 6.0)
    plan.add("a", job(3), 6.0)
    assert plan.deadline() == 6.0
    assert len(plan.take(6.0)) == 2


def test_who_asks_much_does_not_push_others_back() -> None:
    plan: Scheduler[str] = Scheduler(max_batch=4)
    for number in range(10):
        plan.add("greedy", job(number), 0.0)
    plan.add("modest", job(100), 1.0)
    first = plan.take(1.0)
    assert Counter(one.stream for one in first) == {"greedy": 3, "modest": 1}
    assert [one.job.id for one in first] == [0, 1, 2, 100]


def test_what_a_stream_asked_can_be_dropped() -> None:
    plan: Scheduler[str] = Scheduler()
    plan.add("a", job(1), 0.0)
    plan.add("b", job(2), 0.0)
    plan.forget("a")
    assert len(plan) == 1
    plan.forget("b")
    assert plan.deadline() is None


ASKED = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["head", "trunk"]), st.integers(3, 4)), max_size=60)


@given(ASKED, st.integers(1, 8), st.integers(1, 3))
def test_everything_is_answered_once_in_order(asked: list[tuple[int, Model, int]], most: int, share: int) -> None:
    plan: Scheduler[int] = Scheduler(max_batch=most, share=share)
    for number, (stream, model, length) in enumerate(asked):
        plan.add(stream, job(number, model, length), float(number))
    seen: list[int] = []
    last: dict[tuple[int, str, int], int] = {}
    while batch := plan.take(1e9):
        assert len(batch) <= most
        assert len({(one.job.model, one.job.inputs["statistics"].shape) for one in batch}) == 1
        counts = Counter(one.stream for one in batch)
        waiting = len(plan)
        assert len(batch) == most or not waiting or max(counts.values()) >= 1
        for one in batch:
            key = (one.stream, one.job.model, len(one.job.inputs["statistics"]))
            assert last.get(key, -1) < one.job.id
            last[key] = one.job.id
            seen.append(one.job.id)
    assert sorted(seen) == list(range(len(asked)))
