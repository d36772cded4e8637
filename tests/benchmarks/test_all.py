"""`make bench`: every line of the script is a command that exists, with options that it takes, in full and quick."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import main

SCRIPT = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "all.sh"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout beside all the material, empty, and a Python that only writes down what it is asked for."""
    root, shared = tmp_path / "checkout", tmp_path / "shared"
    for name in ("benchmarks", "speakrs_stream/demo"):
        (root / name).mkdir(parents=True)
    for name in ("speech/ami", "speech/librispeech/dev", "reference/ami_dev", "reference/voxconverse_dev", "golden"):
        (shared / name).mkdir(parents=True)
    (shared / "golden" / "two_speakers.npz").touch()
    shutil.copy(SCRIPT, root / "benchmarks")
    python = tmp_path / "python"
    lines = ["#!/bin/sh", "shift 2", '[ "$1" != revoice ] || mkdir -p "$2"', f'echo "$*" >>"{tmp_path}/asked"']
    python.write_text("\n".join(lines) + "\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.chdir(root)
    return root


def ran(checkout: Path, *arguments: str, quick: str = "", parts: str = "") -> str:
    """What the script said on standard error."""
    environment = {**os.environ, "PYTHON": str(checkout.parent / "python"), "QUICK": quick, "PARTS": parts}
    script = checkout / "benchmarks" / SCRIPT.name
    done = subprocess.run(["sh", script, *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stderr


def asked(checkout: Path, *arguments: str, quick: str = "", parts: str = "") -> list[list[str]]:
    """Arguments of every benchmark that the script runs."""
    ran(checkout, *arguments, quick=quick, parts=parts)
    return [line.split() for line in (checkout.parent / "asked").read_text(encoding="utf-8").splitlines()]


def parsed(command: click.Command, arguments: list[str]) -> str:
    """The command's name, once it has taken the options; click.UsageError where it does not."""
    if isinstance(command, click.Group):
        found = command.commands[arguments[0]]
        return f"{arguments[0]} {parsed(found, arguments[1:])}".strip()
    command.make_context(command.name, arguments)
    return ""


def names(command: click.Command) -> Iterator[str]:
    """Every benchmark there is."""
    if not isinstance(command, click.Group):
        yield ""
        return
    for name, inner in command.commands.items():
        yield from (f"{name} {further}".strip() for further in names(inner))


@pytest.mark.parametrize("quick", ["", "1"])
def test_every_benchmark_with_options_that_it_takes(checkout: Path, quick: str) -> None:
    commands = asked(checkout, quick=quick)
    assert {parsed(main, arguments) for arguments in commands} == set(names(main))
    once = [arguments for arguments in commands if "--runs 1" in " ".join(arguments)]
    assert bool(once) == bool(quick), "only quick figures are of one run"


@pytest.mark.parametrize("part", ["quality", "simulated", "speed", "server", "parity"])
def test_a_part_of_it(checkout: Path, part: str) -> None:
    some = asked(checkout, parts=part)
    (checkout.parent / "asked").unlink()
    assert some and all(arguments in asked(checkout) for arguments in some)
    assert {parsed(main, arguments).split()[0] for arguments in some} <= {
        "quality": {"der", "live", "revoice"},
        "simulated": {"simulate"},
        "speed": {"throughput", "shares", "host", "latency", "memory", "peers"},
        "server": {"server"},
        "parity": {"parity"},
    }[part]


def test_an_unknown_part_is_refused(checkout: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        ran(checkout, parts="speed fast")
    assert refused.value.returncode == 2 and "unknown part fast; there are quality" in refused.value.stderr


def test_a_folder_of_ones_own(checkout: Path) -> None:
    commands = asked(checkout, "../shared/speech/ami")
    assert [arguments[:2] for arguments in commands] == [
        ["der", "../shared/speech/ami"],
        ["live", "../shared/speech/ami"],
    ]
    assert {parsed(main, arguments) for arguments in commands} == {"der", "live"}


def test_what_is_not_there_is_named(checkout: Path) -> None:
    shutil.rmtree(checkout.parent / "shared")
    assert [line for line in ran(checkout).splitlines() if line.startswith("skipped")] == [
        "skipped: no recordings at ../shared/speech/ami",
        *["skipped: no voices at ../shared/speech/librispeech/dev or no references at "
          f"../shared/reference/{name} to speak meetings with" for name in ("ami_dev", "voxconverse_dev")],
        "skipped: no recorded pipeline at ../shared/golden",
    ]  # fmt: skip
