"""The timeline's cells and the bars: what is marked how, and that nothing shimmers while time passes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from speakrs_clients.rows import axis, bar, fitting, parts, row, shares, speaking, timeline
from speakrs_clients.style import ASCII, Glyphs, columns, text_of
from speakrs_clients.terminal import airtime
from speakrs_stream.core.grid import Span
from tests.clients.states import at, state_of

GLYPHS = Glyphs()
SECOND = at(1)


def cells(own: str, others: str = "", count: int = 12) -> str:
    """A row of one-second cells; times like in `state_of`."""
    turns = [(turn.span, turn.final) for turn in state_of(f"1: {own}").turns.values()]
    there = [turn.span for turn in state_of(f"2: {others}").turns.values()]
    return row(turns, there, 0, SECOND, count, GLYPHS).rstrip()


def test_final_provisional_and_overlap() -> None:
    assert cells("1-4 6-8?") == " ███  ░░"
    assert cells("0-8", "2-4") == "██××████"
    assert cells("0-2 2-4?") == "██░░"


def test_half_a_cell_counts_and_short_turns_stay_visible() -> None:
    assert cells("0.5-2.4") == "██"
    assert cells("0.6-2.6") == " ██"
    assert cells("3.2-3.4") == "   █"
    assert cells("3.8-4.3?") == "    ░"  # most of it lies in the second cell
    assert cells("0.2-0.4 0.5-0.7") == "█"


def test_a_little_overlap_does_not_colour_a_cell() -> None:
    assert cells("0-4", "1.9-2.3") == "████"
    assert cells("0-4", "1.4-2.6") == "█××█"


def test_parts_of_a_span() -> None:
    assert parts(Span(5, 25), 0, 10, 5) == [(0, 5), (1, 10), (2, 5)]
    assert parts(Span(-50, 5), 0, 10, 5) == [(0, 5)]
    assert parts(Span(45, 99), 0, 10, 5) == [(4, 5)]
    assert parts(Span(60, 70), 0, 10, 5) == []


@given(st.integers(-50, 100), st.integers(0, 60), st.integers(1, 20), st.integers(1, 12))
def test_parts_add_up(start: int, length: int, column: int, count: int) -> None:
    found = parts(Span(start, start + length), 0, column, count)
    assert sum(size for _, size in found) == max(0, min(start + length, column * count) - max(start, 0))
    assert [cell for cell, _ in found] == sorted({cell for cell, _ in found})


def test_rows_move_a_whole_column_at_a_time() -> None:
    state = state_of("1: 3.1-7.7 20.3-20.5 31-39.9?, 2: 6-9", processed=40)

    def drawn(captured: float) -> str:
        lines = timeline(state, at(captured), [1, 2], set(), 4, 72, GLYPHS)
        return "\n".join(text_of(line) for line in lines[:-1])

    pictures = [drawn(40 + step / 10) for step in range(40)]
    column = 60 / (72 - 4 - 5)
    changes = [a != b for a, b in itertools.pairwise(pictures)]
    assert sum(changes) in (int(4 / column), int(4 / column) + 1)
    for before, after in itertools.pairwise(pictures):
        if before != after:
            assert before.splitlines()[0][10:] == after.splitlines()[0][9:-1]


def test_the_timeline() -> None:
    state = state_of("1: 50-60 70-80?, 2: 72-80?", names={1: "Alice"}, processed=80)
    lines = timeline(state, at(80), [1, 2], speaking(state), 5, 70, GLYPHS)
    assert text_of(lines[0]).startswith(" ▶ Alice ") and text_of(lines[1]).startswith(" ▶ S2    ")
    assert all(columns(line) <= 70 for line in lines)
    assert text_of(lines[0]).count("█") == 10
    assert text_of(lines[0]).count("×") == text_of(lines[1]).count("×") == 8
    assert text_of(lines[-1]).endswith("now") and "−15 s" in text_of(lines[-1])
    plain = "".join(text_of(line) for line in timeline(state, at(80), [1, 2], {1}, 5, 70, ASCII))
    assert plain.isascii()


def test_nobody_yet() -> None:
    assert text_of(timeline(state_of(""), 0, [], set(), 2, 60, GLYPHS)[0]).strip() == "nobody has spoken yet"


def test_who_speaks_now() -> None:
    state = state_of("1: 0-10?, 2: 8-9.4?, 3: 9-9.9?, 4: 0-2", merged={3: 1}, processed=10)
    assert speaking(state) == {1}


def test_too_many_speakers() -> None:
    state = state_of("1: 0-1, 2: 5-6, 3: 2-3, 4: 7-8")
    assert fitting(state, [1, 2, 3, 4], 4) == [1, 2, 3, 4]
    assert fitting(state, [1, 2, 3, 4], 2) == [2, 4]


def test_airtime() -> None:
    state = state_of("1: 0-30, 2: 30-40, 3: 50-50.1", names={2: "A rather long name"})
    lines = [text_of(line) for line in shares(state, airtime(state), [1, 2, 3], 9, 80, GLYPHS)]
    assert lines[0].rstrip().endswith(" 75%     0:30      1 turn")
    assert "A rather… ████████████ " in lines[1]
    assert all(columns(line) <= 80 for line in shares(state, airtime(state), [1, 2, 3], 9, 80, GLYPHS))


def test_bars() -> None:
    assert bar(1.0, 4, GLYPHS) == "████"
    assert bar(0.5, 4, GLYPHS) == "██  "
    assert bar(0.55, 4, GLYPHS) == "██▎ "
    assert bar(0.0, 4, GLYPHS) == "    "
    assert bar(0.6, 5, ASCII) == "===  "


def test_the_axis_has_the_width_of_the_cells() -> None:
    for width in range(46, 120):
        assert columns(axis(3, width, GLYPHS)) == width + 7
