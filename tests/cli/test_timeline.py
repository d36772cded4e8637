"""Turns as rows of characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from speakrs_stream.cli.timeline import (
    ASCII_SHADES,
    NARROWEST,
    NICE_STEPS,
    SHADES,
    axis,
    clock,
    coverage,
    shade,
    timeline,
)
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, Speaker, Turn


def result(*turns: tuple[float, float, str], seconds: float, **names: str) -> Diarization:
    spans = [Turn(Span(round(a * SAMPLE_RATE), round(b * SAMPLE_RATE)), speaker) for a, b, speaker in turns]
    made = Diarization.from_turns(spans, samples=round(seconds * SAMPLE_RATE))
    speakers = tuple(Speaker(s.label, names.get(s.label)) for s in made.speakers)
    return Diarization(made.uri, made.samples, made.turns, made.exclusive, speakers)


def test_a_short_conversation() -> None:
    drawn = timeline(result((0, 5, "A"), (4, 8, "B"), (9, 10, "A"), seconds=10), width=22)
    assert drawn.lines() == [
        "A ██████████        ██",
        "B         ████████",
        "  ┬─────────┬─────────",
        "  0:00      0:05",
    ]


def test_terminals_without_block_characters() -> None:
    drawn = timeline(result((0, 5, "A"), (4, 8, "B"), seconds=10), width=22, ascii_only=True)
    assert drawn.lines() == [
        "A ##########",
        "B         ########",
        "  |---------|---------",
        "  0:00      0:05",
    ]


def test_speakers_come_in_the_order_they_are_heard() -> None:
    drawn = timeline(result((5, 6, "A"), (0, 1, "Z"), (2, 3, "M"), seconds=10), width=40)
    assert [row.speaker for row in drawn.rows] == ["Z", "M", "A"]


def test_exclusive_shows_one_speaker_at_a_time() -> None:
    drawn = timeline(result((0, 5, "A"), (4, 8, "B"), seconds=10), width=22, exclusive=True)
    assert [row.cells for row in drawn.rows] == ["██████████          ", "          ██████    "]


def test_names_are_shown_cut_and_harmless() -> None:
    drawn = timeline(
        result((0, 1, "A"), (1, 2, "B"), seconds=2, A="Bartholomew Featherstonehaugh", B="\x1b[31mred\n"), width=60
    )
    assert drawn.rows[0].label == "Bartholomew Feather…"
    assert "\x1b" not in drawn.rows[1].label and "\n" not in drawn.rows[1].label


def test_two_drawings_stand_under_each_other() -> None:
    above = timeline(result((0, 1, "SPEAKER_00"), seconds=2), width=40)
    below = timeline(result((0, 1, "A"), seconds=2), width=40, labels=len("SPEAKER_00"))
    assert above.ticks == below.ticks
    assert timeline(result((0, 1, "A"), seconds=2), width=60, labels=99).rows[0].label == "A".ljust(20)


def test_wide_names_are_measured_in_columns() -> None:
    drawn = timeline(result((0, 1, "田中"), (1, 2, "A"), seconds=2), width=30)
    assert [cell_len(row.label) for row in drawn.rows] == [4, 4]


def test_the_shortest_turn_is_seen_in_the_longest_recording() -> None:
    drawn = timeline(result((40_000, 40_000.02, "A"), seconds=43_200), width=80)
    assert drawn.rows[0].cells.strip() == SHADES[1]


def test_nothing_said() -> None:
    assert timeline(result(seconds=0), width=80).rows == ()
    assert timeline(result(seconds=60), width=20).lines()[-1].split() == ["0:00", "0:30"]


def test_a_very_narrow_terminal_still_shows_something() -> None:
    drawn = timeline(result((0, 10, "A"), seconds=10), width=3)
    assert drawn.rows[0].cells == "█" * NARROWEST


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.99, "0:59"), (60, "1:00"), (3_599, "59:59"), (3_600, "1:00:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), max_size=10), st.integers(1, 400), st.integers(1, 90)
)
def test_coverage_adds_up(pieces: list[tuple[int, int]], total: int, columns: int) -> None:
    spans, at = [], 0
    for gap, length in pieces:
        spans.append(Span(at + gap, at + gap + length))
        at += gap + length
    shares = coverage(spans, total, columns)
    assert len(shares) == columns
    assert all(0 <= share <= 1 for share in shares)
    inside = sum(max(0, min(total, span.end) - span.start) for span in spans)
    assert sum(shares) * total / columns == pytest.approx(inside)


@given(st.floats(0, 1))
def test_shades(share: float) -> None:
    for shades in (SHADES, ASCII_SHADES):
        assert (shade(share, shades) == shades[0]) == (share == 0)
        assert (shade(share, shades) == shades[-1]) == (share >= 0.75)


@given(st.integers(1, 400_000 * SAMPLE_RATE), st.integers(NARROWEST, 300), st.booleans())
def test_the_axis_fits_and_its_times_do_not_touch(total: int, columns: int, ascii_only: bool) -> None:
    ticks, times = axis(total, columns, ascii_only)
    assert len(ticks) == columns
    assert len(times) <= columns
    assert times.split()[0] == "0:00"
    told = [sum(int(part) * 60**power for power, part in enumerate(t.split(":")[::-1])) for t in times.split()]
    assert told == [told[1] * i if i else 0 for i in range(len(told))]  # evenly spaced: none ran into the next
    assert all(clock(seconds) == text for seconds, text in zip(told, times.split(), strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 50_000), st.text(min_size=1, max_size=30)), max_size=12),
    st.integers(0, 120),
    st.booleans(),
)
def test_rows_are_aligned_and_never_too_long(pieces: list[tuple[int, int, str]], width: int, ascii_only: bool) -> None:
    turns = [Turn(Span(start, start + length), label) for start, length, label in pieces]
    drawn = timeline(Diarization.from_turns(turns), width=width, ascii_only=ascii_only)
    widths = {cell_len(row.label) + 1 + len(row.cells) for row in drawn.rows}
    assert len(widths) <= 1
    assert all(w <= max(width, 21 + NARROWEST) for w in widths)


def test_steps_grow() -> None:
    assert list(NICE_STEPS) == sorted(set(NICE_STEPS))
