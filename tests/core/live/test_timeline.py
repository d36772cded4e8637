from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import U8
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.core.live.timeline import Placed, Shown, Votes, show, smoothed, window_frames

LENGTH = 60


def activity(generator: np.random.Generator, frames: int) -> U8:
    """At most two of three at once, in stretches."""
    out = np.repeat(generator.integers(0, 2, (frames // 5 + 1, 3)), 5, axis=0)[:frames].astype(np.uint8)
    out[out.sum(axis=1) > 2, 2] = 0
    return out


def drawn(seed: int) -> tuple[list[Placed], U8, int, Shown]:
    """Windows on frames 0 to 59, some with two local speakers of one number, and what was shown before."""
    generator = np.random.default_rng(seed)
    windows = []
    for window in range(int(generator.integers(0, 7))):
        start = int(generator.integers(0, 45))
        numbers = generator.choice([UNASSIGNED, 1, 2, 3, 7], 3)
        windows.append(Placed(window, start, Activity(activity(generator, int(generator.integers(1, 16)))), numbers))
    start = int(generator.integers(0, 30))
    counts = generator.integers(0, 4, int(generator.integers(0, LENGTH - start))).astype(np.uint8)
    low = int(generator.integers(0, 40))
    numbers = np.sort(generator.choice([1, 2, 3, 5], int(generator.integers(0, 4)), replace=False))
    before = generator.integers(0, 2, (int(generator.integers(0, 20)), len(numbers))).astype(np.uint8)
    return windows, counts, start, Shown(low, before, numbers)


def covering(windows: list[Placed], start: int, frames: int) -> NDArray[np.int16]:
    return np.array([sum(w.start <= start + f < w.end for w in windows) for f in range(frames)], np.int16)


@pytest.mark.parametrize("seed", range(200))
def test_a_frame_shows_those_with_most_votes_and_of_equals_who_was_shown(seed: int) -> None:
    windows, counts, start, before = drawn(seed)
    hold, share = ((0.0, 0.0), (1.0, 0.5), (0.25, 1.0), (3.0, 0.0))[seed % 4]
    shown = show(
        Votes.of(windows, start, len(counts)),
        counts,
        covering(windows, start, len(counts)),
        before,
        hold=hold,
        share=share,
    )
    assert (shown.start, shown.end) == (start, start + len(counts))
    numbers = shown.numbers.tolist()
    assert numbers == sorted({int(n) for placed in windows for n in placed.numbers if n > 0})
    for row, count in enumerate(counts.tolist()):
        frame = start + row
        votes: dict[int, Fraction] = {}
        covers = 0
        for placed in windows:
            if placed.start <= frame < placed.end:
                heard = placed.activity.bits[frame - placed.start]
                covers += 1
                for number in {int(n) for n, active in zip(placed.numbers, heard, strict=True) if active and n > 0}:
                    votes[number] = votes.get(number, Fraction(0)) + 1
        if before.start <= frame < before.end:
            for number, on in zip(before.numbers.tolist(), before.matrix[frame - before.start], strict=True):
                if on and number in votes:
                    votes[number] += Fraction(hold) + Fraction(share) * covers + Fraction(1, 100)
        best = sorted(votes, key=lambda number: (-votes[number], number))[:count]
        assert {number for number, on in zip(numbers, shown.matrix[row], strict=True) if on} == set(best)


@pytest.mark.parametrize("seed", range(100))
def test_votes_that_are_known_are_not_counted_again(seed: int) -> None:
    windows, _, start, _ = drawn(seed)
    generator = np.random.default_rng(seed)
    earlier = int(generator.integers(0, start + 1))
    reach = max([placed.end for placed in windows[:-1]], default=start)
    known = Votes.of(windows[:-1], earlier, max(reach, start) - earlier)
    last = Placed(9, LENGTH - 16, Activity(activity(generator, 16)), generator.choice([UNASSIGNED, 2, 4], 3))
    gone = [placed for placed in windows[:-1] if placed.end > start]
    frames = LENGTH - start
    found, counted = Votes.of([*gone, last], start, frames, known), Votes.of([*gone, last], start, frames)
    assert (found.start, found.numbers) == (counted.start, counted.numbers)
    np.testing.assert_array_equal(found.rows, counted.rows)


@pytest.mark.parametrize("seed", range(50))
def test_shares_are_those_of_the_speech_on_which_a_number_is_shown(seed: int) -> None:
    windows, counts, start, before = drawn(seed)
    shown = show(Votes.of(windows, start, len(counts)), counts, covering(windows, start, len(counts)), before)
    for placed, shares in zip(windows, shown.shares(windows), strict=True):
        for column in range(len(shown.numbers)):
            for local in range(3):
                frames = placed.start + np.flatnonzero(placed.activity.bits[:, local])
                here = [f for f in frames if shown.start <= f < shown.end and shown.matrix[f - shown.start, column]]
                assert shares[local, column] == pytest.approx(len(here) / max(len(frames), 1))


def test_a_window_begins_with_nobody() -> None:
    placed = Placed(0, 7, Activity(activity(np.random.default_rng(0), 40)))
    assert placed.numbers.tolist() == [UNASSIGNED] * 3 and placed.end == 47


def test_nothing_shows_nothing() -> None:
    nothing = show(Votes.of([], 5, 0), np.zeros(0, np.uint8), np.zeros(0, np.int16), Shown.nothing())
    assert nothing.matrix.shape == (0, 0) and nothing.end == 5
    silence = show(Votes.of([], 5, 4), np.full(4, 2, np.uint8), np.zeros(4, np.int16), Shown.nothing(3))
    assert silence.matrix.shape == (4, 0)
    assert silence.shares([Placed(0, 0, Activity(np.ones((9, 3), np.uint8)))]).shape == (1, 3, 0)


def test_windows_lie_on_the_nearest_frames() -> None:
    for step in (15_360, 16_000, 32_000):
        for window in range(50):
            start, end = window_frames(window, step)
            assert abs(start * 270 - window * step) <= 135 and end - start == FRAMES_PER_WINDOW
    assert window_frames(1, WINDOW)[0] == round(Fraction(WINDOW, 270))


def test_whoever_is_shown_last_may_go_on() -> None:
    shown = Shown(7, np.array([[1, 0], [0, 1]], np.uint8), np.array([2, 5]))
    longer = shown.lasting(12)
    assert (longer.start, longer.end) == (7, 12)
    assert longer.matrix.tolist() == [[1, 0], *[[0, 1]] * 4]
    assert shown.lasting(8) is shown and Shown.nothing(4).lasting(9).end == 4


def column(text: str) -> Shown:
    return Shown(5, np.array([[int(one)] for one in text], np.uint8), np.array([3]))


@pytest.mark.parametrize(
    ("before", "carried", "min_on", "min_off", "after"),
    [
        ("0110111", [], 0, 0, "0110111"),
        ("0110111", [], 3, 0, "0000111"),
        ("0110111", [], 0, 2, "0111111"),
        ("0110111", [], 3, 2, "0000111"),  # what is too short is dropped first, as in the end
        ("1100110", [], 3, 3, "0000000"),
        ("1100110", [3], 3, 0, "1100000"),
        ("0011100", [3], 3, 3, "1111100"),
        ("0001100", [3], 2, 3, "0001100"),
        ("0000000", [3], 2, 3, "0000000"),
        ("1010000", [4], 2, 2, "0000000"),
    ],
)
def test_stretches_and_pauses_that_are_too_short(
    before: str, carried: list[int], min_on: int, min_off: int, after: str
) -> None:
    found = smoothed(column(before), carried, min_on, min_off)
    assert "".join(str(one) for one in found.matrix[:, 0]) == after and found.start == 5
