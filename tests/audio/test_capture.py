"""The bounded ring between two threads, and levels."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.audio.capture import SILENCE, LevelMeter, Ring, decibels
from speakrs_stream.errors import ConfigError

RATE = 1_000


def ramp(start: int, count: int) -> Any:
    return np.arange(start, start + count, dtype=np.float32)[:, None] / 1e6


# -- the ring --------------------------------------------------------------------------------------------------------


def test_blocks_come_out_as_they_went_in() -> None:
    ring = Ring(100)
    source = ramp(0, 30)
    ring.push(source)
    source[:] = 9  # the callback's buffer is used again
    ring.push(ramp(30, 10))
    first, second = ring.take(0.0), ring.take(0.0)
    assert first is not None and second is not None and ring.take(0.0) is None
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), ramp(0, 40))
    assert (first.at, second.at, ring.captured, ring.dropped) == (0, 30, 40, 0)


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "skip"]), st.integers(0, 25)), max_size=40))
def test_what_comes_out_lies_where_it_says(steps: list[tuple[str, int]]) -> None:
    ring = Ring(40)
    position = taken = lost = 0
    for what, count in steps:
        if what == "push":
            ring.push(ramp(position, count))
            position += count
        elif what == "skip":
            ring.skip(count)
            position += count
            lost += count
        elif (block := ring.take(0.0)) is not None:
            np.testing.assert_array_equal(block.samples, ramp(block.at, len(block.samples)))
            taken += len(block.samples)
        assert ring.waiting <= 40
    assert ring.captured == position
    assert ring.dropped >= lost and ring.dropped + taken + ring.waiting == position


def test_a_block_larger_than_the_ring_keeps_its_end() -> None:
    ring = Ring(10)
    ring.push(ramp(0, 25))
    block = ring.take(0.0)
    assert block is not None and block.at == 15 and ring.dropped == 15
    np.testing.assert_array_equal(block.samples, ramp(15, 10))
    with pytest.raises(ConfigError):
        Ring(0)


def test_a_reader_waits_and_a_writer_does_not() -> None:
    ring = Ring(10)
    began = time.monotonic()
    threading.Timer(0.05, lambda: ring.push(ramp(0, 10))).start()
    assert ring.take(5.0) is not None and time.monotonic() - began < 2
    ring.push(ramp(10, 10))
    assert not ring.wait_for_room(1, 0.01)
    threading.Timer(0.05, lambda: ring.take(0.0)).start()
    assert ring.wait_for_room(10, 5.0)


# -- levels ----------------------------------------------------------------------------------------------------------


def test_levels() -> None:
    meter = LevelMeter(RATE)
    assert meter.level.peak == SILENCE
    meter.push(np.full((50, 1), 0.5, np.float32))
    assert meter.level.rms == pytest.approx(-6.02, abs=0.01) and meter.level.peak == pytest.approx(-6.02, abs=0.01)
    meter.push(np.full((50, 2), 0.05, np.float32))
    meter.push(np.full((50, 2), 0.05, np.float32))
    assert meter.level.rms == pytest.approx(-26.02, abs=0.01)  # a tenth of a second
    assert meter.level.peak == pytest.approx(-6.02, abs=0.01)  # a second
    for _ in range(20):
        meter.push(np.full((50, 1), 0.05, np.float32))
    assert meter.level.peak == pytest.approx(-26.02, abs=0.01)


def test_clipping_and_nonsense_are_counted_without_a_warning() -> None:
    meter = LevelMeter(RATE)
    meter.push(np.array([[0.2], [1.0], [-1.0], [np.nan], [np.inf], [3e38]], np.float32))
    assert meter.level.clipped == 4 and meter.level.peak == 0.0
    meter.push(np.zeros((0, 1), np.float32))
    assert meter.level.clipped == 4


def test_decibels() -> None:
    assert [round(decibels(value)) for value in (1.0, 0.1, 0.0, 1e-9)] == [0, -20, -120, -120]
