from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.uem import render


def test_the_whole_recording(meeting: Diarization, hostile: Diarization) -> None:
    assert render(meeting) == "weekly_meeting 1 0.000 60.000\n"
    assert len(render(hostile).split()) == 4
