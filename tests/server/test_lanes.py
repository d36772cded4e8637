"""Threads that run one inference each: side by side, and one that hangs holds up nobody."""

from __future__ import annotations

import threading

from speakrs_server.lanes import Lanes


def test_lanes_run_side_by_side_and_end() -> None:
    lanes, both, done = Lanes(2), threading.Barrier(3, timeout=20), threading.Event()

    def meet() -> None:
        both.wait()

    for _ in range(2):
        lanes.submit(meet)
    both.wait()
    lanes.submit(done.set)
    assert done.wait(20)
    lanes.close()


def test_one_that_hangs_leaves_the_others() -> None:
    lanes, never, done = Lanes(2), threading.Event(), threading.Event()

    def hang() -> None:
        never.wait(60)

    lanes.submit(hang)
    lanes.submit(done.set)
    assert done.wait(20)
    lanes.close()
    never.set()
