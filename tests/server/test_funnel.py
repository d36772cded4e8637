"""Calls gathered from other threads: order, one wake-up, faults."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from speakrs_server.funnel import Funnel


def test_calls_run_in_order_and_wake_once() -> None:
    scheduled: list[Callable[[], None]] = []
    seen: list[int] = []
    funnel = Funnel(scheduled.append, lambda error: None)
    for number in range(5):
        funnel.put(lambda number=number: seen.append(number))  # type: ignore[misc]
    assert len(scheduled) == 1 and not seen
    scheduled.pop()()
    assert seen == list(range(5))
    funnel.put(lambda: seen.append(9))
    scheduled.pop()()
    assert seen[-1] == 9


def test_what_is_put_in_while_it_drains_runs_next_time() -> None:
    scheduled: list[Callable[[], None]] = []
    seen: list[str] = []
    funnel = Funnel(scheduled.append, lambda error: None)
    funnel.put(lambda: funnel.put(lambda: seen.append("later")))
    scheduled.pop()()
    assert not seen and len(scheduled) == 1
    scheduled.pop()()
    assert seen == ["later"]


def test_a_fault_does_not_keep_the_next_from_running() -> None:
    scheduled: list[Callable[[], None]] = []
    faults: list[Exception] = []
    seen: list[int] = []
    funnel = Funnel(scheduled.append, faults.append)

    def fails() -> None:
        raise ValueError("no")

    funnel.put(fails)
    funnel.put(lambda: seen.append(1))
    scheduled.pop()()
    assert seen == [1] and isinstance(faults[0], ValueError)


def test_nothing_is_lost_between_threads() -> None:
    lock, scheduled = threading.Lock(), []
    seen: list[tuple[int, int]] = []

    def schedule(call: Callable[[], None]) -> None:
        with lock:
            scheduled.append(call)

    funnel = Funnel(schedule, lambda error: None)

    def put(thread: int) -> None:
        for number in range(2_000):
            funnel.put(partial(seen.append, (thread, number)))

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or scheduled:
        with lock:
            due, scheduled[:] = list(scheduled), []
        for call in due:
            call()
    assert len(seen) == 8_000
