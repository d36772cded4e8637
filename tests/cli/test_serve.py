"""`speakrs-stream serve`, as far as it does not listen; that it does is in tests/server/test_serving.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from speakrs_server.settings import load
from speakrs_stream.cli.serve import announcement

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]


def test_settings_are_printed_and_read_back(speakrs: Run, tmp_path: Path) -> None:
    done = speakrs("serve", "--print-config", "--port", "9", "--set", "idle_s=7", "--data", "here")
    file = tmp_path / "server.toml"
    file.write_text(done.out, encoding="utf-8")
    found = load(file=file)
    assert (found.port, found.idle_s, found.data_dir) == (9, 7.0, "here")
    again = speakrs("serve", "--print-config", "--config", str(file))
    assert again.out == done.out


def test_the_address_of_the_page_is_told(tmp_path: Path) -> None:
    here = announcement(load(flags={}), 8765)
    assert here == ["captions page: http://127.0.0.1:8765/", "listening on ws://127.0.0.1:8765/v1/stream; Ctrl-C stops"]
    there = load(flags={"host": "::1", "tls_cert": "a", "tls_key": "b"})
    assert announcement(there, 9)[0] == "captions page: https://[::1]:9/"


def test_checking(speakrs: Run, tmp_path: Path) -> None:
    assert speakrs("serve", "--check").status == 0
    for wrong in (["--set", "x"], ["--set", "nix=1"], ["--host", "0.0.0.0"], ["--set", "tokens_file=/absent"]):
        done = speakrs("serve", "--check", *wrong)
        assert done.status == 1 and done.err.count("\n") == 1


def test_recognizers_are_listed_and_checked(speakrs: Run) -> None:
    listed = speakrs("serve", "--captions", "list")
    assert listed.status == 0 and {"pocketsphinx", "faster-whisper"} <= {
        line.split(":")[0] for line in listed.out.splitlines()
    }
    assert speakrs("serve", "--check", "--captions", "tests.server.captions.voices:load").status == 0
    done = speakrs("serve", "--check", "--captions", "echo")
    assert done.status == 1 and "there is no captions engine 'echo'" in done.err
