"""The replay buffer: what is handed over comes out in order, as often as connections are lost, until it is safe."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_clients.unacknowledged import Piece, Unacknowledged


def drained(queue: Unacknowledged, most: int = 100) -> list[Piece | bytes]:
    out: list[Piece | bytes] = []
    while True:
        if (order := queue.next_order()) is not None:
            out.append(order)
        elif (piece := queue.next_audio(most)) is not None:
            out.append(piece)
        else:
            return out


def test_audio_and_commands_come_out_in_the_order_they_were_handed_over() -> None:
    queue = Unacknowledged(1)
    queue.order(b"first")
    queue.push(b"abcdef")
    queue.order(b"between")
    queue.push(b"ghi")
    queue.order(b"last")
    assert queue.waiting == 9 and not queue.idle
    assert drained(queue, 4) == [
        b"first",
        Piece(0, b"abcd", False),
        Piece(4, b"ef", False),
        b"between",
        Piece(6, b"ghi", False),
        b"last",
    ]
    assert queue.waiting == 0 and queue.idle and queue.held == 9
    queue.rewind(6)
    assert drained(queue) == [b"between", Piece(6, b"ghi", False), b"last"]
    queue.rewind(9)
    assert drained(queue) == [b"last"]
    queue.forget(8)
    assert queue.held == 1
    queue.rewind(8)
    assert drained(queue) == [Piece(8, b"i", False), b"last"]
    with pytest.raises(ValueError, match="goes on at sample 7"):
        queue.rewind(7)
    with pytest.raises(ValueError, match="goes on at sample 10"):
        queue.rewind(10)


def test_gaps_are_told_and_what_was_there_is_dropped() -> None:
    queue = Unacknowledged(2)
    queue.push(b"aabb")
    queue.push(b"bbccdd", at=1)
    queue.push(b"aa", at=0)
    queue.push(b"zz", at=9)
    assert drained(queue) == [Piece(0, b"aabbccdd", False), Piece(9, b"zz", True)]
    queue.forget(4)
    assert queue.held == 2
    queue.rewind(4)
    assert drained(queue) == [Piece(9, b"zz", True)]
    queue.forget(10)
    queue.push(b"yy")
    assert drained(queue) == [Piece(10, b"yy", False)] and queue.held == 2
    with pytest.raises(ValueError, match="whole samples"):
        queue.push(b"a")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_any_course_of_events_brings_everything_over(seed: int) -> None:
    chance = random.Random(seed)
    width = chance.choice([1, 2, 4])
    queue, whole, arrived, orders = Unacknowledged(width), bytearray(), bytearray(), 0
    for _ in range(chance.randint(1, 120)):
        move = chance.random()
        if move < 0.35:
            samples, gap = chance.randint(0, 50), chance.choice([0, 0, 0, chance.randint(1, 20)])
            payload = chance.randbytes(samples * width).replace(b"\0", b"\1")
            queue.push(payload, queue.end + gap if gap else None)
            whole += b"\0" * (gap * width if samples else 0) + payload
            if chance.random() < 0.3:
                queue.order(b"order")
                orders += 1
        elif move < 0.7:
            if (piece := queue.next_audio(chance.randint(1, 30))) is not None:
                at = piece.position * width
                assert len(arrived) <= at and piece.after_gap == (len(arrived) < at)
                arrived += b"\0" * (at - len(arrived)) + piece.payload
            else:
                queue.next_order()
        elif move < 0.85:
            queue.forget(chance.randint(queue.start, len(arrived) // width))
            assert queue.held <= (queue.end - queue.start) * width
        else:  # a connection is lost, and with it what was on its way
            keep = chance.randint(queue.start, len(arrived) // width)
            if any(arrived[keep * width - 1 : keep * width]) or keep == queue.start:
                del arrived[keep * width :]
                queue.rewind(keep)
    for rest in drained(queue):
        if isinstance(rest, Piece):
            arrived += b"\0" * (rest.position * width - len(arrived)) + rest.payload
    assert bytes(arrived) == bytes(whole) and queue.idle
