"""Recordings with their annotations, and what counts of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled
from speakrs_stream.tuning.recordings import Annotated, find, read_uem, within

RTTM = "SPEAKER a 1 0.0 4.0 <NA> <NA> ann <NA> <NA>\nSPEAKER a 1 3.0 3.0 <NA> <NA> bob <NA> <NA>\n"


def test_sound_with_an_rttm_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("sub/a.wav", "b.flac", "c.mp3"):
        (tmp_path / name).touch()
    (tmp_path / "sub/a.rttm").write_text(RTTM)
    (tmp_path / "b.rttm").write_text(RTTM)
    (tmp_path / "b.uem").write_text(";; what counts\nb 1 0 1\nb 1 0.5 2\nb 1 3 4\n")
    first, second = find(tmp_path)
    assert (first.name, first.regions, len(first.reference)) == ("b", ((0.0, 2.0), (3.0, 4.0)), 2)
    assert (second.name, second.regions) == ("a", None)


def test_only_what_counts_is_scored() -> None:
    reference = (Labelled(0, 4, "ann"), Labelled(3, 6, "bob"))
    wrong_later = [Labelled(0, 2, "x"), Labelled(2, 6, "y")]
    whole = Annotated("a", Path("a.wav"), reference).score(wrong_later)
    part = Annotated("a", Path("a.wav"), reference, ((0.0, 2.0),)).score(wrong_later)
    assert (whole.total, part.total) == (7.0, 2.0) and part.der == 0.0 < whole.der
    assert within(reference, [(1, 3.5), (5, 9)]) == [
        Labelled(1, 3.5, "ann"),
        Labelled(3, 3.5, "bob"),
        Labelled(5, 6, "bob"),
    ]


def test_what_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a folder"):
        find(tmp_path / "absent")
    with pytest.raises(FormatError, match="no recording below"):
        find(tmp_path)
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.rttm").write_text(RTTM.replace(" a ", " x ", 1).replace(" a ", " y ", 1))
    with pytest.raises(FormatError, match="speaks of x, y but not of a"):
        find(tmp_path)
    (tmp_path / "a.rttm").write_text(RTTM)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.wav").touch()
    (tmp_path / "more/a.rttm").write_text(RTTM)
    with pytest.raises(FormatError, match="two recordings are called a"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a 1 0\n", "line 1: a UEM line"),
        ("a 1 2 1\n", "ends after it starts"),
        ("", "nothing of a"),
        ("b 1 0 1\nc 1 0 1", "nothing of a"),
    ],
)
def test_damaged_uem(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.uem"
    path.write_text(text)
    with pytest.raises(FormatError, match=says):
        read_uem(path, "a")
