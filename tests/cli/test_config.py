"""`speakrs-stream config`: settings of a server, printed and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from speakrs_server.settings import load

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]


def test_settings_are_printed_and_read_back(speakrs: Run, tmp_path: Path) -> None:
    done = speakrs("config", "print", "--port", "9", "--set", "idle_s=7", "--data", "here")
    file = tmp_path / "server.toml"
    file.write_text(done.out, encoding="utf-8")
    found = load(file=file)
    assert (found.port, found.idle_s, found.data_dir) == (9, 7.0, "here")
    again = speakrs("config", "print", "--config", str(file))
    assert again.out == done.out


def test_checking(speakrs: Run, tmp_path: Path) -> None:
    assert speakrs("config", "check").status == 0
    for wrong in (["--set", "x"], ["--set", "nix=1"], ["--host", "0.0.0.0"], ["--set", "tokens_file=/absent"]):
        done = speakrs("config", "check", *wrong)
        assert done.status == 1 and done.err.count("\n") == 1


def test_recognizers_are_checked(speakrs: Run) -> None:
    assert speakrs("config", "check", "--captions", "tests.server.captions.voices:load").status == 0
    done = speakrs("config", "check", "--captions", "echo")
    assert done.status == 1 and "there is no captions engine 'echo'" in done.err
