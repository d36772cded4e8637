"""`speakrs-stream diarize`: names, formats, failures, exit statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speakrs_stream.formats import read_rttm

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]
    Make = Callable[..., Path]


def test_one_file(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    done = speakrs("diarize", recording("in/meeting.wav"))
    assert (done.status, done.out) == (0, "")
    assert "meeting.wav: 2 speakers, 2 turns in 0:02 (" in done.err and "→ meeting.rttm" in done.err
    assert (tmp_path / "meeting.rttm").read_text() == (
        "SPEAKER meeting 1 0.000 1.000 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER meeting 1 1.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_every_format_into_a_folder_that_is_made(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    formats = "rttm,json,srt,vtt,csv,textgrid,audacity,html"
    done = speakrs("diarize", recording("a.wav"), "--format", formats, "-f", "txt", "-d", "out/deep", "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "out/deep").iterdir()) == sorted(
        ["a.rttm", "a.json", "a.srt", "a.vtt", "a.csv", "a.TextGrid", "a.audacity.txt", "a.html", "a.txt"]
    )
    assert json.loads((tmp_path / "out/deep/a.json").read_text())["uri"] == "a"


def test_standard_output(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    first, second = recording("a.wav"), recording("b.flac", rate=44_100)
    done = speakrs("diarize", first, second, "-o", "-")
    assert done.status == 0
    assert set(read_rttm(done.out)) == {"a", "b"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.flac"]
    assert speakrs("diarize", first, "-o", "-", "-f", "json", "-q").out.startswith("{")


def test_one_named_file(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    done = speakrs("diarize", recording("a.wav"), "-o", "captions.srt")
    assert done.status == 0
    assert "-->" in (tmp_path / "captions.srt").read_text()
    assert speakrs("diarize", recording("a.wav"), "-o", "turns").status == 0
    assert (tmp_path / "turns").read_text().startswith("SPEAKER a 1")


def test_one_bad_file_is_reported_and_the_rest_done(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    good, also = recording("good.wav"), recording("also.wav")
    text = tmp_path / "text.wav"
    text.write_text("not a sound")
    done = speakrs("diarize", good, text, tmp_path / "missing.wav", tmp_path, also, recording("bug.wav"))
    assert done.status == 1
    assert (tmp_path / "good.rttm").exists() and (tmp_path / "also.rttm").exists()
    assert not list(tmp_path.glob("*.partial")) and not (tmp_path / "bug.rttm").exists()
    errors = [line for line in done.err.splitlines() if line.startswith("speakrs-stream: ")]
    assert len(errors) == 5
    assert "no such file" in done.err and "is a directory" in done.err
    assert "internal error, ZeroDivisionError" in done.err
    assert errors[-1].endswith("4 of 6 files failed")
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback_wherever_it_stands(speakrs: Run, recording: Make) -> None:
    bug = recording("bug.wav")
    assert "Traceback" in speakrs("--debug", "diarize", bug).err
    assert "Traceback" in speakrs("diarize", bug, "--debug").err


def test_only_bad_files_open_no_engine(speakrs: Run, tmp_path: Path) -> None:
    done = speakrs("diarize", tmp_path / "missing.wav")
    assert done.status == 1
    assert done.engines == []
    assert done.err.count("\n") == 1


def test_two_files_of_one_name_do_not_overwrite_each_other(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    done = speakrs("diarize", recording("a/x.wav", 1.0), recording("b/x.wav", 3.0))
    assert done.status == 0
    assert "results are called x-2" in done.err
    assert read_rttm(tmp_path / "x.rttm")["x"][-1].end == 1.0
    assert read_rttm(tmp_path / "x-2.rttm")["x-2"][-1].end == 3.0


def test_options_reach_the_engine(speakrs: Run, recording: Make) -> None:
    path = recording("a.wav")
    done = speakrs(
        *("diarize", path, "--bundle", "community-1", "--backend", "cpu", "--step", "2", "--threads", "3"),
        *("--min-speakers", "2", "--max-speakers", "4"),
    )
    (engine,) = done.engines
    choice = engine.choice
    assert (choice.bundle, choice.backend, choice.step, choice.threads) == ("community-1", "cpu", 2.0, 3)
    asked = engine.asked[0]
    assert (asked["num"], asked["min"], asked["max"]) == (None, 2, 4)
    (engine,) = speakrs("diarize", path, "--num-speakers", "3").engines
    assert engine.asked[0]["num"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--step", "3"], "'3' is not one of"),
        (["--num-speakers", "0"], "0 is not in the range"),
        (["--num-speakers", "2", "--min-speakers", "1"], "leave out"),
        (["--min-speakers", "5", "--max-speakers", "2"], "is more than"),
        (["--format", "rttm,doc"], "no format 'doc'"),
        (["-o", "-", "-f", "rttm,json"], "one format"),
        (["-o", "-", "-d", "out"], "use one of them"),
        (["-o", "x.png"], "speakrs-stream plot"),
        (["-o", "a.wav"], "overwritten"),
        (["b.wav", "-o", "x.rttm"], "several files"),
        (["b.wav", "-o", "-", "-f", "json"], "cannot follow each other"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_usage(speakrs: Run, recording: Make, arguments: list[str], said: str) -> None:
    recording("a.wav")
    done = speakrs("diarize", "a.wav", *arguments)
    assert done.status == 2
    assert said in done.err
    assert done.engines == []


def test_a_full_disk_leaves_no_half_file(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = speakrs("diarize", recording("a.wav"), "-o", "/dev/full")
    assert done.status == 1
    assert "cannot write /dev/full" in done.err and done.err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_noticed_before_the_work(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = speakrs("diarize", recording("a.wav"), "-d", "out/deep")
    assert done.status == 1
    assert "cannot create the folder" in done.err
    assert done.engines == []


SLOW = """
import sys, time
from speakrs_stream.cli.main import run
from speakrs_stream.cli.shell import Shell
from speakrs_stream.errors import Cancelled

class Slow:
    backend_name = "slow"
    def diarize(self, audio, *, cancel, **options):
        print("begun", flush=True)
        while not cancel():
            time.sleep(0.01)
        raise Cancelled("stopped as asked")

sys.exit(run(["diarize", *sys.argv[1:]], Shell(lambda choice: Slow())))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a Unix thing")
def test_ctrl_c_stops_soon_with_its_own_status_and_leaves_nothing(recording: Make, tmp_path: Path) -> None:
    files = [recording("a.wav"), recording("b.wav")]
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - asked < 10
    assert process.returncode == 130
    assert err == "\nspeakrs-stream: stopped\n" or err == "speakrs-stream: stopped\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]
