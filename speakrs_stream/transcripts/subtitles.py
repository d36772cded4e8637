"""Subtitles as transcripts: SubRip and WebVTT, every cue one unit."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from speakrs_stream.errors import FormatError
from speakrs_stream.formats.srt import plain
from speakrs_stream.formats.vtt import escaped
from speakrs_stream.transcripts.shape import Group, Layout, Unit, seconds_of

CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?"
TIMING = re.compile(rf"^[ \t]*{CLOCK}[ \t]*-->[ \t]*{CLOCK}(.*)$")
TAG = re.compile(r"<[^<>]*>")
VOICE = re.compile(r"</?v(?:[. \t][^<>]*)?>")


def _seconds(hours: str | None, minutes: str, whole: str, part: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(whole) + (float(f"0.{part}") if part else 0.0)


def _parse(text: str) -> dict[str, Any]:
    """`header` lines before the first cue, and `cues`: what stands before their timing, times and text lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    timings = [index for index, line in enumerate(lines) if TIMING.match(line)]
    cues: list[dict[str, Any]] = []
    header: list[str] = lines[: timings[0]] if timings else lines
    for position, index in enumerate(timings):
        stop = timings[position + 1] if position + 1 < len(timings) else len(lines)
        body = lines[index + 1 : stop]
        # The text ends at the first empty line; what follows it (a number, a name, a note) precedes the next cue.
        # Files without empty lines have the number of the next cue as their last line.
        end = next((i for i, line in enumerate(body) if not line.strip()), len(body))
        lead = body[end:]
        if not lead and stop < len(lines) and body and body[-1].strip().isdigit():
            lead, end = body[-1:], end - 1
        match = TIMING.match(lines[index])
        assert match
        parts = match.groups()
        cues.append(
            {
                "timing": lines[index].strip(),
                "start": _seconds(*parts[0:4]),
                "end": _seconds(*parts[4:8]),
                "lines": body[:end],
                "lead": lead,
            }
        )
    return {"header": header, "cues": cues}


@dataclass(frozen=True, slots=True)
class Subtitles:
    """SubRip or WebVTT."""

    name: str
    """What it is called on the command line: "srt" or "vtt"."""

    suffix: str
    """What its files end in."""

    def parse(self, text: str) -> dict[str, Any]:
        """The document; raises FormatError when there is no subtitle in it."""
        text = text.removeprefix("\ufeff")
        if self.name == "vtt" and not text.startswith("WEBVTT"):
            raise FormatError("line 1: not WebVTT; the first line must be WEBVTT")
        document = _parse(text)
        if not document["cues"] and (self.name == "srt" and text.strip()):
            raise FormatError("no subtitle found; a timing line looks like 00:00:01,000 --> 00:00:02,500")
        return document

    def fits(self, document: Any) -> bool:
        """Whether there are cues."""
        return isinstance(document, dict) and bool(document.get("cues"))

    def layout(self, document: dict[str, Any]) -> Layout:
        """One group and one unit for each cue, its text without tags."""
        groups = []
        for cue in document["cues"]:
            text = TAG.sub("", " ".join(line.strip() for line in cue["lines"])).strip()
            unit = Unit(
                cue,
                html.unescape(text) if self.name == "vtt" else text,
                seconds_of(cue["start"]),
                seconds_of(cue["end"]),
            )
            groups.append(Group([unit], None, unit.start, unit.end))
        return Layout(groups, whole=True)

    def dump(self, document: dict[str, Any]) -> str:
        """The file as it was, with `Name: ` before the text (SubRip) or a voice tag around it (WebVTT)."""
        lines = list(document["header"])
        for cue in document["cues"]:
            lines.append(cue["timing"])
            lines += self._spoken(cue["lines"], cue.get("speaker"))
            lines += cue["lead"]
        return "\n".join(lines).rstrip("\n") + "\n"

    def _spoken(self, text: list[str], speaker: str | None) -> list[str]:
        if speaker is None or not text:
            return text
        if self.name == "srt":
            return [f"{plain(speaker)}: {text[0]}", *text[1:]]
        bare = [VOICE.sub("", line) for line in text]
        return (
            [f"<v {escaped(speaker)}>{bare[0]}", *bare[1:-1], f"{bare[-1]}</v>"]
            if len(bare) > 1
            else [f"<v {escaped(speaker)}>{bare[0]}</v>"]
        )
