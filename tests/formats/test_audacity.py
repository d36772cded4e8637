from __future__ import annotations

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.audacity import render


def test_labels(meeting: Diarization) -> None:
    assert render(meeting).splitlines()[:2] == ["0.000000\t2.000000\tAlice", "1.500000\t5.000000\tSPEAKER_01"]


def test_every_line_has_three_fields(hostile: Diarization, nobody: Diarization) -> None:
    assert [len(line.split("\t")) for line in render(hostile).split("\n")[:-1]] == [3] * 9
    assert render(nobody) == ""
