"""Integer time: frames, samples and seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.grid import (
    FRAME_FIELD,
    FRAME_MIDDLE,
    FRAME_STEP,
    FRAMES_PER_WINDOW,
    WINDOW,
    Span,
    frame_count,
    frame_to_sample,
    nearest_frame,
    sample_to_frame,
    samples,
    seconds,
    total_frames,
)

FIELD_SECONDS, STEP_SECONDS = 0.0619375, 0.016875


def test_the_network_geometry() -> None:
    assert (FRAME_STEP, FRAME_FIELD, FRAMES_PER_WINDOW) == (270, 991, 589)
    assert (FRAMES_PER_WINDOW - 1) * FRAME_STEP + FRAME_FIELD == 159_751, "the last 249 samples are not seen"
    assert frame_count(FRAME_FIELD) == 1
    assert frame_count(FRAME_FIELD - 1) == frame_count(0) == frame_count(250) == 0
    assert frame_count(FRAME_FIELD + FRAME_STEP - 1) == 1 and frame_count(FRAME_FIELD + FRAME_STEP) == 2


@settings(deadline=None)
@given(st.integers(0, 500_000))
def test_frame_counts_follow_field_and_step(length: int) -> None:
    assert frame_count(length) == max(0, (length - FRAME_FIELD) // FRAME_STEP + 1)


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360, 160, 160_000])
def test_windows_land_where_pyannote_puts_them(step: int) -> None:
    for window in range(3_000):
        time = window * step / 16_000 + 0.5 * FIELD_SECONDS
        assert nearest_frame(window * step) == int(np.rint((time - 0.5 * FIELD_SECONDS) / STEP_SECONDS))


def test_first_windows_at_one_second() -> None:
    assert [nearest_frame(window * 16_000) for window in range(7)] == [0, 59, 119, 178, 237, 296, 356]


@pytest.mark.parametrize(("windows", "frames"), [(0, 0), (1, 594), (2, 653), (3, 712), (4, 771), (7, 949), (18, 1601),
                                                 (27, 2134), (111, 7112)])  # fmt: skip
def test_total_frames_as_pyannote_counts_them(windows: int, frames: int) -> None:
    assert total_frames(windows, 16_000) == frames
    if windows:
        assert total_frames(windows, 16_000) == int(np.rint((10 + (windows - 1) * 1.0) / STEP_SECONDS)) + 1
        assert total_frames(windows, 16_000) >= nearest_frame((windows - 1) * 16_000) + FRAMES_PER_WINDOW


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_frames_and_samples_undo_each_other(frame: int) -> None:
    middle = frame_to_sample(frame)
    assert abs(middle / 16_000 - (frame * STEP_SECONDS + 0.03096875)) < 0.5 / 16_000 + 1e-6
    assert sample_to_frame(middle) == frame
    assert sample_to_frame(middle + 1) == frame + 1
    assert sample_to_frame(middle - FRAME_STEP + 1) == frame


def test_no_frame_is_negative() -> None:
    assert sample_to_frame(0) == sample_to_frame(-10_000) == sample_to_frame(FRAME_MIDDLE) == 0


@settings(deadline=None)
@given(st.integers(0, 10**10))
def test_seconds_and_samples(count: int) -> None:
    assert samples(seconds(count)) == count
    assert seconds(16_000) == 1.0 and samples(0.5) == 8_000


def test_spans() -> None:
    span = Span(8_000, 24_000)
    assert (span.samples, span.seconds) == (16_000, 1.0)
    assert Span(5, 5).samples == 0
    assert sorted([Span(3, 4), Span(1, 9), Span(1, 2)]) == [Span(1, 2), Span(1, 9), Span(3, 4)]
    with pytest.raises(ValueError, match="before it starts"):
        Span(5, 4)
    assert WINDOW == 160_000
