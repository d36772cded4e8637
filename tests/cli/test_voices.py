"""`speakrs-stream voices`: adding, listing, renaming, deleting, moving; prints are never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.live_shell import Live, live_command
from tests.clients.stand_ins import FakeEngine, recorded


@pytest.fixture
def voices(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    go = live_command(capsys, tmp_path, monkeypatch, FakeEngine())

    def in_a_folder(command: str, *arguments: str | Path) -> object:
        return go("voices", command, *arguments, "--voices", "kept")

    return in_a_folder  # type: ignore[return-value]


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    return recorded(tmp_path / "alice.wav", "A 0-6")


def test_from_adding_to_deleting(voices: Live, alice: Path, tmp_path: Path) -> None:
    bob = recorded(tmp_path / "bob.wav", "B 0-6")
    assert voices("list").out == "No voices are kept in kept.\n"
    assert not (tmp_path / "kept").exists()
    assert voices("add", "Alice", alice).err == "Kept Alice in kept.\n"
    assert voices("add", "Bob", bob, bob, "-q").err == ""
    assert [line.split()[0] for line in voices("list").out.splitlines()] == ["name", "Alice", "Bob"]
    facts = [json.loads(line) for line in voices("list", "--json").out.splitlines()]
    assert facts[0] == {"name": "Alice", "numbered": False, "seconds": 10.0, "bundles": ["fake-split"]}
    assert voices("rename", "Bob", "Alice").status == 1
    assert voices("rename", "Bob", "Robert").status == 0
    assert voices("forget", "Robert").err == "Deleted Robert.\n"
    assert voices("forget", "Robert").status == 1
    assert voices("rename", "Alice", "Zoë", "--merge").status == 0
    assert voices("forget", "--all").err == "Deleted Zoë.\n"
    assert list((tmp_path / "kept").iterdir()) == []


def test_moving_to_another_machine(voices: Live, alice: Path, tmp_path: Path) -> None:
    voices("add", "Alice", alice)
    assert voices("export", "all.json").err == "Wrote 1 voice to all.json.\n"
    voices("forget", "--all")
    assert voices("import", "all.json").err == "Took over Alice.\n"
    assert "Alice" in voices("list").out
    assert voices("export", "one.json", "Nobody").status == 1
    assert not (tmp_path / "one.json").exists()


def test_prints_are_not_printed(voices: Live, alice: Path) -> None:
    voices("add", "Alice", alice)
    said = voices("export", "-")
    assert said.status == 2 and "not printed" in said.err


def test_recordings_without_a_voice(voices: Live, tmp_path: Path) -> None:
    short = recorded(tmp_path / "short.wav", "A 0-0.5")
    for path, message in (
        (short, "short.wav: there is too little clear speech"),
        (tmp_path / "absent.wav", "no such file"),
    ):
        said = voices("add", "Alice", path)
        assert said.status == 1 and message in said.err
    assert voices("list", "--json").out == ""


def test_wrong_usage(voices: Live, alice: Path) -> None:
    assert voices("forget").status == 2
    assert voices("forget", "Alice", "--all").status == 2
    assert voices("add", "Alice").status == 2
    assert voices("add", "a\nb", alice).status == 1
