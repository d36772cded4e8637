"""Every way to write a result down: a name, its file suffix and its writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import ConfigError
from speakrs_stream.formats import audacity, csv, html, json, jsonl, rttm, srt, svg, textgrid, txt, uem, vtt
from speakrs_stream.formats.atomic import write_bytes_atomically, write_text_atomically
from speakrs_stream.formats.rttm import read_rttm

__all__ = ["FORMATS", "Writer", "format_of", "read_rttm", "render", "write", "write_text_atomically"]


class Renderer(Protocol):
    """Turns a result into text."""

    def __call__(self, diarization: Diarization, *, exclusive: bool = False) -> str: ...


@dataclass(frozen=True, slots=True)
class Writer:
    """One text format."""

    name: str
    """What it is called on the command line."""

    suffix: str
    """What its files end in, with the dot."""

    description: str
    """What it is for, in a few words."""

    render: Renderer
    """Result in, text out."""


FORMATS: Final[Mapping[str, Writer]] = MappingProxyType(
    {
        writer.name: writer
        for writer in (
            Writer("rttm", ".rttm", "NIST RTTM, for scoring tools", rttm.render),
            Writer("json", ".json", "the whole result, read back by Diarization.from_json", json.render),
            Writer("jsonl", ".jsonl", "one turn per line as JSON", jsonl.render),
            Writer("srt", ".srt", "SubRip subtitles", srt.render),
            Writer("vtt", ".vtt", "WebVTT subtitles with voice tags", vtt.render),
            Writer("csv", ".csv", "a table for spreadsheets", csv.render),
            Writer("textgrid", ".TextGrid", "Praat, one tier per speaker", textgrid.render),
            Writer("audacity", ".audacity.txt", "Audacity labels", audacity.render),
            Writer("txt", ".txt", "a list for people", txt.render),
            Writer("uem", ".uem", "which part of the recording was looked at", uem.render),
            Writer("html", ".html", "a report in one file, works offline", html.render),
            Writer("svg", ".svg", "the timeline as a picture", svg.render),
        )
    }
)
"""Name -> text format, in the order they are listed to people."""


def render(diarization: Diarization, format: str, *, exclusive: bool = False) -> str:
    """The result as text.

    format: a key of `FORMATS`; raises ConfigError for another
    exclusive: the turns with one speaker at a time. `json` always has both views; in `html` both are counted and
    this one is drawn; in `uem` there are no turns.
    """
    if format not in FORMATS:
        hint = "; png is a picture, use write()" if format == "png" else ""
        raise ConfigError(f"there is no text format {format!r}; choose one of {', '.join(FORMATS)}{hint}")
    return FORMATS[format].render(diarization, exclusive=exclusive)


def format_of(path: str | os.PathLike[str]) -> str:
    """Format that a file's suffix stands for; raises ConfigError when it stands for none."""
    name = Path(path).name.lower()
    known = {writer.suffix.lower(): writer.name for writer in FORMATS.values()} | {".htm": "html", ".png": "png"}
    for suffix in sorted(known, key=len, reverse=True):
        if name.endswith(suffix):
            return known[suffix]
    raise ConfigError(
        f"the name {name!r} tells no format; give it one of the suffixes {', '.join(sorted(known))}, or name the format"
    )


def write(
    diarization: Diarization, path: str | os.PathLike[str], format: str | None = None, *, exclusive: bool = False
) -> Path:
    """Write a file, whole or not at all, and return its path; see `Diarization.write`."""
    name = format_of(path) if format is None else format.lower()
    if name == "png":
        from speakrs_stream.formats.png import render as picture

        return write_bytes_atomically(path, picture(diarization, exclusive=exclusive))
    return write_text_atomically(path, render(diarization, name, exclusive=exclusive))
