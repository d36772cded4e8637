from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.rttm import read_rttm, render


def test_lines_are_as_nist_wants_them(meeting: Diarization) -> None:
    assert render(meeting) == (
        "SPEAKER weekly_meeting 1 0.000 2.000 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER weekly_meeting 1 1.500 3.500 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
        "SPEAKER weekly_meeting 1 6.000 4.001 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER weekly_meeting 1 50.000 10.000 <NA> <NA> SPEAKER_02 <NA> <NA>\n"
    )


def test_lines_are_sorted_by_start_then_speaker() -> None:
    turns = [Turn(Span(0, 160_000), "B"), Turn(Span(0, 320_000), "A"), Turn(Span(3, 100_000), "AA")]
    rows = [line.split()[7] for line in render(Diarization.from_turns(turns)).splitlines()]
    assert rows == ["A", "AA", "B"]  # 3 samples are no millisecond


def test_turns_that_meet_still_meet_after_rounding() -> None:
    turns = [Turn(Span(i * 1_007, (i + 1) * 1_007), f"S{i % 2}") for i in range(500)]
    read = read_rttm(render(Diarization.from_turns(turns, uri="x")))["x"]
    assert all(a.span.end == b.span.start for a, b in pairwise(read))


def test_labels_with_blanks_stay_one_field_and_stay_apart(hostile: Diarization) -> None:
    lines = render(hostile).splitlines()
    assert len(lines) == 9 and all(len(line.split()) == 10 for line in lines)
    assert len({line.split()[7] for line in lines}) == 9


def test_reading_is_tolerant(tmp_path: Path) -> None:
    text = (
        "\ufeff;; a comment\r\n"
        "SPKR-INFO x 1 <NA> <NA> <NA> unknown A <NA>\r\n"
        "\r\n"
        "SPEAKER x 1 1.5 0.5 <NA> <NA> B <NA> <NA>\r\n"
        "SPEAKER\tx\t1\t0\t1e0\t<NA>\t<NA>\tA\r\n"
        "SPEAKER x 1 3 0 <NA> <NA> nothing <NA>\r\n"
        "SPEAKER y 1 0.000 1.000 <NA> <NA> A <NA> <NA>"
    )
    path = tmp_path / "two.rttm"
    path.write_text(text, encoding="utf-8")
    expected = {
        "x": [Turn(Span(0, 16_000), "A"), Turn(Span(24_000, 32_000), "B")],
        "y": [Turn(Span(0, 16_000), "A")],
    }
    assert read_rttm(path) == read_rttm(str(path)) == read_rttm(text) == expected
    assert read_rttm("") == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("SPEAKER x 1 0.0 1.0 <NA> <NA>", "line 2: a SPEAKER line has at least 8 fields, this one has 7"),
        ("SPEAKER x 1 -1 1.0 <NA> <NA> A", "line 2: start is '-1'"),
        ("SPEAKER x 1 0 nan <NA> <NA> A", "line 2: duration is 'nan'"),
        ("SPEAKER x 1 0 inf <NA> <NA> A", "line 2: duration is 'inf'"),
        ("SPEAKER x 1 zero 1 <NA> <NA> A", "line 2: start is 'zero'"),
        ("hello there", "line 2: not RTTM"),
    ],
)
def test_errors_name_the_line(line: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        read_rttm(f"SPEAKER x 1 0 1 <NA> <NA> A <NA> <NA>\n{line}\n")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file"):
        read_rttm(tmp_path / "nothing.rttm")
