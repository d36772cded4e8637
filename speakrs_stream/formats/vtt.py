"""WebVTT subtitles: one cue per turn with a voice tag (W3C WebVTT 1, section 3.2)."""

from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import clock_ms, cue_times, one_line


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """Cues by start, `<v Alice>[Alice]</v>`; turns that overlap give cues that overlap."""
    cues = []
    for turn in diarization.view(exclusive):
        name = escaped(diarization.shown(turn.speaker))
        cues.append(cue(*cue_times(turn.span), f"<v {name}>[{name}]</v>"))
    return "WEBVTT\n\n" + "".join(cues)


def cue(start: int, end: int, text: str) -> str:
    """One cue; times in milliseconds, text with its tags."""
    return f"{clock_ms(start)} --> {clock_ms(end)}\n{text}\n\n"


def escaped(text: str) -> str:
    """Text for between or inside tags: one line, `&`, `<` and `>` as references."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
