"""NIST CTM: `<recording> <channel> <start> <duration> <word> [<confidence> [<type> <speaker>]]`, seconds.

The last two columns are those of the NIST Rich Transcription evaluations (2004 onwards).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from speakrs_stream.errors import FormatError
from speakrs_stream.formats.text import one_word
from speakrs_stream.transcripts.shape import Group, Layout, Unit, seconds_of

NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Ctm:
    """The format."""

    name: str = "ctm"
    """What it is called on the command line."""

    suffix: str = ".ctm"
    """What its files end in."""

    def parse(self, text: str) -> list[dict[str, Any]]:
        """Lines as objects: `fields`, or `comment` for what is no word; raises FormatError with the line."""
        lines: list[dict[str, Any]] = []
        for number, line in enumerate(text.split("\n"), start=1):
            fields = line.split()
            if not fields or fields[0].startswith(";;"):
                lines.append({"comment": line.rstrip("\r")})
                continue
            if len(fields) < 5 or not all(NUMBER.fullmatch(field) for field in fields[2:4]):
                raise FormatError(
                    f"line {number}: not CTM, which has recording, channel, start, duration and word: {line[:40]!r}"
                )
            lines.append({"fields": fields})
        if lines and lines[-1] == {"comment": ""}:
            lines.pop()
        return lines

    def fits(self, document: Any) -> bool:
        """Whether there is a word at all."""
        return isinstance(document, list) and any("fields" in line for line in document)

    def layout(self, document: list[dict[str, Any]]) -> Layout:
        """One group per recording and channel."""
        groups: dict[tuple[str, str], list[Unit]] = {}
        for line in document:
            if "fields" in line:
                recording, channel, at, length, word = line["fields"][:5]
                start = seconds_of(float(at))
                end = None if start is None else seconds_of(start + float(length))
                groups.setdefault((recording, channel), []).append(Unit(line, word, start, end))
        return Layout([Group(units) for units in groups.values()])

    def dump(self, document: list[dict[str, Any]]) -> str:
        """The lines with the speaker as eighth field; `NA` and `lex` fill those before it."""
        rows = []
        for line in document:
            if "fields" not in line:
                rows.append(line["comment"])
                continue
            fields = list(line["fields"])
            if "speaker" in line:
                defaults = ("NA", "lex")
                fields += defaults[len(fields) - 5 :] if len(fields) < 7 else ()
                fields[7:8] = [one_word(str(line["speaker"]))]
            rows.append(" ".join(fields))
        return "".join(f"{row}\n" for row in rows)
