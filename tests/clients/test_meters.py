"""Latency is what a listener waits, the work is counted, and both are about the last half minute."""

from __future__ import annotations

import pytest

from speakrs_clients.meters import Pace, Paces
from speakrs_stream.core.grid import SAMPLE_RATE


def second(paces: Paces, number: int, *, work: float = 0.1, behind: float = 0.3, delay: int = 5) -> None:
    """One second of audio is pushed, shown at once, and final `delay` seconds later."""
    position = number * SAMPLE_RATE
    paces.push(
        position=position,
        samples=SAMPLE_RATE,
        work=work,
        captured=position + round(behind * SAMPLE_RATE),
        processed=position,
        watermark=max(0, position - delay * SAMPLE_RATE),
    )


def test_nothing_is_known_at_first() -> None:
    assert Paces().pace == Pace(None, None, None)


def test_delays_and_work() -> None:
    paces = Paces()
    for number in range(1, 5):
        second(paces, number)
    assert paces.pace.final is None  # nothing is final yet
    for number in range(5, 20):
        second(paces, number)
    assert paces.pace.provisional == pytest.approx(0.8)  # half a second into the block, and what it lay about
    assert paces.pace.final == pytest.approx(5.8)
    assert paces.pace.rtf == pytest.approx(0.1)


def test_only_the_last_half_minute_counts() -> None:
    paces = Paces()
    for number in range(1, 100):
        second(paces, number, work=2.0, behind=9.0)
    for number in range(100, 132):
        second(paces, number, work=0.2, behind=0.1)
    assert paces.pace.provisional == pytest.approx(0.6)
    assert paces.pace.rtf == pytest.approx(0.2)


def test_pushes_that_show_nothing_count_as_work_alone() -> None:
    paces = Paces()
    for number in range(1, 30):
        paces.push(position=number * 8_000, samples=8_000, work=0.1, captured=number * 8_000, processed=0, watermark=0)
    assert (paces.pace.provisional, paces.pace.final) == (None, None)
    assert paces.pace.rtf == pytest.approx(0.2)


def test_a_source_that_is_ahead_of_its_clock_is_not_early() -> None:
    paces = Paces()
    paces.push(position=16_000, samples=16_000, work=0.0, captured=0, processed=16_000, watermark=0)
    assert paces.pace.provisional == 0.0
