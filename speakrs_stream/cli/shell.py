"""How commands reach the outside: the engine they open, the consoles they write to. Tests hand in another."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

import click

from speakrs_stream.errors import SpeakrsError
from speakrs_stream.queue import Diarizer

if TYPE_CHECKING:
    from rich.console import Console

    from speakrs_stream.engine import EmbeddingMode, Engine
    from speakrs_stream.models.bundle import ModelBundle

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which engine a command was asked for."""

    bundle: str | None = None
    """Name of a model bundle, or a folder; None takes the default."""

    backend: str = "auto"
    """Runtime and device."""

    mode: str = "auto"
    """Way to run: a backend, and whether it is fast rather than exact."""

    step: float | None = None
    """Seconds between windows; None takes the mode's, or the bundle's own."""

    embedding: EmbeddingMode | None = None
    """How windows share the embedding network where they cannot do so exactly; None takes what suits the command."""

    threads: int | None = None
    """Threads of one inference; None takes as many as there are cores."""

    settings: Path | None = None
    """File of pipeline settings; None takes the bundle's own."""


class LoadedEngine(Diarizer, Protocol):
    """An engine that can also say what it runs on; `Engine` can."""

    backend_name: str
    """Runtime and device that were chosen."""


def real_engine(choice: EngineChoice) -> Engine:
    """An engine for recordings: exact, unless the choice is another."""
    fast = choice.mode.endswith("-fast")
    return live_engine(choice if choice.embedding or fast else replace(choice, embedding="exact"))


def live_engine(choice: EngineChoice) -> Engine:
    """Find the bundle, downloading it if need be, and load its networks."""
    from speakrs_stream.engine import Engine

    engine = Engine(
        find_bundle(choice.bundle),
        mode=choice.mode,
        backend=choice.backend,
        step=choice.step,
        embedding=choice.embedding,
        threads=choice.threads or cores(),
    )
    return configured(engine, choice)


def configured(engine: Engine, choice: EngineChoice) -> Engine:
    """The engine with the settings of the file that was named; ConfigError where they do not fit."""
    if choice.settings is not None:
        from speakrs_stream.settings_file import read_settings

        settings = read_settings(choice.settings)
        engine.config = settings.config(engine.bundle, engine.config, step=choice.step)
    return engine


def cores() -> int:
    """Processor cores this process may use."""
    from speakrs_stream.inference.auto import usable_cores  # with the runtimes, so not before an engine is opened

    return usable_cores()


def find_bundle(name: str | None) -> ModelBundle:
    """A bundle by name or folder; a download shows its progress where there is a terminal."""
    from speakrs_stream.cli.progress import download_bar
    from speakrs_stream.models.resolve import resolve

    with download_bar() as progress:
        return resolve(name, progress=progress)


@dataclass(slots=True)
class Shell:
    """What a command may use of the outside."""

    open_engine: Callable[[EngineChoice], LoadedEngine] = real_engine
    """Makes the engine that was asked for."""

    open_live: Callable[[EngineChoice], Engine] = live_engine
    """The same for commands that open streams or make voice prints."""

    debug: bool = False
    """Whether errors show their traceback."""


def complain(message: str) -> None:
    """Say something on standard error, in one line that cannot move the terminal's cursor."""
    from speakrs_stream.formats.text import one_line  # brings NumPy along, which --help has no use for

    tell(f"speakrs-stream: {one_line(message)}")


def blame(shell: Shell, path: Path | str | None, error: Exception) -> None:
    """Say on standard error what went wrong, with which file; the traceback too when debugging."""
    if shell.debug:
        traceback.print_exception(error)
    message = str(error)
    if not isinstance(error, SpeakrsError):
        message = f"internal error, {type(error).__name__}: {error}"
        if not shell.debug:
            message += " (run it again with --debug for the traceback, and please report it)"
    if path is not None and str(path) not in message:
        message = f"{shown(path)}: {message}"
    complain(message)


def say(message: str, *, quiet: bool) -> None:
    """Tell people, on standard error, what was done; nothing when `quiet`."""
    if not quiet:
        tell(message)


def tell(line: str) -> None:
    """Write a line to standard error; not with click.echo, which would write past a progress bar, into it."""
    print(line, file=sys.stderr, flush=True)


def shown(path: Path | str) -> str:
    """A file's name as it can be printed anywhere."""
    from speakrs_stream.formats.text import one_line

    return one_line(click.format_filename(os.fspath(path)))


def console(*, stderr: bool = False) -> Console:
    """A console that colours only on a terminal and without NO_COLOR."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def ascii_only(stream: TextIO | None = None) -> bool:
    """Whether the stream (standard output if None) cannot show block characters."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    return "utf" not in encoding.lower()


def interactive(stream: TextIO) -> bool:
    """Whether a person watches: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
