"""The `speakrs-stream` command: finds subcommands, turns errors into one line and an exit status."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from speakrs_stream import __version__
from speakrs_stream.cli.shell import FAILED, INTERRUPTED, OK, Shell, blame, complain

COMMANDS = {
    "diarize": "Say who spoke when in audio files.",
    "live": "Replay a file or a pipe as a live stream and print what it says.",
    "mic": "Watch who speaks at the microphone.",
    "voices": "Keep, list and delete voices that are known by name.",
    "words": "Give a transcript's words their speakers.",
    "tune": "Find the settings that suit your own recordings.",
    "airtime": "Print who spoke how long.",
    "plot": "Draw who spoke when, as SVG or PNG.",
    "send": "Send audio to a server, and print who speaks.",
    "serve": "Serve live diarization over WebSocket.",
    "config": "Check and print the settings of a server.",
    "sessions": "List, show, export and delete what a server has kept.",
    "models": "List, download and check model bundles.",
    "doctor": "Say what is installed, what would be used and what is missing.",
    "demo": "Diarize a bundled recording, or yours, and show everything.",
}
"""Name -> what it does; the module of the same name in this package holds it."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command, or None for a name that is not one."""
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"speakrs_stream.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the installed version and stop."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"speakrs-stream {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 something failed, 2 wrong usage, 130 stopped with Ctrl-C.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Print the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def cli(shell: Shell, debug: bool) -> None:
    """Who spoke when: speaker diarization on this machine."""
    shell.debug = shell.debug or debug


def run(arguments: Sequence[str] | None = None, shell: Shell | None = None) -> int:
    """Run the command line and return its exit status; what goes wrong is said in one line on standard error.

    arguments: without the program's name; None takes the process's own
    shell: the way to the outside; None is the real one
    """
    shell = shell or Shell()
    try:
        status: Any = cli.main(
            None if arguments is None else list(arguments),
            prog_name="speakrs-stream",
            obj=shell,
            standalone_mode=False,
        )
        return status if isinstance(status, int) else OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        complain("stopped")
        return INTERRUPTED
    except Exception as error:  # the outermost shell: even a bug of ours is said in one line
        blame(shell, None, error)
        return FAILED


def main() -> NoReturn:
    """Run on the process's arguments and exit."""

    def terminate(signum: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signum)  # unwinds, so that no file is left half written

    signal.signal(signal.SIGTERM, terminate)
    sys.exit(run())
