from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.txt import render


def test_a_line_per_turn(meeting: Diarization, hostile: Diarization, nobody: Diarization) -> None:
    assert render(meeting).splitlines()[1] == "00:00:01.500 - 00:00:05.000  SPEAKER_01"
    assert len(render(hostile).splitlines()) == 9
    assert render(nobody) == ""
