"""`speakrs-stream plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]
    Make = Callable[..., Path]

RTTM = "SPEAKER talk 1 0.000 6.000 <NA> <NA> alice <NA> <NA>\n"


def test_svg_is_named_after_the_file(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/talk.rttm").write_text(RTTM)
    done = speakrs("plot", "in/talk.rttm")
    assert (done.status, done.out) == (0, "")
    assert done.err == "in/talk.rttm → talk.svg\n"
    assert "alice" in (tmp_path / "talk.svg").read_text()


def test_png_of_audio(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    done = speakrs("plot", recording("a.wav"), "-o", "deep.PNG", "--exclusive", "-q")
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "deep.PNG").read_bytes().startswith(b"\x89PNG")


def test_one_of_several_recordings_is_chosen(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "two.rttm").write_text(RTTM + RTTM.replace("talk", "other").replace("alice", "bob"))
    done = speakrs("plot", "two.rttm")
    assert done.status == 2 and "choose with --uri: talk, other" in done.err
    done = speakrs("plot", "two.rttm", "--uri", "none")
    assert done.status == 2 and "no recording 'none'" in done.err
    assert speakrs("plot", "two.rttm", "--uri", "other", "-o", "x.svg").status == 0
    assert "bob" in (tmp_path / "x.svg").read_text()


def test_no_other_kind_of_picture(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.rttm").write_text(RTTM)
    done = speakrs("plot", "talk.rttm", "-o", "talk.jpg")
    assert done.status == 2 and "ends in .svg or .png" in done.err


def test_an_empty_rttm(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.rttm").write_text("")
    done = speakrs("plot", "talk.rttm")
    assert done.status == 1 and "no turns" in done.err
