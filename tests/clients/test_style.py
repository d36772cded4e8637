"""Colours as many as a terminal has, ASCII where need be, and widths that count columns."""

from __future__ import annotations

import pytest

from speakrs_clients.style import (
    ASCII,
    Glyphs,
    Look,
    Piece,
    apart,
    columns,
    cut,
    fitted,
    foreground,
    joined,
    look,
    sixth,
    text_of,
)

LINE = (Piece("one ", "dim"), Piece("two", "bold", 2), Piece(" 三"))


@pytest.mark.parametrize(
    ("environment", "terminal", "depth", "attributes"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, 24, True),
        ({"TERM": "xterm-256color"}, True, 8, True),
        ({"TERM": "xterm"}, True, 4, True),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, True, 0, True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, 8, True),
        ({"TERM": "dumb"}, True, 0, False),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, False, 0, False),
    ],
)
def test_what_a_terminal_can_show(environment: dict[str, str], terminal: bool, depth: int, attributes: bool) -> None:
    found = look(environment, terminal=terminal, encoding="utf-8")
    assert (found.depth, found.attributes, found.glyphs) == (depth, attributes, Glyphs())


@pytest.mark.parametrize(("encoding", "wanted"), [("latin-1", False), (None, False), ("UTF-8", True)])
def test_ascii_where_need_be(encoding: str | None, wanted: bool) -> None:
    assert look({}, terminal=True, encoding=encoding, ascii_only=wanted).glyphs is ASCII
    for name in Glyphs.__dataclass_fields__:
        assert getattr(ASCII, name).isascii()


def test_rendering() -> None:
    assert Look().render(LINE) == "one two 三"
    assert Look(0, True).render(LINE) == "\x1b[2mone \x1b[0m\x1b[1mtwo\x1b[0m 三"
    assert Look(4, True).render(LINE) == "\x1b[2mone \x1b[0m\x1b[1;33mtwo\x1b[0m 三"
    assert Look(24, True).render((Piece("x", "", 1),)) == "\x1b[38;2;0;114;178mx\x1b[0m"
    assert Look(8, True).render((Piece("x", "", 1),)) == "\x1b[38;5;25mx\x1b[0m"
    assert Look(4, True).render((Piece("!", "bad"), Piece("", "bad"))) == "\x1b[1;31m!\x1b[0m"


def test_colours_of_speakers_differ_and_never_end() -> None:
    assert len({foreground(number, 24) for number in range(1, 15)}) == 14
    assert len({foreground(number, 8) for number in range(1, 8)}) == 7
    assert len({foreground(number, 4) for number in range(1, 8)}) == 7
    assert foreground(100, 4) and foreground(100, 24)


def test_the_colour_cube() -> None:
    assert [sixth(value) for value in (0, 40, 60, 114, 116, 178, 255)] == [0, 0, 1, 1, 2, 3, 5]


def test_widths_count_columns() -> None:
    assert columns(LINE) == 10
    assert text_of(cut(LINE, 10)) == "one two 三"
    assert text_of(cut(LINE, 9)) == "one two …"
    assert text_of(cut((Piece("三三三"),), 4)) == "三 …"  # half a character is a blank
    assert [columns(cut(LINE, width)) for width in range(12)] == [*range(11), 10]
    assert [columns((Piece(fitted("三三 x", width)),)) for width in range(9)] == list(range(9))


def test_control_characters_cannot_get_in() -> None:
    assert fitted("a\x1b[2Jb", 12) == "a [2Jb      "


def test_left_and_right() -> None:
    line = apart((Piece("left"),), (Piece("right"),), 14)
    assert text_of(line) == "left     right"
    assert text_of(apart((Piece("left and more"),), (Piece("right"),), 14)) == "left an… right"
    assert text_of(joined([(Piece("a"),), (Piece("b"),)], Piece(" · "))) == "a · b"
