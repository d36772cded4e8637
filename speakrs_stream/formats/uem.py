"""NIST UEM: the stretch of a recording that was diarized, for scoring tools: `<recording> 1 0.000 <end>`."""

from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import milliseconds, one_word


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """The whole recording as one line; there are no turns in it, so `exclusive` has nothing to choose."""
    ms = milliseconds(diarization.samples)
    return f"{one_word(diarization.uri)} 1 0.000 {ms // 1000}.{ms % 1000:03}\n"
