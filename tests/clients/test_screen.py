"""The whole screen: never larger than the terminal, everything where people look for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_clients.dialogue import Dialogue
from speakrs_clients.meters import Link, Pace
from speakrs_clients.screen import LevelView, Phase, View, long_clock, place, screen
from speakrs_clients.style import ASCII, Glyphs, columns, text_of
from speakrs_clients.terminal import airtime
from tests.clients.states import at, state_of

STATE = state_of("1: 10-20 30-34, 2: 33-36 40-44 50-60?, 3: 0-2", names={2: "Alice"}, merged={3: 1}, processed=60)
VIEW = View(
    device="Built-in Microphone",
    sample_rate=44_100,
    model="embedded on cpu",
    phase="listening",
    captured=at(61),
    state=STATE,
    airtime=airtime(STATE),
    pace=Pace(0.74, 12.6, 0.104),
    level=LevelView(-30.0, -14.2, None),
)


def picture(view: View, width: int = 80, height: int = 20, glyphs: Glyphs | None = None, now: float = 100.0) -> str:
    """The screen as text."""
    return "\n".join(text_of(line).rstrip() for line in screen(view, now, width, height, glyphs or Glyphs()))


def test_a_call() -> None:
    lines = picture(VIEW).splitlines()
    assert lines[0] == " speakrs-stream  ● listening                                            0:01:01"
    assert lines[1] == " Built-in Microphone · 44.1 kHz · embedded on cpu"
    assert lines[2] == " prov 0.7 s · final 12.6 s · RTF 0.10 · dropped 0"
    assert lines[3].startswith(" level ██") and "┃" in lines[3] and lines[3].endswith("−14 dB")
    assert lines[4] == "─" * 80
    assert lines[5].startswith("   S1    ") and lines[6].startswith(" ▶ Alice ")
    assert lines[7].endswith("now")
    assert "0:16" in lines[9] and "3 turns" in lines[9] and "48%" in lines[9]
    assert lines[-1] == " space pause   n name   m merge   s save   q quit"
    assert len(lines) == 20


def test_a_call_on_a_server() -> None:
    lines = picture(replace(VIEW, link=Link(waiting=0.34))).splitlines()
    assert lines[2] == " prov 0.7 s · final 12.6 s · on the way 0.3 s · dropped 0"
    lines = picture(replace(VIEW, phase="away", link=Link("x", 7.0, 2))).splitlines()
    assert "● listening, no connection" in lines[0]
    assert lines[2] == " prov 0.7 s · final 12.6 s · on the way 7.0 s · reconnected 2 · dropped 0"
    assert lines[3].endswith("−14 dB") and lines[6].startswith(" ▶ Alice "), "sound is taken all the while"


def test_ascii() -> None:
    assert picture(VIEW, glyphs=ASCII).isascii()


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        ("starting", "waiting for the first sound"),
        ("paused", "‖ paused"),
        ("lost", "microphone lost"),
        ("finishing", "finishing…"),
    ],
)
def test_phases(phase: Phase, word: str) -> None:
    drawn = picture(replace(VIEW, phase=phase))
    assert word in drawn.splitlines()[0]
    assert "▶" not in drawn or phase == "starting"
    assert "– dB" in drawn  # an old level would be a lie
    assert ("go on" in drawn) == (phase == "paused")
    assert ("Ctrl-C gives up" in drawn) == (phase == "finishing")


def test_warnings_about_the_level() -> None:
    clipped = replace(VIEW, level=LevelView(-3.0, 0.0, 98.0))
    assert "CLIPPING" in picture(clipped) and "+0 dB" in picture(clipped)
    assert "CLIPPING" not in picture(clipped, now=101.5)
    assert "is it muted?" in picture(replace(VIEW, level=LevelView(-120.0, -120.0, None)))


def test_a_machine_that_is_too_slow_and_sound_that_was_lost() -> None:
    drawn = picture(replace(VIEW, pace=Pace(9.0, None, 1.31), dropped=at(2.5)))
    assert "prov 9.0 s · final – · RTF 1.31 too slow for real time · dropped 2.5 s" in drawn


def test_questions_take_the_place_of_the_keys() -> None:
    asked = picture(replace(VIEW, dialogue=Dialogue("merge", (1,)))).splitlines()[-1]
    assert asked == " S1 is the same person as?  2 Alice  ▏  Esc"
    typed = picture(replace(VIEW, dialogue=Dialogue("rename", (2,), "Ali "))).splitlines()[-1]
    assert typed == " name of S2:  Ali ▏  Esc"


def test_messages_stand_above_the_keys() -> None:
    assert picture(replace(VIEW, message="saved\x1b[2J call.rttm")).splitlines()[-2] == " saved [2J call.rttm"


def test_many_speakers_on_a_small_screen() -> None:
    state = state_of(", ".join(f"{n}: {n}-{n + 1}" for n in range(1, 31)), processed=40)
    view = replace(VIEW, state=state, airtime=airtime(state), captured=at(40))
    drawn = picture(view, 80, 24)
    assert "S30" in drawn and "\n   S1 " not in drawn and "not heard lately" in drawn
    tall = picture(view, 80, 80)
    assert tall.count("S17 ") == 2 and "not heard lately" not in tall


def test_what_is_left_out_on_a_low_screen() -> None:
    assert "S1" in picture(VIEW, 80, 8) and "dropped" not in picture(VIEW, 80, 7)
    assert "q quit" in picture(VIEW, 80, 6)


names = st.text(max_size=40)
phases = st.sampled_from(["starting", "listening", "paused", "lost", "finishing"])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 60),
    names,
    names,
    phases,
    st.integers(0, 20),
    st.floats(-200, 10),
    st.booleans(),
)
def test_nothing_ever_sticks_out(
    width: int, height: int, name: str, message: str, phase: Phase, people: int, level: float, plain: bool
) -> None:
    state = state_of(
        ", ".join(f"{n}: {n * 2}-{n * 2 + 3}" for n in range(1, people + 1)),
        names={1: name} if people else {},
        processed=45,
    )
    view = replace(
        VIEW,
        phase=phase,
        state=state,
        airtime=airtime(state),
        message=message,
        device=name,
        level=LevelView(level, level, None),
        dialogue=Dialogue("rename", (), "") if people % 2 else Dialogue(),
    )
    lines = screen(view, 100.0, width, height, ASCII if plain else Glyphs())
    assert len(lines) <= height
    assert all(columns(line) <= width for line in lines)
    assert not any(ord(character) < 32 for line in lines for character in text_of(line))


def test_level_marks() -> None:
    assert [place(decibels, 40) for decibels in (-120.0, -60.0, -30.0, 0.0, 6.0)] == [0, 0, 20, 40, 40]


def test_elapsed_time() -> None:
    assert [long_clock(at(seconds)) for seconds in (0, 61.9, 36_000)] == ["0:00:00", "0:01:01", "10:00:00"]
