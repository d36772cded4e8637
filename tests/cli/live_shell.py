"""Running the live commands in this process on made-up networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from speakrs_stream.cli.main import run
from speakrs_stream.cli.shell import EngineChoice, Shell
from tests.clients.stand_ins import FakeEngine


@dataclass(frozen=True)
class Said:
    """What a run did."""

    status: int
    out: str
    err: str


Live = Callable[..., Said]


def live_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> Live:
    """Run `speakrs-stream` with the arguments given, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str | Path) -> Said:
        capsys.readouterr()

        def open_live(choice: EngineChoice) -> FakeEngine:
            return engine

        status = run([str(argument) for argument in arguments], Shell(open_live=open_live))
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return go
