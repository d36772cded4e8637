"""Reading ahead: nobody waits longer than he wants to, and nothing is read after the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from speakrs_clients.ahead import MOST, Ahead
from speakrs_stream.errors import AudioError


def test_everything_comes_in_order_and_then_it_is_over() -> None:
    ahead = Ahead(range(3))
    assert [ahead.next(5) for _ in range(3)] == [0, 1, 2]
    assert ahead.next(5) is None and ahead.over and ahead.next(0) is None


def test_a_pipe_that_gives_nothing_holds_nobody_up() -> None:
    more = threading.Event()

    def pipe() -> Iterator[str]:
        yield "a"
        more.wait(30)
        yield "b"

    ahead = Ahead(pipe())
    assert ahead.next(5) == "a"
    began = time.monotonic()
    assert ahead.next(0.05) is None and not ahead.over and time.monotonic() - began < 5
    more.set()
    assert ahead.next(5) == "b"


def test_damage_is_given_and_bugs_are_raised() -> None:
    def damaged(error: Exception) -> Iterator[int]:
        yield 1
        raise error

    ahead = Ahead(damaged(AudioError("cut")))
    assert ahead.next(5) == 1 and isinstance(ahead.next(5), AudioError) and ahead.over
    ahead = Ahead(damaged(KeyError("bug")))
    assert ahead.next(5) == 1
    with pytest.raises(KeyError):
        ahead.next(5)


def test_nothing_is_read_after_it_was_closed() -> None:
    read: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield read[-1]

    ahead = Ahead(endless())
    assert ahead.next(5) == 0
    ahead.close()
    count = len(read)
    assert ahead.next(1) is None and count <= MOST + 3
    time.sleep(0.05)
    assert len(read) == count
