"""Text with a meaning and what it looks like on a terminal: as many colours as there are, ASCII where need be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from speakrs_stream.formats.palette import colours
from speakrs_stream.formats.text import one_line

Depth = Literal[0, 4, 8, 24]
"""Bits of colour: none, sixteen colours, 256, true colour."""

Style = Literal["", "dim", "bold", "good", "warn", "bad", "key"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text and what it means."""

    text: str
    """One line, no control characters."""

    style: Style = ""
    """How it is meant."""

    speaker: int = 0
    """Number of the speaker whose colour it has; 0 for none."""


Line = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters that drawings are made of."""

    final: str = "█"
    provisional: str = "░"
    overlap: str = "×"
    speaking: str = "▶"
    bar: str = "█"
    bar_ends: str = "▏▎▍▌▋▊▉"
    """Parts of a cell, narrowest first."""
    rest: str = "·"
    peak: str = "┃"
    rule: str = "─"
    tick: str = "┬"
    dot: str = " · "
    dash: str = "–"
    minus: str = "−"
    ellipsis: str = "…"
    cursor: str = "▏"
    lamp: str = "●"
    pause: str = "‖"
    arrow: str = "→"


ASCII = Glyphs(
    final="#",
    provisional=":",
    overlap="x",
    speaking=">",
    bar="=",
    bar_ends="",
    rest=".",
    peak="|",
    rule="-",
    tick="+",
    dot=" | ",
    dash="-",
    minus="-",
    ellipsis="...",
    cursor="_",
    lamp="*",
    pause="=",
    arrow="->",
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show."""

    depth: Depth = 0
    """Colours."""

    attributes: bool = False
    """Whether bold and dim work: on any terminal, not in a file."""

    glyphs: Glyphs = Glyphs()
    """Characters to draw with."""

    def render(self, line: Line) -> str:
        """The line with its escape sequences, if any."""
        return "".join(self._painted(piece) for piece in line)

    def _painted(self, piece: Piece) -> str:
        codes = self._codes(piece)
        return f"\x1b[{';'.join(codes)}m{piece.text}\x1b[0m" if codes and piece.text else piece.text

    def _codes(self, piece: Piece) -> list[str]:
        codes = []
        if self.attributes and piece.style in ("dim", "bold", "bad", "key"):
            codes.append("2" if piece.style == "dim" else "1")
        if self.depth:
            if piece.speaker:
                codes.append(foreground(piece.speaker, self.depth))
            elif piece.style in ("good", "warn", "bad"):
                codes.append({"good": "32", "warn": "33", "bad": "31"}[piece.style])
        return codes


def look(environment: Mapping[str, str], *, terminal: bool, encoding: str | None, ascii_only: bool = False) -> Look:
    """What can be shown, from the environment (TERM, COLORTERM, NO_COLOR) and the encoding of the output.

    terminal: whether the output is one; ascii_only: asked for by the user
    """
    plain = ascii_only or "utf" not in (encoding or "ascii").lower()
    glyphs = ASCII if plain else Glyphs()
    name = environment.get("TERM", "")
    if not terminal or name in ("dumb", "unknown"):
        return Look(0, False, glyphs)
    depth: Depth = 4
    if environment.get("NO_COLOR"):
        depth = 0
    elif environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        depth = 24
    elif "256" in name:
        depth = 8
    return Look(depth, True, glyphs)


def foreground(speaker: int, depth: Depth) -> str:
    """Parameters of the escape sequence for a speaker's colour."""
    labels = [str(number) for number in range(1, speaker + 1)]
    if depth == 4:
        return ("94", "33", "32", "91", "96", "95", "93")[(speaker - 1) % 7]
    shade = colours(labels)[str(speaker)]
    red, green, blue = (int(shade[at : at + 2], 16) for at in (1, 3, 5))
    if depth == 24:
        return f"38;2;{red};{green};{blue}"
    return f"38;5;{16 + 36 * sixth(red) + 6 * sixth(green) + sixth(blue)}"


def sixth(value: int) -> int:
    """Nearest of the six steps, 0 95 135 175 215 255, of the 256-colour cube."""
    return min(range(6), key=lambda step: abs((0, 95, 135, 175, 215, 255)[step] - value))


def columns(line: Line) -> int:
    """Columns a line takes."""
    return sum(cell_len(piece.text) for piece in line)


def cut(line: Line, width: int, ellipsis: str = "…") -> Line:
    """The line, no wider than `width`: what is too long ends in `ellipsis`."""
    if columns(line) <= width:
        return line
    room = max(0, width - cell_len(ellipsis))
    out: list[Piece] = []
    for piece in line:
        taken = min(room, cell_len(piece.text))
        out.append(Piece(set_cell_size(piece.text, taken), piece.style, piece.speaker))
        room -= taken
        if taken < cell_len(piece.text):
            break
    return (*out, Piece(ellipsis[:width], "dim"))


def fitted(text: str, width: int, ellipsis: str = "…") -> str:
    """Text of exactly `width` columns: cut, with a mark, or padded; control characters are replaced."""
    text = one_line(text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - cell_len(ellipsis))) + ellipsis[:width]


def apart(left: Line, right: Line, width: int) -> Line:
    """Two lines as one: the first at the left edge, the second at the right; the first is cut where both do not fit."""
    left = cut(left, max(0, width - columns(right) - 1))
    return (*left, Piece(" " * (width - columns(left) - columns(right))), *right)


def joined(parts: Iterable[Line], between: Piece) -> Line:
    """Lines behind each other as one, with something between."""
    out: list[Piece] = []
    for part in parts:
        if out:
            out.append(between)
        out.extend(part)
    return tuple(out)


def text_of(line: Line) -> str:
    """The line without any style."""
    return "".join(piece.text for piece in line)
