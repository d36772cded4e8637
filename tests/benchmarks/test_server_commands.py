"""`python -m benchmarks server …`: each measurement runs, small, and says what it found and where."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.server_commands import noise, percentile, server_command, voices

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_sound() -> None:
    assert len(noise(1.5)) == 48_000 and len(voices(20)) == 640_000
    assert percentile([], 50) is None and percentile([1, 2, 3], 50) == 2


@linux
def test_a_small_run(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = ["sessions", "--count", "3", "--seconds", "4", "--out", str(out)]
    done = CliRunner().invoke(server_command, command, catch_exceptions=False)
    assert done.exit_code == 0 and "cores" in done.output
    figures = json.loads(out.read_text(encoding="utf-8"))["figures"]
    assert (figures["whole"], figures["went_wrong"]) == (3, {})
    assert figures["exit_status"] == 0 and figures["shutdown_s"] < 25


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["faults", "--faults", "40", "--callers", "8", "--seconds", "10"],
        ["stalled", "--viewers", "20", "--stalled", "10", "--seconds", "20"],
        ["drain", "--sessions", "20", "--stalled", "5"],
        ["slowloris", "--count", "200"],
        ["memory", "--hours", "1"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.timeout(900)
def test_larger_runs(command: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(server_command, command, catch_exceptions=False)
    assert done.exit_code == 0
