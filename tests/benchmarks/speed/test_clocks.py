from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.speed.clocks import PARTS, WHOLE, Clocks, found
from speakrs_stream.core import powerset
from speakrs_stream.core.activity import Activity
from speakrs_stream.core.history import History, WindowResult

BITS = np.zeros((589, 3), np.uint8)


def test_every_clocked_function_is_there() -> None:
    places = [place for parts in (PARTS, WHOLE) for names in parts.values() for place in names]
    assert all(callable(getattr(*found(place))) for place in places)
    assert len(set(places)) == len(places) - 1, "only re-clustering is clocked as a whole and in part"
    with pytest.raises(AttributeError, match=r"core\.history:History\.absent is not there"):
        found("core.history:History.absent")


def test_each_part_without_what_is_clocked_inside() -> None:
    history = History(4)

    def result(index: int) -> WindowResult:
        return WindowResult(index, Activity(BITS), np.zeros((3, 4), np.float32))

    with Clocks({"keeping": ("core.history:History.push",), "packing": ("core.history:pack",)}) as clocks:
        begin = time.thread_time()
        for index in range(50):
            history.push(result(index))
        whole = time.thread_time() - begin
    assert 0 < clocks.spent["packing"] and 0 < clocks.spent["keeping"]
    assert sum(clocks.spent.values()) <= whole
    before = dict(clocks.spent)
    history.push(result(50))
    assert clocks.spent == before and powerset.pack(BITS).shape == (221,)


def test_clocks_are_gone_after_an_error() -> None:
    plain = History.push
    with (
        pytest.raises(ValueError, match="window 3 came"),
        Clocks({"keeping": ("core.history:History.push",)}) as clocks,
    ):
        History(4).push(WindowResult(3, Activity(BITS), np.zeros((3, 4), np.float32)))
    assert History.push is plain and clocks.spent["keeping"] > 0
