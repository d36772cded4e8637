"""A list for people: `00:00:01.200 - 00:00:04.000  Alice`."""

from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import clock, one_line


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """One line per turn by start; nothing at all when nobody speaks."""
    return "".join(
        f"{clock(turn.span.start)} - {clock(turn.span.end)}  {one_line(diarization.shown(turn.speaker))}\n"
        for turn in diarization.view(exclusive)
    )
