"""`speakrs-stream send`: the same lines, objects and files as `live` and `diarize`, from a server."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.rttm import read_rttm
from tests.cli.live_shell import Live, live_command
from tests.clients.certificates import certificate
from tests.clients.served import served
from tests.clients.stand_ins import FakeEngine, recorded, sound
from tests.server.rig import Rig

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.delenv("SPEAKRS_TOKEN", raising=False)
    return live_command(capsys, tmp_path, monkeypatch, FakeEngine())


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return recorded(tmp_path / "talk.wav")


@pytest.fixture
def served_here(tmp_path: Path) -> Iterator[Rig]:
    with served(tmp_path / "data") as found:
        yield found


def lines(out: str) -> str:
    """What people read, without the server's own log."""
    return "".join(line for line in out.splitlines(keepends=True) if not re.match(r"\d{4}-\d\d-\d\d ", line))


def test_lines_and_files(call: Live, talk: Path, tmp_path: Path) -> None:
    with served(tmp_path / "data") as found:
        url = f"localhost:{found.port}"
        said = call("send", talk, "--server", url, "--max-delay", "2", "-f", "rttm,srt", "-d", "out")
        assert (said.status, said.err) == (0, "Wrote out/talk.rttm and out/talk.srt.\n")
        out = lines(said.out)
        assert re.match(r"00:00:00\.0–00:00:04\.0  S1 +4\.0 s\n", out)
        assert re.search(r"^SPEAKER_00 +S1 +0:\d\d\.\d", out, re.MULTILINE)
        assert (tmp_path / "out" / "talk.rttm").read_text() == FakeEngine().diarize(talk, uri="talk").to_rttm()
        quiet = call("send", talk, "--server", url, "-q", "-d", "out", "--num-speakers", "1")
        assert quiet.err == "" and quiet.status == 0
        assert {turn.speaker for turn in read_rttm(tmp_path / "out" / "talk.rttm")["talk"]} == {"SPEAKER_00"}


def test_json_and_pipes(
    call: Live, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served_here: Rig
) -> None:
    samples = (sound() * 32_767).astype("<i2")

    def piped(data: bytes, *arguments: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        said = call("send", "-", "--server", served_here.address(""), "--json", *arguments)
        assert said.status == 0, said.err
        return lines(said.out)

    values = [json.loads(line) for line in piped(samples.tobytes(), "--raw-rate", "16000").splitlines()]
    assert values[0] | {"max_delay": 0} == {
        "type": "started",
        "format": "speakrs-events",
        "version": 1,
        "uri": "stdin",
        "sample_rate": 16_000,
        "bundle": "fake-split",
        "step": None,
        "max_delay": 0,
    }
    assert values[-1]["type"] == "result" and values[-1]["uri"] == "stdin"
    assert len([value for value in values if value["type"] == "turn_final"]) == 5
    wav = io.BytesIO()
    soundfile.write(wav, sound(), 16_000, format="WAV", subtype="PCM_16")
    again = [json.loads(line) for line in piped(wav.getvalue()).splitlines()]
    assert again[-1]["turns"] == values[-1]["turns"]


def test_at_the_pace_of_time(call: Live, tmp_path: Path, served_here: Rig) -> None:
    soundfile.write(tmp_path / "short.wav", sound()[:32_000], 16_000)
    began = time.monotonic()
    assert call("send", "short.wav", "--server", served_here.address(""), "--realtime").status == 0
    assert time.monotonic() - began >= 2.0


def test_refusals_have_their_own_exit_status(call: Live, talk: Path, tmp_path: Path) -> None:
    tokens, token = tmp_path / "tokens", tmp_path / "token"
    tokens.write_text("bob ingest,view bob-token-0123456789\n", encoding="utf-8")
    token.write_text("not-the-token-0123456789\n", encoding="utf-8")
    with served(tmp_path / "data", tokens_file=str(tokens)) as found:
        url = found.address("")
        for options, status, words in (
            (["--server", url], 4, "--token-file"),
            (["--server", url, "--token-file", token], 4, "not authorized"),
            (["--server", f"wss://127.0.0.1:{found.port}"], 5, "ws://"),
            (["--server", f"{url}/elsewhere"], 6, "404"),
            (["--server", url, "--token-env", "ABSENT_TOKEN"], 1, "ABSENT_TOKEN"),
            (["--server", url, "--token-file", token, "--token-env", "X"], 2, "one of them"),
            ([], 2, "--server"),
        ):
            said = call("send", talk, *options)
            assert said.status == status and words in said.err, (options, said)
        token.write_text("bob-token-0123456789\n", encoding="utf-8")
        assert call("send", talk, "--server", url, "--token-file", token).status == 0
    said = call("send", talk, "--server", url)
    assert said.status == 3 and said.err == "speakrs-stream: the server cannot be reached: connection refused\n"


def test_encrypted_and_with_a_certificate_of_its_own(call: Live, talk: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with served(tmp_path / "data", tls_cert=str(cert), tls_key=str(key)) as found:
        url = f"wss://127.0.0.1:{found.port}"
        said = call("send", talk, "--server", url, "--ca-file", cert, "-f", "rttm")
        assert said.status == 0 and said.err == "Wrote talk.rttm.\n"
        said = call("send", talk, "--server", url)
        assert said.status == 5 and "certificate cannot be trusted: self-signed certificate" in said.err


def test_wrong_use_and_bad_sound(call: Live, tmp_path: Path, served_here: Rig) -> None:
    url = served_here.address("")
    for wrong in (["x.wav", "--raw-rate", "8000"], ["-", "--channels", "2"]):
        assert call("send", *wrong, "--server", url).status == 2
    assert "absent.wav" in call("send", "absent.wav", "--server", url).err
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + b"\0" * 100)
    assert call("send", "bad.wav", "--server", url).status == 1


def program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "speakrs_stream", "send", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def test_a_restarted_server_and_ctrl_c(talk: Path, tmp_path: Path) -> None:
    with served(tmp_path / "data") as found:
        sending = program(
            tmp_path, str(talk), "--server", found.address(""), "--realtime", "--max-delay", "1", "-f", "json"
        )
        assert sending.stdout is not None
        first = sending.stdout.readline()
    with served(tmp_path / "data", port=found.port):
        time.sleep(2)
        os.killpg(sending.pid, signal.SIGINT)
        _, err = sending.communicate(timeout=60)
    assert sending.returncode == 0, err
    assert first.startswith("00:00:00.0–") and "Wrote talk.json." in err
    assert "connection lost (draining" in err and "connected again after" in err
    result = Diarization.from_json((tmp_path / "talk.json").read_text(encoding="utf-8"))
    assert 4 < result.duration < FakeEngine().diarize(talk).duration
    heard = np.rint(sound()[: result.samples] * 32_768).clip(-32_768, 32_767).astype(np.int16)
    assert result.turns == FakeEngine().diarize(heard, sample_rate=16_000).turns, "all of what was sent until Ctrl-C"
