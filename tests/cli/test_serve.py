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


def test_the_address_of_the_page_is_told(tmp_path: Path) -> None:
    here = announcement(load(flags={}), 8765)
    assert here == ["captions page: http://127.0.0.1:8765/", "listening on ws://127.0.0.1:8765/v1/stream; Ctrl-C stops"]
    there = load(flags={"host": "::1", "tls_cert": "a", "tls_key": "b"})
    assert announcement(there, 9)[0] == "captions page: https://[::1]:9/"


def test_recognizers_are_listed(speakrs: Run) -> None:
    listed = speakrs("serve", "--captions", "list")
    assert listed.status == 0 and {"pocketsphinx", "faster-whisper"} <= {
        line.split(":")[0] for line in listed.out.splitlines()
    }
