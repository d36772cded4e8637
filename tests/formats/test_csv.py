from __future__ import annotations

import csv
import io

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.csv import COLUMNS, harmless, render


def rows(diarization: Diarization) -> list[list[str]]:
    return list(csv.reader(io.StringIO(render(diarization), newline=""), strict=True))


def test_rows(meeting: Diarization, nobody: Diarization) -> None:
    assert rows(meeting)[0] == list(COLUMNS)
    assert rows(meeting)[2] == ["weekly meeting", "1.500", "5.000", "3.500", "SPEAKER_01"]
    assert render(nobody) == "recording,start,end,duration,speaker\r\n"


def test_lines_end_as_rfc_4180_says(meeting: Diarization) -> None:
    assert render(meeting).count("\r\n") == render(meeting).count("\n") == 5


def test_labels_come_back_as_they_were_unless_a_spreadsheet_would_run_them(hostile: Diarization) -> None:
    read = [row[4] for row in rows(hostile)[1:]]
    assert read == [harmless(turn.speaker) for turn in hostile.turns]
    assert "'=1+1" in read and "'--> & &amp; {b} ]]>" in read and "new\nline\r\nand\ttab" in read
    assert harmless("Ann=1") == "Ann=1"
