"""The command line as a whole: help, versions, errors, and how quickly it answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from speakrs_stream import __version__
from speakrs_stream.cli.main import COMMANDS, cli
from speakrs_stream.cli.shell import Shell

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]

ROOT = Path(__file__).parent.parent.parent


def every_command() -> dict[str, click.Command]:
    """Path of each command -> the command, groups included."""
    ctx = click.Context(cli, obj=Shell())
    found: dict[str, click.Command] = {}
    waiting: list[tuple[str, click.Command]] = [("", cli)]
    while waiting:
        path, command = waiting.pop()
        found[path.strip()] = command
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                sub = command.get_command(ctx, name)
                assert sub is not None
                waiting.append((f"{path} {name}", sub))
    return found


def test_help_lists_every_command(speakrs: Run) -> None:
    done = speakrs("--help")
    assert done.status == 0
    for name, what in COMMANDS.items():
        assert name in done.out and what in done.out
    assert "130 stopped with Ctrl-C" in " ".join(done.out.split())


@pytest.mark.parametrize("path", sorted(every_command()))
def test_every_command_has_help_and_every_option_a_sentence(speakrs: Run, path: str) -> None:
    command = every_command()[path]
    done = speakrs(*path.split(), "--help")
    assert done.status == 0 and done.out.startswith("Usage: speakrs-stream")
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help and option.help.split("[default")[0].rstrip().endswith("."), option


def test_version(speakrs: Run) -> None:
    assert speakrs("--version").out == f"speakrs-stream {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["models", "nonsense"]])
def test_wrong_usage_is_told_and_has_its_own_status(speakrs: Run, arguments: list[str]) -> None:
    done = speakrs(*arguments)
    assert done.status == 2
    assert "nonsense" in done.err and "Traceback" not in done.err


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from speakrs_stream.cli.main import run\n"
        "status = run(['--help'])\n"
        "heavy = {'numpy', 'scipy', 'onnxruntime', 'soundfile', 'soxr', 'rich', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else status)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_m_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speakrs_stream", "--version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("speakrs-stream ")


def test_output_into_a_closed_pipe_is_no_traceback() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m speakrs_stream diarize --help | true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
