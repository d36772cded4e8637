"""`speakrs-stream live`: files and pipes as streams, lines and JSON, the end, and everything that can be wrong."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.diarization import Diarization
from tests.cli.live_shell import Live, live_command
from tests.clients.stand_ins import FakeEngine, recorded, sound

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def live(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> Live:
    return live_command(capsys, tmp_path, monkeypatch, engine)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return recorded(tmp_path / "talk.wav")


def pcm(samples: np.ndarray) -> bytes:
    return (samples * 32_767).astype("<i2").tobytes()


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """What standard input gives."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_file_line_by_line(live: Live, talk: Path, tmp_path: Path) -> None:
    said = live("live", talk, "--speed", "0")
    assert said.status == 0 and said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "00:00:00.0–00:00:04.0  S1             4.0 s"
    assert len([line for line in lines if re.match(r"\d\d:\d\d", line)]) == 5
    assert lines[-3:] == [
        "SPEAKER_00    S1              0:11.9    57%      3",
        "SPEAKER_01    S2              0:09.0    43%      2",
        "The final result is what was shown live.",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]  # nothing is written unasked


def test_json(live: Live, talk: Path, engine: FakeEngine) -> None:
    values = [json.loads(line) for line in live("live", talk, "--speed", "0", "--json").out.splitlines()]
    assert values[0] == {
        "type": "started",
        "format": "speakrs-events",
        "version": 1,
        "uri": "talk",
        "sample_rate": 16_000,
        "bundle": "fake-split",
        "step": 1.0,
        "max_delay": 13.0,
    }
    result = values[-1]
    expected = engine.diarize(talk)
    assert [turn["start_sample"] for turn in result["turns"]] == [turn.span.start for turn in expected.turns]
    assert result["mapping"] == {"S1": "SPEAKER_00", "S2": "SPEAKER_01"} and result["differences"] == []
    started = {value["turn"] for value in values if value["type"] == "turn_started"}
    ended = [value["turn"] for value in values if value["type"] in ("turn_final", "turn_retracted")]
    assert sorted(ended) == sorted(started)


def test_the_result_is_written_where_it_is_asked_for(
    live: Live, talk: Path, tmp_path: Path, engine: FakeEngine
) -> None:
    said = live("live", talk, "--speed", "0", "-f", "json,srt", "-d", "out")
    assert said.err == "Wrote out/talk.json and out/talk.srt.\n"
    written = Diarization.from_json((tmp_path / "out" / "talk.json").read_text(encoding="utf-8"))
    assert written.turns == engine.diarize(talk).turns
    assert live("live", talk, "--speed", "0", "-d", "more").err == "Wrote more/talk.rttm.\n"


def test_the_pace_is_that_of_time(live: Live, tmp_path: Path) -> None:
    talk = recorded(tmp_path / "short.wav", "A 0-1.5")
    began = time.monotonic()
    live("live", talk)
    assert time.monotonic() - began >= 1.45
    longer = recorded(tmp_path / "longer.wav")  # 22 s
    began = time.monotonic()
    live("live", longer, "--speed", "100")
    assert time.monotonic() - began < 15


