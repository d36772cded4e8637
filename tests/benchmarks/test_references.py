"""Reading references in exact seconds, and finding their audio."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.references import find_pairs, read_rttm, rttm_text
from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled

LINES = """;; a comment
SPEAKER one 1 2.5 1.25 <NA> <NA> B <NA> <NA>
SPEAKER one 1 0.1000001 0.2 <NA> <NA> A <NA> <NA>
SPKR-INFO one 1 <NA> <NA> <NA> unknown A <NA> <NA>

SPEAKER two 1 0 1 <NA> <NA> A <NA> <NA>
"""


def test_times_stay_exact(tmp_path: Path) -> None:
    path = tmp_path / "x.rttm"
    path.write_text(LINES)
    recordings = read_rttm(path)
    assert recordings["one"] == [Labelled(0.1000001, 0.1000001 + 0.2, "A"), Labelled(2.5, 3.75, "B")]
    assert recordings["two"] == [Labelled(0.0, 1.0, "A")]


def test_written_turns_read_back(tmp_path: Path) -> None:
    turns = [Labelled(0.25, 1.5, "A"), Labelled(1.0, 2.125, "Ünal")]
    path = tmp_path / "x.rttm"
    path.write_text(rttm_text("x", reversed(turns)), encoding="utf-8")
    assert read_rttm(path) == {"x": turns}


@pytest.mark.parametrize("line", ["SPEAKER one 1 soon 1 <NA> <NA> A", "SPEAKER one 1 0"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.rttm"
    path.write_text("SPEAKER one 1 0 1 <NA> <NA> A <NA> <NA>\n" + line + "\n")
    with pytest.raises(FormatError, match=r"x\.rttm, line 2"):
        read_rttm(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="cannot be read"):
        read_rttm(path)


def test_pairs_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, uri in [("a", "another"), ("deep/b", "b"), ("c", "c")]:
        (tmp_path / f"{name}.rttm").write_text(f"SPEAKER {uri} 1 0 1 <NA> <NA> {uri} <NA> <NA>\n")
    (tmp_path / "a.flac").touch()
    (tmp_path / "deep" / "b.WAV").touch()
    (tmp_path / "lonely.wav").touch()
    pairs = find_pairs(tmp_path)
    assert [pair.uri for pair in pairs] == ["a", "b"]
    assert pairs[0].reference[0].speaker == "another"


def test_no_pair_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a folder"):
        find_pairs(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="beside it"):
        find_pairs(tmp_path)
    (tmp_path / "c.wav").touch()
    (tmp_path / "c.rttm").write_text(LINES)
    with pytest.raises(FormatError, match="one, two but not of c"):
        find_pairs(tmp_path)
