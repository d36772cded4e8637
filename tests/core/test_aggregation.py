"""How many speak at once, and votes, beside loops over windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import RECENT, UNASSIGNED, SpeakerCount, add_votes, votes
from speakrs_stream.core.arrays import U8
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, nearest_frame, total_frames
from tests.core.voices import activity


def counted(windows: U8, step: int) -> list[int]:
    """Counts of the whole grid: Python's round has ties to even, too."""
    sums, covers = [0.0] * total_frames(len(windows), step), [0] * total_frames(len(windows), step)
    for index, window in enumerate(windows):
        for frame in range(FRAMES_PER_WINDOW):
            at = nearest_frame(index * step) + frame
            sums[at] += int(window[frame].sum())
            covers[at] += 1
    return [round(total / max(cover, 1)) for total, cover in zip(sums, covers, strict=True)]


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360, 160_000, 159_840, 160])
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32 - 1), windows=st.integers(2, 14))
def test_counts_are_rounded_means(seed: int, windows: int, step: int) -> None:
    seg = activity(seed, windows)
    count = SpeakerCount(step)
    for window in seg:
        count.push(Activity(window))
    found = count.finish()
    assert found.dtype == np.uint8 and len(found) == total_frames(windows, step)
    assert found.tolist() == counted(seg, step)
    middle = len(found) // 2
    assert count.counts(middle, middle + 50).tolist() == [*found.tolist(), *[0] * 50][middle : middle + 50]


def test_ties_go_to_even() -> None:
    """Two windows over the same frames: 0.5 counts as nobody, 1.5 as two."""
    one, two, none = np.zeros((3, FRAMES_PER_WINDOW, 3), np.uint8)
    one[:, 0] = 1
    two[:, :2] = 1
    for first, second, expected in ((none, one, 0), (one, two, 2), (none, two, 1), (one, one, 1), (two, two, 2)):
        count = SpeakerCount(16_000)
        count.push(Activity(first))
        count.push(Activity(second))
        assert set(count.counts(59, 589).tolist()) == {expected}


def test_nobody_where_no_window_reaches() -> None:
    count = SpeakerCount(160_000)
    assert count.finish().size == 0 and count.counts(0, 3).tolist() == [0, 0, 0]
    count.push(Activity(np.ones((FRAMES_PER_WINDOW, 3), np.uint8)))
    assert count.finish().tolist() == [3] * 589 + [0] * 5
    count.push(Activity(np.ones((FRAMES_PER_WINDOW, 3), np.uint8)))
    assert count.counts(585, 597).tolist() == [3] * 4 + [0] * 4 + [3] * 4
    assert count.counts(5_000, 5_002).tolist() == [0, 0]


def test_a_window_ahead_counts_as_if_it_were_there() -> None:
    seg = activity(3, 4)
    count, whole = SpeakerCount(16_000), SpeakerCount(16_000)
    assert count.counted(0, 20, Activity(seg[0][:12]))[0].tolist() == [*seg[0][:12].sum(axis=1), *[0] * 8]
    for window in seg[:3]:
        count.push(Activity(window))
        whole.push(Activity(window))
    ahead = count.counted(100, 900, Activity(seg[3]))[0]
    whole.push(Activity(seg[3]))
    assert ahead.tolist() == whole.counts(100, 900).tolist()
    assert count.windows == 3 and count.counted(5_000, 5_002, Activity(seg[3]))[0].tolist() == [0, 0]


def test_the_latest_windows_may_be_left_out() -> None:
    seg = activity(1, 12)
    count = SpeakerCount(16_000)
    for index, window in enumerate(seg):
        count.push(Activity(window))
        early = SpeakerCount(16_000)
        for known in range(index + 1):
            without = [Activity(one) for one in seg[known : index + 1]]
            ahead = Activity(seg[known][:300]) if known % 2 else None
            for start, end in ((0, 1200), (nearest_frame(known * 16_000), 700), (500, 510)):
                (counts, covers), wanted = count.counted(start, end, ahead, without), early.counted(start, end, ahead)
                assert counts.tolist() == wanted[0].tolist() and covers.tolist() == wanted[1].tolist()
            early.push(Activity(seg[known]))


def test_a_restored_count_goes_on() -> None:
    seg = activity(2, 6)
    whole, first, second = (SpeakerCount(16_000) for _ in range(3))
    for window in seg:
        whole.push(Activity(window))
    for window in seg[:3]:
        first.push(Activity(window))
    second.restore(*first.state())
    for window in seg[3:]:
        second.push(Activity(window))
    assert second.finish().tolist() == whole.finish().tolist()


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
def test_a_long_count_keeps_little_of_how_many_windows_cover_what(step: int) -> None:
    whole, part = SpeakerCount(step), SpeakerCount(step)
    for number, window in enumerate(activity(5, 90)):
        whole.push(Activity(window))
        part.push(Activity(window))
        if number % 20 == 7:
            again = SpeakerCount(step)
            again.restore(*part.state())
            part = again
    assert len(whole._covers.all()) <= RECENT + FRAMES_PER_WINDOW
    counts = whole.finish()
    assert part.finish().tolist() == counts.tolist()
    for start in (0, 5, len(counts) - RECENT - 700, len(counts) - RECENT, len(counts) - 100):
        assert whole.counts(max(start, 0), len(counts)).tolist() == counts[max(start, 0) :].tolist()
        assert part.counts(max(start, 0), len(counts)).tolist() == counts[max(start, 0) :].tolist()


def test_a_count_saved_with_how_many_windows_cover_each_frame_goes_on() -> None:
    """As snapshots had it before that was found to follow from the step."""
    count, restored = SpeakerCount(16_000), SpeakerCount(16_000)
    for window in activity(4, 3):
        count.push(Activity(window))
    plain, arrays = count.state()
    assert arrays.keys() == {"sums"}
    restored.restore(plain, {**arrays, "covers": np.ones_like(arrays["sums"])})
    assert restored.finish().tolist() == count.finish().tolist()


def test_votes_of_one_window() -> None:
    window = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0]], np.uint8)
    assert votes(window, np.array([2, 0, UNASSIGNED]), 3).tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 1]]
    # two local speakers of one cluster count once
    assert votes(window, np.array([1, 1, 0]), 2).tolist() == [[0, 1], [1, 1], [0, 1]]
    assert votes(window, np.full(3, UNASSIGNED), 2).sum() == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 900), st.integers(0, 900))
def test_votes_add_up_on_any_part_of_the_grid(seed: int, windows: int, start: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    seg = activity(seed, windows)
    labels = generator.integers(-2, 3, (windows, 3))
    labels[labels < 0] = UNASSIGNED
    whole = np.zeros((total_frames(windows, 16_000), 3), np.int16)
    for index in range(windows):
        at = nearest_frame(index * 16_000)
        whole[at : at + FRAMES_PER_WINDOW] += votes(seg[index], labels[index], 3)
    together = np.zeros_like(whole)
    add_votes(together, 0, 16_000, seg, labels)
    np.testing.assert_array_equal(together, whole)
    cut = np.zeros((length, 3), np.int16)
    half = windows // 2
    add_votes(cut, half, 16_000, seg[half:], labels[half:], start)
    add_votes(cut, 0, 16_000, seg[:half], labels[:half], start)
    padded = np.concatenate([whole, np.zeros((2_000, 3), np.int16)])
    np.testing.assert_array_equal(cut, padded[start : start + length])