def test_settings_reach_the_stream(live: Live, talk: Path) -> None:
    out = live("live", talk, "--speed", "0", "--json", "--max-delay", "3", "--num-speakers", "1").out
    values = [json.loads(line) for line in out.splitlines()]
    assert values[0]["max_delay"] == 3.0
    assert len(values[-1]["speakers"]) == 1
    finals = [(value["end"], index) for index, value in enumerate(values) if value["type"] == "turn_final"]
    marks = [(value["processed"], index) for index, value in enumerate(values) if value["type"] == "watermark"]
    assert next(processed for processed, index in marks if index > finals[0][1]) <= finals[0][0] + 5


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 8_000])
def test_bare_samples_through_a_pipe(live: Live, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    samples = sound()[:: SAMPLE_RATE // rate]
    piped(monkeypatch, pcm(np.repeat(samples, 2)))
    values = live("live", "-", "--raw-rate", str(rate), "--channels", "2", "--json").out.splitlines()
    assert json.loads(values[0])["uri"] == "stdin"
    assert json.loads(values[-1])["duration"] == pytest.approx(22.0)


def test_wav_through_a_pipe(live: Live, monkeypatch: pytest.MonkeyPatch, talk: Path, engine: FakeEngine) -> None:
    piped(monkeypatch, talk.read_bytes())
    result = json.loads(live("live", "-", "--json").out.splitlines()[-1])
    assert len(result["turns"]) == len(engine.diarize(talk).turns)


def test_a_pipe_that_breaks_still_gives_a_result(live: Live, monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    piped(monkeypatch, talk.read_bytes()[:-40_001])
    said = live("live", "-")
    assert said.status == 0
    assert "Note: standard input ended inside a sample, or before the length" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "--speed", "0"], "name a FILE, or - for standard input"),
        (["live", "x.wav", "--raw-rate", "8000"], "are about standard input"),
        (["live", "-", "--channels", "2"], "goes with --raw-rate"),
        (["live", "x.wav", "--voice", "Alice"], "'Alice' is not like NAME=FILE"),
        (["live", "x.wav", "--keep-unnamed"], "needs --voices"),
        (["live", "x.wav", "--max-delay", "0"], "0"),
        (["live", "x.wav", "--num-speakers", "2", "--max-speakers", "3"], "says it all"),
        (["live", "x.wav", "-f", "docx"], "no format 'docx'"),
        (["live", "--voices", "talk.wav"], "--voices takes a folder, and talk.wav is a file"),
    ],
)
def test_wrong_usage(live: Live, talk: Path, arguments: list[str], message: str) -> None:
    said = live(*arguments)
    assert said.status == 2 and message in said.err and said.out == ""


@pytest.mark.parametrize(
    ("content", "message"), [(None, "there is no such file"), (b"", "is empty"), (b"hello, world\n" * 20, "is a text")]
)
def test_files_that_are_no_sound(live: Live, tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "x.wav").write_bytes(content)
    said = live("live", "x.wav")
    assert said.status == 1 and message in said.err and "Traceback" not in said.err


def test_standard_input_that_is_no_sound(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"hello, world, this is a text")
    said = live("live", "-")
    assert said.status == 1 and "standard input is no WAV: give WAV, or bare" in said.err


def test_sound_that_goes_bad_in_the_middle(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    nonsense = np.full(200_000, 1e4, np.float32)
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, 3, 1, 16_000, 0, 4, 32, b"data", 0)
    piped(monkeypatch, header + np.concatenate([sound(), nonsense]).tobytes())
    said = live("live", "-", "-f", "rttm")
    assert said.status == 1
    assert "integers stored as floats" in said.err and "Wrote stdin.rttm" in said.err
    assert "SPEAKER_00" in said.out


class Process:
    """The command as a process, on made-up networks."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        script = (
            "import sys; from speakrs_stream.cli.main import run; from speakrs_stream.cli.shell import Shell;"
            "from tests.clients.stand_ins import FakeEngine;"
            "sys.exit(run(sys.argv[1:], Shell(open_live=lambda choice: FakeEngine())))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, "live", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        self.watchdog = threading.Timer(60, self.process.kill)
        self.watchdog.start()

    def end(self) -> tuple[int, str]:
        """Exit status and standard error."""
        assert self.process.stderr is not None
        error = self.process.stderr.read().decode()
        status = self.process.wait()
        self.watchdog.cancel()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return status, error


def test_ctrl_c_ends_a_pipe_that_gives_nothing_more(tmp_path: Path) -> None:
    run = Process(tmp_path, "-", "--raw-rate", "16000", "-f", "rttm")
    assert run.process.stdin is not None and run.process.stdout is not None
    run.process.stdin.write(pcm(sound()))
    run.process.stdin.flush()
    assert run.process.stdout.readline().startswith(b"00:00:00.0")
    run.process.send_signal(signal.SIGINT)
    status, error = run.end()
    assert (status, error) == (0, "Wrote stdin.rttm.\n")
    assert (tmp_path / "stdin.rttm").read_text().startswith("SPEAKER stdin 1 ")


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path, talk: Path) -> None:
    run = Process(tmp_path, str(talk), "--speed", "0", "--json", "-f", "rttm")
    assert run.process.stdout is not None
    run.process.stdout.readline()
    run.process.stdout.close()
    status, error = run.end()
    assert status == 0 and error == "Wrote talk.rttm.\n"
