"""How far, how fast, how long still."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from speakrs_stream.cli.progress import Silent, Tally, download_bar, pace, reporter
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.engine import Progress


def inferred(seconds: float) -> Progress:
    return Progress("inference", round(seconds * SAMPLE_RATE), None)


def test_a_tally_over_two_recordings() -> None:
    tally = Tally([60 * SAMPLE_RATE, 40 * SAMPLE_RATE], now=100.0)
    assert tally.describe(100.0) == "0:00 of 1:40"
    tally.advance(0, inferred(20))
    assert tally.times_real_time(102.0) == pytest.approx(10.0)
    assert tally.left(102.0) == pytest.approx(8.0)
    assert tally.describe(102.0) == "0:20 of 1:40 · 10× real time · 0:08 left"
    tally.finish(0)
    tally.advance(1, inferred(20))
    assert tally.describe(108.0) == "1:20 of 1:40 · 10× real time · 0:02 left"
    tally.finish(1)
    assert tally.left(110.0) == 0


def test_reports_never_go_back_or_past_the_end() -> None:
    tally = Tally([10 * SAMPLE_RATE], now=0.0)
    tally.advance(0, inferred(8))
    tally.advance(0, inferred(6))
    assert tally.done == 8 * SAMPLE_RATE
    tally.advance(0, Progress("clustering", 10 * SAMPLE_RATE, 10 * SAMPLE_RATE))
    assert tally.done == 8 * SAMPLE_RATE
    tally.advance(0, inferred(12))
    assert tally.done == tally.total


def test_recordings_of_unknown_length_do_not_break_it() -> None:
    tally = Tally([0], now=0.0)
    tally.advance(0, inferred(5))
    assert tally.describe(1.0) == "0:00 of 0:00"


@pytest.mark.parametrize(("rate", "text"), [(0.84, "0.8×"), (4.26, "4.3×"), (45.4, "45×")])
def test_pace(rate: float, text: str) -> None:
    assert pace(rate) == text


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(["a.wav"], [SAMPLE_RATE], quiet=False) as bar:
        assert isinstance(bar, Silent)
        bar.advance(0, inferred(1))
        bar.finish(0)
    assert capsys.readouterr() == ("", "")


SCRIPT = """
import time
from speakrs_stream.cli.progress import reporter
from speakrs_stream.engine import Progress
with reporter(["[bold]a.wav", "b.wav"], [160_000, 160_000], quiet=False) as bar:
    bar.advance(0, Progress("inference", 80_000, 160_000))
    bar.finish(0)
    time.sleep(0.3)  # the bar is drawn ten times a second
    bar.advance(1, Progress("inference", 80_000, 160_000))
    time.sleep(0.3)
    print("a result")
    bar.finish(1)
"""


def on_a_terminal(script: str, **environment: str) -> tuple[str, str]:
    """Standard output and what a terminal on standard error saw."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
        cwd=Path(__file__).parent.parent.parent,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        seen += piece
    assert process.stdout is not None
    with process:
        out = process.stdout.read()
    os.close(leader)
    assert process.returncode == 0, seen
    return out.decode(), seen.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
def test_a_terminal_sees_a_bar_and_standard_output_stays_clean() -> None:
    out, seen = on_a_terminal(SCRIPT)
    assert out == "a result\n"
    assert "[bold]a.wav" in seen  # a file's name is not markup
    assert "2/2 b.wav" in seen
    assert "0:20 of 0:20" in seen


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
def test_a_dumb_terminal_sees_nothing_and_no_color_is_honoured() -> None:
    assert on_a_terminal(SCRIPT, TERM="dumb") == ("a result\n", "")
    _, seen = on_a_terminal(SCRIPT, NO_COLOR="1")
    assert "b.wav" in seen
    assert "\x1b[3" not in seen and "\x1b[38" not in seen


DOWNLOAD = """
import time
from speakrs_stream.cli.progress import download_bar
from speakrs_stream.models.hub import DownloadProgress
with download_bar() as report:
    if report is not None:
        report(DownloadProgress("trunk.onnx", 1_000_000, 4_000_000))
        time.sleep(0.3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
def test_a_download_shows_a_bar_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    out, seen = on_a_terminal(DOWNLOAD)
    assert out == ""
    assert "trunk.onnx" in seen and "1.0/4.0 MB" in seen
    assert on_a_terminal(DOWNLOAD, TERM="dumb") == ("", "")
    with download_bar() as report:
        assert report is None
    with download_bar(quiet=True) as report:
        assert report is None
    assert capsys.readouterr() == ("", "")
