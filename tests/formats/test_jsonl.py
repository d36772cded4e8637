from __future__ import annotations

import json

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.jsonl import render


def test_one_turn_per_line(meeting: Diarization) -> None:
    rows = [json.loads(line) for line in render(meeting).splitlines()]
    assert rows[1] == {"uri": "weekly meeting", "start": 1.5, "end": 5.0, "speaker": "SPEAKER_01"}
    assert [row["start"] for row in rows] == [turn.start for turn in meeting.turns]
    assert len(render(meeting, exclusive=True).splitlines()) == len(meeting.exclusive)


def test_no_label_breaks_a_line(hostile: Diarization, nobody: Diarization) -> None:
    assert [json.loads(line)["speaker"] for line in render(hostile).splitlines()] == [t.speaker for t in hostile.turns]
    assert render(nobody) == ""
