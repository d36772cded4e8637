"""Results that every format is tried on."""

from __future__ import annotations

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker, Turn

HOSTILE = (
    "quote \" and '",
    "new\nline\r\nand\ttab",
    "<script>alert(1)</script>",
    "a, comma; semicolon",
    "--> & &amp; {b} ]]>",
    "=1+1",
    "\u202eright-to-left\u2028",
    "Zoë 山田 🙂",
    " ",
)
"""Labels that each break some format when written as they are."""


@pytest.fixture
def meeting() -> Diarization:
    """Three speakers, one overlap, one name; 60 s."""
    turns = (
        Turn(Span(0, 32_000), "SPEAKER_00"),
        Turn(Span(24_000, 80_000), "SPEAKER_01"),
        Turn(Span(96_007, 160_013), "SPEAKER_00"),
        Turn(Span(800_000, 960_000), "SPEAKER_02"),
    )
    exclusive = (
        Turn(Span(0, 24_000), "SPEAKER_00"),
        Turn(Span(24_000, 80_000), "SPEAKER_01"),
        Turn(Span(96_007, 160_013), "SPEAKER_00"),
        Turn(Span(800_000, 960_000), "SPEAKER_02"),
    )
    speakers = (Speaker("SPEAKER_00", "Alice"), Speaker("SPEAKER_01"), Speaker("SPEAKER_02"))
    return Diarization("weekly meeting", 960_000, turns, exclusive, speakers, "embedded 1", ("cut short",))


@pytest.fixture
def hostile() -> Diarization:
    """One turn for each label of `HOSTILE`, one second each, in a recording with a bad name."""
    turns = [Turn(Span(i * 16_000, (i + 1) * 16_000), label) for i, label in enumerate(HOSTILE)]
    return Diarization.from_turns(turns, uri='</title><script>"x"\n')


@pytest.fixture
def nobody() -> Diarization:
    """Five seconds in which nobody speaks."""
    return Diarization("silence", 80_000, (), (), ())
