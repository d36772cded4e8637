"""`speakrs-stream mic` without a terminal: what it writes and refuses. Its screen: tests/clients/test_monitor.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from speakrs_stream.diarization import Diarization
from tests.cli.live_shell import Live, live_command
from tests.clients.served import served
from tests.clients.stand_ins import FakeEngine, recorded


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    return live_command(capsys, tmp_path, monkeypatch, FakeEngine())


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return recorded(tmp_path / "talk.wav")


def test_lines_and_files(call: Live, talk: Path, tmp_path: Path) -> None:
    said = call("mic", "--source", talk, "--speed", "0")
    assert said.status == 0 and said.err == "Wrote call.rttm and call.json.\n"
    assert said.out.startswith("00:00:00.0–00:00:04.0  S1             4.0 s\n")
    assert said.out.endswith("The final result is what was shown live.\n")
    again = call("mic", "--source", talk, "--speed", "0", "-f", "rttm,csv", "--name", "call", "-d", ".")
    assert again.err == "Wrote call-2.rttm and call-2.csv.\n"
    assert Diarization.from_json((tmp_path / "call.json").read_text(encoding="utf-8")).uri == "call"


def test_json_and_ascii(call: Live, talk: Path) -> None:
    values = [json.loads(line) for line in call("mic", "--source", talk, "--speed", "0", "--json").out.splitlines()]
    assert (values[0]["type"], values[-1]["type"], values[-1]["uri"]) == ("started", "result", "call")
    assert call("mic", "--source", talk, "--speed", "0", "--plain", "--ascii").out.isascii()


def test_nothing_heard_is_nothing_written(call: Live, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "blink.wav", [0.1], 48_000)
    said = call("mic", "--source", "blink.wav", "--speed", "0")
    assert (said.status, said.err) == (0, "Nothing was heard, so nothing was written.\n")
    assert said.out.strip() == "Nobody spoke." and not (tmp_path / "call.rttm").exists()


def test_a_disk_that_cannot_be_written_does_not_lose_the_call(call: Live, talk: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.rttm").symlink_to(tmp_path / "absent" / "x.rttm")
    said = call("mic", "--source", talk, "--speed", "0", "-f", "rttm", "-d", "out", "--name", "x")
    assert said.status == 1
    assert "here is the result as RTTM" in said.err and said.err.count("SPEAKER x 1 ") == 5


def test_what_breaks_in_the_middle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talk: Path
) -> None:
    call = live_command(capsys, tmp_path, monkeypatch, FakeEngine(windows=16))
    said = call("mic", "--source", talk, "--speed", "0")
    assert said.status == 1
    assert "the call could not go on" in said.err and "the made-up network broke" in said.err
    assert (tmp_path / "call.rttm").read_text().startswith("SPEAKER call 1 ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "2"], "--speed goes with --source"),
        (["--source", "x.wav", "--device", "1"], "leave out --device"),
        (["--name", "a/b", "--source", "x.wav"], "without folder"),
        (["--name", "", "--source", "x.wav"], "without folder"),
    ],
)
def test_wrong_usage(call: Live, arguments: list[str], message: str) -> None:
    said = call("mic", *arguments)
    assert said.status == 2 and message in said.err


def test_a_source_that_is_not_there(call: Live) -> None:
    said = call("mic", "--source", "absent.wav")
    assert said.status == 1 and "there is no such file" in said.err


def test_the_list_of_devices_or_what_is_missing_for_it(call: Live) -> None:
    said = call("mic", "--list")  # a machine with sound, without sound, without PortAudio, without sounddevice
    assert said.status in (0, 1)
    if said.status:
        assert "pip install 'speakrs-stream[mic]'" in said.err or "apt install libportaudio2" in said.err
    else:
        assert said.out.startswith("number") or said.out == "There is no sound input.\n"
    listed = call("mic", "--list", "--json")
    assert listed.status == said.status
    assert all({"index", "name"} <= set(json.loads(line)) for line in listed.out.splitlines())


def test_voices_over_two_calls(call: Live, tmp_path: Path, talk: Path) -> None:
    alice = recorded(tmp_path / "alice.wav", "B 0-12")
    first = call("mic", "--source", talk, "--speed", "0", "--voice", f"Alice={alice}", "--voices", "kept")
    assert "S2 is Alice" in first.out
    assert "Alice" in call("voices", "list", "--voices", "kept").out or "Kept in kept" not in first.err
    longer = recorded(tmp_path / "longer.wav", "A 0-14, B 15-29")
    second = call(
        "mic", "--source", longer, "--speed", "0", "--voice", f"Alice={alice}", "--voices", "kept", "--keep-unnamed"
    )
    assert "Kept in kept: Alice, V0001" in second.err or "Kept in kept: V0001, Alice" in second.err
    third = call("mic", "--source", talk, "--speed", "0", "--json", "--voices", "kept")
    named = {s["name"] for s in json.loads(third.out.splitlines()[-1])["speakers"]}
    assert named == {"Alice", "V0001"}
    assert call("mic", "--source", talk, "--speed", "0", "--json").out.count("Alice") == 0  # only where it is asked for


def test_a_server_listens(call: Live, talk: Path, tmp_path: Path) -> None:
    here = call("mic", "--source", talk, "--speed", "0", "--name", "here")
    assert here.status == 0
    with served(tmp_path / "data") as found:
        said = call("mic", "--source", talk, "--speed", "0", "--server", found.address(""), "--plain")
    assert (said.status, said.err) == (0, "Wrote call.rttm and call.json.\n")
    assert "00:00:00.0–00:00:04.0  S1             4.0 s\n" in said.out
    there = (tmp_path / "call.rttm").read_text(encoding="utf-8")
    assert there == (tmp_path / "here.rttm").read_text(encoding="utf-8").replace(" here ", " call ")


def test_what_does_not_go_with_a_server(call: Live, talk: Path) -> None:
    for wrong in (["--bundle", "x"], ["--threads", "2"], ["--voice", f"A={talk}"], ["--voices"]):
        said = call("mic", "--source", talk, "--server", "localhost:9", *wrong)
        assert said.status == 2 and "leave out" in said.err
    assert call("mic", "--source", talk, "--token-file", talk).status == 2
    assert call("mic", "--source", talk, "--server", "localhost:9").status == 3
