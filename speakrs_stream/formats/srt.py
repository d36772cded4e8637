"""SubRip subtitles: one numbered cue per turn that shows the speaker's name."""

from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import clock_ms, cue_times, one_line


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """Cues by start; turns that overlap give cues that overlap, which players show below each other."""
    return "".join(
        cue(number, *cue_times(turn.span), f"[{plain(diarization.shown(turn.speaker))}]")
        for number, turn in enumerate(diarization.view(exclusive), start=1)
    )


def cue(number: int, start: int, end: int, text: str) -> str:
    """One cue; times in milliseconds."""
    return f"{number}\n{clock_ms(start, ',')} --> {clock_ms(end, ',')}\n{text}\n\n"


def plain(text: str) -> str:
    """Text that a player shows as it is: no line breaks, no tags, no arrow of a timing line.

    SubRip has no way to escape, so `<`, `>`, `{` and `}` become look-alikes.
    """
    return one_line(text).translate(LOOK_ALIKES)


LOOK_ALIKES = str.maketrans("<>{}", "‹›❴❵")
