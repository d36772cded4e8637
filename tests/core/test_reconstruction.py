"""Votes, the frame's top speakers, turns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core import reconstruction
from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import votes
from speakrs_stream.core.arrays import Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, Span, nearest_frame, total_frames
from speakrs_stream.core.history import History, WindowResult
from speakrs_stream.core.reconstruction import (
    CoreTurn,
    by_appearance,
    clean_runs,
    column_runs,
    runs,
    top_speakers,
    turns,
)
from tests.core.voices import activity

seeds = st.integers(0, 2**32 - 1)
FAR = 10**9
"""Samples of a recording that ends after everything."""


def ranked(row: list[int], count: int, silent: bool) -> list[int]:
    """Sorting is stable, so the lower column wins a tie."""
    order = sorted(range(len(row)), key=lambda column: -row[column])[:count]
    return [int(column in order and (silent or row[column] > 0)) for column in range(len(row))]


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(0, 60), st.integers(1, 5), st.booleans())
def test_top_speakers_row_by_row(seed: int, frames: int, width: int, silent: bool) -> None:
    generator = np.random.default_rng(seed)
    totals = generator.integers(0, 4, (frames, width)).astype(np.int16)  # few different values: many ties
    counts = generator.integers(0, 4, frames).astype(np.uint8)
    before = totals.copy()
    chosen = top_speakers(totals, counts, allow_silent=silent)
    most = int(counts.max(initial=0))
    padding = max(most - width, 0) if silent else 0
    expected = [
        ranked(row.tolist() + [0] * padding, int(count), silent) for row, count in zip(totals, counts, strict=True)
    ]
    assert chosen.dtype == np.uint8 and chosen.shape == (frames, width + padding)
    assert chosen.tolist() == expected
    assert (totals == before).all()


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(0, 30), st.integers(0, 4))
def test_runs_of_all_columns_are_those_of_each(seed: int, frames: int, width: int) -> None:
    matrix = np.random.default_rng(seed).integers(0, 2, (frames, width)).astype(np.uint8)
    each = [(column, *run) for column in range(width) for run in runs(matrix[:, column]).tolist()]
    assert column_runs(matrix) == each


def test_ghosts_only_with_parity() -> None:
    totals = np.array([[3, 0], [3, 0], [0, 0], [2, 2]])
    counts = np.array([1, 2, 1, 3], np.uint8)
    assert top_speakers(totals, counts, allow_silent=True).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert top_speakers(totals, counts, allow_silent=False).tolist() == [[1, 0], [1, 0], [0, 0], [1, 1]]


def test_ties_at_the_top_go_to_the_lower_column() -> None:
    totals = np.array([[2, 5, 5], [5, 5, 5], [0, 1, 1]])
    one = np.ones(3, np.uint8)
    assert top_speakers(totals, one, allow_silent=False).tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert top_speakers(totals, 2 * one, allow_silent=False).tolist() == [[0, 1, 1], [1, 1, 0], [0, 1, 1]]


def test_no_frames_no_columns_many_frames() -> None:
    assert top_speakers(np.zeros((0, 2), int), np.zeros(0, np.uint8), allow_silent=True).shape == (0, 2)
    assert top_speakers(np.zeros((3, 0), int), np.ones(3, np.uint8), allow_silent=False).shape == (3, 0)
    assert top_speakers(np.zeros((3, 0), int), np.ones(3, np.uint8), allow_silent=True).tolist() == [[1]] * 3
    frames = reconstruction.FRAME_BLOCK + 10
    totals = np.random.default_rng(0).integers(0, 3, (frames, 3)).astype(np.int16)
    whole = top_speakers(totals, np.ones(frames, np.uint8), allow_silent=False)
    ends = np.r_[0:20, frames - 30 : frames]
    np.testing.assert_array_equal(whole[ends], top_speakers(totals[ends], np.ones(50, np.uint8), allow_silent=False))
    assert (whole.argmax(axis=1) == totals.argmax(axis=1)).all()


@pytest.mark.parametrize("windows", [1, 13, reconstruction.BLOCK + 3])
def test_votes_of_all_windows(windows: int) -> None:
    seg = np.concatenate([activity(1, 13)] * (windows // 13 + 1))[:windows]
    labels = np.random.default_rng(2).integers(-1, 4, (windows, 3))
    labels[labels < 0] = -2
    history = History(1)
    for index, window in enumerate(seg):
        history.push(WindowResult(index, Activity(window), np.zeros((3, 1), np.float32)))
    expected = np.zeros((total_frames(windows, 16_000), 4), int)
    for index in range(windows):
        at = nearest_frame(index * 16_000)
        expected[at : at + FRAMES_PER_WINDOW] += votes(seg[index], labels[index], 4)
    np.testing.assert_array_equal(reconstruction.activation_votes(history, labels, 4, 16_000), expected)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.booleans(), max_size=40))
def test_runs_are_the_stretches_of_ones(column: list[bool]) -> None:
    found = runs(np.array(column, np.uint8))
    assert found.shape == (len(found), 2)
    again = np.zeros(len(column), bool)
    for start, end in found:
        assert (start < end and not again[start - 1 : end].any()) or start == 0
        again[start:end] = True
    assert again.tolist() == column
    assert all(later[0] > earlier[1] for earlier, later in pairwise(found))


def test_stretches_too_short_go_first_then_gaps_are_filled() -> None:
    stretches = np.array([[0, 5], [7, 8], [9, 14], [20, 30]])
    assert clean_runs(stretches, 0, 0).tolist() == stretches.tolist()
    assert clean_runs(stretches, 2, 0).tolist() == [[0, 5], [9, 14], [20, 30]]
    assert clean_runs(stretches, 5, 0).tolist() == [[0, 5], [9, 14], [20, 30]], "exactly min_on stays"
    assert clean_runs(stretches, 0, 2).tolist() == [[0, 5], [7, 14], [20, 30]]
    assert clean_runs(stretches, 2, 5).tolist() == [[0, 14], [20, 30]]
    assert clean_runs(stretches, 2, 6).tolist() == [[0, 14], [20, 30]], "a pause of exactly min_off stays"
    assert clean_runs(stretches, 2, 7).tolist() == [[0, 30]]
    assert clean_runs(stretches, 99, 7).tolist() == []
    assert clean_runs(np.zeros((0, 2), int), 3, 3).shape == (0, 2)


def middles(frame: int) -> int:
    return frame * 270 + 495


def test_turns_run_from_middle_to_middle() -> None:
    matrix = np.zeros((20, 2), np.uint8)
    matrix[3:7, 0] = 1
    matrix[5:6, 1] = 1
    found = turns(matrix, PipelineConfig(), FAR)
    assert found == [CoreTurn(Span(middles(3), middles(7)), 0), CoreTurn(Span(middles(5), middles(6)), 1)]
    assert found[1].span.samples == 270, "one frame is the shortest turn"


def test_a_turn_still_open_ends_at_the_middle_of_the_last_frame() -> None:
    matrix = np.zeros((10, 2), np.uint8)
    matrix[6:, 0] = 1
    matrix[9:, 1] = 1  # would have no length
    assert turns(matrix, PipelineConfig(parity=True), FAR) == [CoreTurn(Span(middles(6), middles(9)), 0)]


def test_turns_end_with_the_audio_unless_parity() -> None:
    matrix = np.zeros((30, 3), np.uint8)
    matrix[2:20, 0] = 1
    matrix[11:25, 1] = 1
    matrix[22:25, 2] = 1
    samples = middles(15)
    assert turns(matrix, PipelineConfig(), samples) == [
        CoreTurn(Span(middles(2), samples), 0),
        CoreTurn(Span(middles(11), samples), 1),
    ]
    assert [turn.span.end for turn in turns(matrix, PipelineConfig(parity=True), samples)] == [
        middles(20),
        middles(25),
        middles(25),
    ]


def test_minimum_durations_apply_to_each_speaker() -> None:
    matrix = np.zeros((60, 2), np.uint8)
    for start, end in ((0, 2), (10, 20), (22, 30)):
        matrix[start:end, 0] = 1
    matrix[20:22, 1] = 1
    found = turns(matrix, PipelineConfig(min_on=3, min_off=3), FAR)
    assert found == [CoreTurn(Span(middles(10), middles(30)), 0)]


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(0, 50), st.integers(0, 4))
def test_turns_say_what_the_matrix_says(seed: int, frames: int, width: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = (generator.random((frames, width)) < 0.5).astype(np.uint8)
    found = turns(matrix, PipelineConfig(), FAR)
    again: Array = np.zeros_like(matrix)
    for turn in found:
        first = (turn.span.start - 495) // 270
        again[first : first + turn.span.samples // 270, turn.speaker] = 1
    if frames:
        np.testing.assert_array_equal(again[:-1], matrix[:-1])
    assert found == sorted(found)
    assert turns(np.zeros((0, 2), np.uint8), PipelineConfig(), FAR) == []


def test_order_of_appearance() -> None:
    spans = [Span(0, 5), Span(1, 2), Span(6, 7), Span(8, 9)]
    found = [CoreTurn(span, speaker) for span, speaker in zip(spans, (2, 0, 2, 1), strict=True)]
    assert by_appearance(found) == [2, 0, 1]
    assert by_appearance([]) == []
