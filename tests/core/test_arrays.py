"""A tape behaves as one long array of which only the end is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import Tape, below, frozen


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 250)), max_size=30), st.integers(0, 1_000))
def test_as_one_long_array(moves: list[tuple[int, int]], start: int) -> None:
    """Append so many rows, then forget so many."""
    tape = Tape((2,), np.int64, start)
    everything = np.zeros((start, 2), np.int64)
    first = start
    for count, gone in moves:
        rows = np.arange(2 * count).reshape(count, 2) + 1_000 * len(everything)
        tape.append(rows)
        everything = np.concatenate([everything, rows])
        tape.forget(first + gone)
        first = min(first + gone, len(everything))
        assert (tape.start, tape.end) == (first, len(everything))
        np.testing.assert_array_equal(tape.all(), everything[first:])
        middle = (first + len(everything)) // 2
        np.testing.assert_array_equal(tape.get(middle, len(everything)), everything[middle:])


def test_rows_that_are_not_held_are_refused() -> None:
    tape = Tape()
    tape.append(np.arange(10, dtype=np.float32))
    tape.forget(4)
    tape.forget(2)  # forgetting what is gone already does nothing
    assert tape.get(4, 6).tolist() == [4, 5] and tape.get(10, 10).size == 0
    for start, end in ((3, 6), (4, 11), (8, 6)):
        with pytest.raises(IndexError, match=r"4\.\.10"):
            tape.get(start, end)


def test_what_is_appended_is_copied_and_what_is_read_is_a_view() -> None:
    rows = np.ones(3, np.float32)
    tape = Tape()
    tape.append(rows)
    rows[:] = 5
    tape.get(1, 2)[:] += 1
    assert tape.all().tolist() == [1, 2, 1]


def test_what_was_read_stays_as_it_is() -> None:
    tape = Tape((), np.int64)
    read = []
    for index in range(300):
        tape.append(np.arange(7 * index, 7 * index + 7))
        tape.forget(7 * index - 20)
        read.append((tape.start, tape.all()))
    for start, rows in read:
        assert rows.tolist() == list(range(start, start + len(rows)))


def test_room_is_used_again() -> None:
    tape = Tape((16,))
    for index in range(1_000):
        tape.append(np.zeros((10, 16), np.float32))
        tape.forget(10 * index)
    base = tape.all().base
    assert base is not None and base.nbytes <= 128 * 16 * 4


def test_a_tape_of_saved_rows() -> None:
    rows = np.arange(6, dtype=np.int16).reshape(3, 2)
    tape = Tape.of(rows, 40)
    rows[:] = 0
    assert (tape.start, tape.end) == (40, 43)
    assert tape.get(41, 43).tolist() == [[2, 3], [4, 5]]
    tape.append(np.full((100, 2), 7, np.int16))
    assert tape.end == 143 and tape.all().dtype == np.int16
    assert Tape.of(np.zeros((0, 4), np.float32), 9).end == 9


def test_frozen_arrays_cannot_change() -> None:
    array = frozen(np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_entries_below_a_prefix() -> None:
    one, two = np.zeros(1), np.zeros(2)
    assert below({"a.x": one, "a.b.y": two, "b.x": two, "za.x": two}, "a.") == {"x": one, "b.y": two}
