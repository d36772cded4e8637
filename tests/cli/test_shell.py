"""Messages and consoles."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from speakrs_stream.cli.shell import Shell, ascii_only, blame, console, interactive, say, shown
from speakrs_stream.errors import BadFormat


def test_file_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(Path("a\x1b[2Jb\nc.wav")) == "a [2Jb c.wav"
    shown("caf\udce9.wav").encode()
    blame(Shell(), Path("a\x1b[2Jb\nc.wav"), BadFormat("a\x1b[2Jb\nc.wav is empty"))
    assert capsys.readouterr().err == "speakrs-stream: a [2Jb c.wav is empty\n"


def test_blame_names_the_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    blame(Shell(), Path("a.wav"), BadFormat("a.wav is empty"))
    blame(Shell(), Path("a.wav"), BadFormat("it is empty"))
    blame(Shell(), None, KeyError("x"))
    assert capsys.readouterr().err.splitlines() == [
        "speakrs-stream: a.wav is empty",
        "speakrs-stream: a.wav: it is empty",
        "speakrs-stream: internal error, KeyError: 'x' "
        "(run it again with --debug for the traceback, and please report it)",
    ]


def test_debugging_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise BadFormat("it is empty")
    except BadFormat as error:
        blame(Shell(debug=True), None, error)
    assert "Traceback" in capsys.readouterr().err


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    say("nothing", quiet=True)
    say("something", quiet=False)
    assert capsys.readouterr() == ("", "something\n")


def test_streams() -> None:
    assert ascii_only(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert not ascii_only(io.TextIOWrapper(io.BytesIO(), encoding="UTF-8"))
    assert not interactive(io.StringIO())


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console().no_color
