from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.formats.svg import MANY, Layout, moment, render, tick_step, timeline

SVG = "{http://www.w3.org/2000/svg}"


def bars(picture: str) -> list[ET.Element]:
    """The rectangles of turns."""
    return [rect for group in ET.fromstring(picture).iter(f"{SVG}g") for rect in group.iter(f"{SVG}rect")]


def test_every_turn_is_a_bar_with_a_hint(meeting: Diarization) -> None:
    drawn = bars(render(meeting))
    assert len(drawn) == 4
    hints = [bar.findtext(f"{SVG}title") for bar in drawn]
    assert hints[0] == "Alice · 0:00 to 0:02 (2.0 s)"
    lanes = {bar.get("y") for bar in drawn}
    assert len(lanes) == 3


def test_bars_lie_in_proportion() -> None:
    turns = [Turn(Span(0, 400), "A"), Turn(Span(800, 1600), "A")]
    first, second = bars(timeline(Diarization.from_turns(turns), layout=Layout(width=1032, gutter=0)))
    assert (float(first.get("x", 0)), float(first.get("width", 0))) == (16, 250)
    assert (float(second.get("x", 0)), float(second.get("width", 0))) == (516, 500)


def test_a_part_shows_only_what_lies_in_it(meeting: Diarization) -> None:
    part = timeline(meeting, within=Span(30_000, 100_000), layout=Layout(width=732, gutter=0))
    edges = [(float(b.get("x", 0)), float(b.get("x", 0)) + float(b.get("width", 0))) for b in bars(part)]
    assert len(edges) == 3 and all(16 <= left < right <= 716.01 for left, right in edges)


def test_labels_are_text_and_nothing_else(hostile: Diarization) -> None:
    picture = ET.fromstring(render(hostile))
    assert not list(picture.iter(f"{SVG}script"))
    assert "<script>alert(1)</script>" in [text.text for text in picture.iter(f"{SVG}text")]


def test_it_says_in_words_what_it_shows(meeting: Diarization, nobody: Diarization) -> None:
    root = ET.fromstring(render(meeting))
    assert root.get("role") == "img"
    assert (
        root.get("aria-label") == "Who spoke when in weekly meeting, 60 s: SPEAKER_02 10 s, Alice 6 s, SPEAKER_01 4 s"
    )
    assert "nobody speaks" in render(nobody)


def test_thousands_of_turns_become_one_shape_for_each_speaker() -> None:
    turns = [Turn(Span(i * 2_000, i * 2_000 + 1_000), f"S{i % 2}") for i in range(MANY + 1)]
    picture = render(Diarization.from_turns(turns))
    assert len(list(ET.fromstring(picture).iter(f"{SVG}path"))) == 2 and not bars(picture)
    assert len(picture) < 40 * MANY


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1, 9, 10, 61, 599, 3600, 43_200, 10**6])
def test_ticks_are_few_but_there(seconds: float) -> None:
    assert 1 <= seconds / tick_step(seconds, 9) <= 9 or seconds < 0.1


def test_moments() -> None:
    assert [moment(s * 16_000) for s in (0, 61, 3_723)] == ["0:00", "1:01", "1:02:03"]
    assert moment(24_000, tenths=True) == "0:01.5"
