"""Lines for people: clock times, names, what scrolls and what is replaced, and the end."""

from __future__ import annotations

import pytest

from speakrs_clients.style import ASCII, Glyphs, Look, Piece, text_of
from speakrs_clients.terminal import (
    Airtime,
    Scroll,
    airtime,
    clock,
    difference,
    ending,
    final_lines,
    pending_lines,
    short_clock,
)
from speakrs_stream.core.live.comparison import Difference
from speakrs_stream.core.reducer import StreamState, fold
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.stream import Comparison
from tests.clients.states import at, events_of, span, state_of

GLYPHS = Glyphs()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00.0"), (7.34, "00:00:07.3"), (59.95, "00:01:00.0"), (3599.96, "01:00:00.0"), (360_000, "100:00:00.0")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(at(seconds)) == text


def test_short_clock() -> None:
    assert [short_clock(at(s)) for s in (0, 59.9, 61, 3661)] == ["0:00", "0:59", "1:01", "1:01:01"]


def test_final_turns_are_lines_in_the_order_they_began() -> None:
    events = events_of("2: 7.3-9.1, 1: 5-8 20-22?", names={2: "Alice"})
    state = fold(StreamState(), events)
    assert [text_of(line) for line in final_lines(events, state, GLYPHS)] == [
        "00:00:05.0–00:00:08.0  S1             3.0 s",
        "00:00:07.3–00:00:09.1  Alice          1.8 s",
        "                       S2 is Alice",
    ]
    assert text_of(final_lines(events, state, ASCII)[0]).startswith("00:00:05.0-00:00:08.0  S1")
    assert final_lines([], state, GLYPHS) == []


def test_merges_are_said_and_followed() -> None:
    events = events_of("1: 0-1, 2: 2-3, 3: 4-5?", names={1: "Bob"}, merged={2: 1, 3: 2})
    state = fold(StreamState(), events)
    lines = [text_of(line).strip() for line in final_lines(events, state, GLYPHS)]
    assert lines[1] == "00:00:02.0–00:00:03.0  Bob            1.0 s"
    assert lines[2:] == ["S1 is Bob", "S2 was Bob all along", "S3 was Bob all along"]
    assert [text_of(line) for line in pending_lines(state, 9, GLYPHS)] == ["00:00:04.0–00:00:05.0  Bob …"]


def test_a_name_with_control_characters_is_harmless() -> None:
    state = state_of("1: 0-1 2-3?", names={1: "\x1b[2J\nx"})
    (line,) = pending_lines(state, 1, GLYPHS)
    assert "\x1b" not in text_of(line) and "\n" not in text_of(line)


def test_only_the_last_provisional_turns_are_shown() -> None:
    state = state_of("1: 0-1? 2-3? 4-5? 6-7")
    assert [text_of(line)[:10] for line in pending_lines(state, 2, GLYPHS)] == ["00:00:02.0", "00:00:04.0"]
    assert pending_lines(state, 0, GLYPHS) == []


def test_what_is_below_is_replaced_and_never_wraps() -> None:
    scroll = Scroll(Look())
    assert scroll.update([], [(Piece("a"),), (Piece("b" * 30),)], 10) == f"a\n{'b' * 8}…\n"
    assert scroll.update([(Piece("final"),)], [(Piece("c"),)], 10) == "\x1b[2A\r\x1b[Jfinal\nc\n"
    assert scroll.update([], [], 10) == "\x1b[1A\r\x1b[J"
    assert scroll.clear() == ""


def test_airtime_follows_merges_and_counts_overlap_once() -> None:
    state = state_of("1: 0-4 10-12, 2: 3-6 20-21?, 3: 30-31", merged={2: 1})
    assert airtime(state) == {1: Airtime(at(9), 3), 3: Airtime(at(1), 1)}
    assert airtime(StreamState()) == {}


def result() -> Diarization:
    turns = (Turn(span(0, 30), "SPEAKER_00"), Turn(span(30, 40), "SPEAKER_01"))
    speakers = (Speaker("SPEAKER_00", "Alice"), Speaker("SPEAKER_01"))
    return Diarization("call", at(60), turns, turns, speakers, warnings=("it was loud",))


def test_the_end() -> None:
    found = (Difference(span(0, 1), (), ("SPEAKER_00",)), Difference(span(5, 5.5), ("SPEAKER_01",), ()))
    comparison = Comparison({"S1": "SPEAKER_00", "S3": "SPEAKER_00", "S2": "SPEAKER_01"}, found)
    assert [text_of(line) for line in ending(result(), comparison, GLYPHS)] == [
        "speaker       live           airtime  share  turns",
        "Alice         S1 S3           0:30.0    75%      1",
        "SPEAKER_01    S2              0:10.0    25%      1",
        "The final result differs from what was shown live in 2 places, 1.5 s in all.",
        "Note: it was loud",
    ]


def test_the_end_of_silence() -> None:
    silence = Diarization("call", at(60), (), (), ())
    assert [text_of(line) for line in ending(silence, Comparison({}, ()), GLYPHS)] == ["Nobody spoke."]


def test_differences_in_words() -> None:
    assert difference(Comparison({}, ())) == "The final result is what was shown live."
    assert "in 1 place, 0.2 s" in difference(Comparison({}, (Difference(span(0, 0.2), (), ("x",)),)))
