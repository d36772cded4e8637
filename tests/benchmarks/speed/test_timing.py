from __future__ import annotations

import os

import pytest

from benchmarks.speed.timing import Spread, in_turn, one_core


def test_the_middle_counts_and_the_range_is_told() -> None:
    spread = Spread((3.0, 1.0, 10.0))
    assert (spread.median, spread.low, spread.high) == (3.0, 1.0, 10.0)
    assert spread.scaled(lambda value: 2 * value).values == (6.0, 2.0, 20.0)


def test_measurements_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    told: list[str] = []

    def measuring(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turn({"a": lambda: measuring("a"), "b": lambda: measuring("b")}, 2, told.append)
    assert order == ["a", "b"] * 3
    assert found == {"a": Spread((3.0, 5.0)), "b": Spread((4.0, 6.0))}
    assert told == ["warm", "round 1 of 2", "round 2 of 2"]


def test_one_core_is_taken_and_given_back() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not let a process choose its cores")
    before = os.sched_getaffinity(0)
    with one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
