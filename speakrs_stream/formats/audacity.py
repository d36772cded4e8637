"""Audacity label track: `start<tab>end<tab>speaker`, seconds with six decimals."""

from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import one_line


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """One label per turn by start; import it with File > Import > Labels."""
    return "".join(
        f"{turn.start:.6f}\t{turn.end:.6f}\t{one_line(diarization.shown(turn.speaker))}\n"
        for turn in diarization.view(exclusive)
    )
