"""Options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from speakrs_stream.cli.shell import EngineChoice, Shell

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerCount:
    """What is known about the number of speakers; None where nothing is."""

    num_speakers: int | None = None
    """Exactly so many."""

    min_speakers: int | None = None
    """At least so many."""

    max_speakers: int | None = None
    """At most so many."""


def engine_options(function: Decorated) -> Decorated:
    """--bundle, --mode, --backend, --step, --embedding and --threads; read them with `engine_choice`."""
    return stacked(
        function,
        click.option(
            "--bundle",
            metavar="NAME|FOLDER",
            help="Model bundle: embedded, embedded-fast, community-1 or a folder. "
            "Default: $SPEAKRS_MODELS_DIR, else embedded.",
        ),
        click.option(
            "--mode",
            metavar="NAME",
            default="auto",
            show_default=True,
            help="Way to run: auto, cpu, cuda, coreml, or one with -fast behind: faster and less exact.",
        ),
        click.option(
            "--backend",
            metavar="NAME",
            default="auto",
            show_default=True,
            help="Runtime and device: auto, cpu, cuda (see `speakrs-stream doctor`).",
        ),
        click.option(
            "--step",
            type=click.Choice(["1", "2"]),
            help="Seconds between windows; 2 is faster and less exact. Default: the mode's or the bundle's own.",
        ),
        click.option(
            "--embedding",
            type=click.Choice(["exact", "fast", "refined"]),
            help="Embeddings window by window, shared by windows, or shared while live and exact in the end "
            "(community-1; the embedded bundle shares exactly).",
        ),
        click.option(
            "--threads",
            type=click.IntRange(1, 256),
            metavar="N",
            help="Threads of one inference. Default: one per core.",
        ),
    )


def settings_option(function: Decorated) -> Decorated:
    """--settings; read it with `engine_choice`."""
    return stacked(
        function,
        click.option(
            "--settings",
            type=existing_or_not(),
            metavar="FILE",
            help="Pipeline settings, as `speakrs-stream tune` writes them.",
        ),
    )


def count_options(function: Decorated) -> Decorated:
    """--num-speakers, --min-speakers and --max-speakers; read them with `speaker_count`."""
    positive = click.IntRange(min=1)
    return stacked(
        function,
        click.option("--num-speakers", type=positive, metavar="N", help="Exactly so many speakers."),
        click.option("--min-speakers", type=positive, metavar="N", help="At least so many speakers."),
        click.option("--max-speakers", type=positive, metavar="N", help="At most so many speakers."),
    )


def quiet_option(function: Decorated) -> Decorated:
    """--quiet."""
    return stacked(function, click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."))


def debug_option(function: Decorated) -> Decorated:
    """--debug behind the command, as it also works in front of it."""

    def note(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        shell = ctx.find_object(Shell)
        if wanted and shell is not None:
            shell.debug = True

    return stacked(
        function,
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=note, help="Show the traceback of an error."
        ),
    )


def stacked(function: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    """The function under several decorators, listed in the order the help shows them."""
    for option in reversed(options):
        function = option(function)
    return function


def engine_choice(values: dict[str, Any]) -> EngineChoice:
    """Take the values of `engine_options` out of a command's keyword arguments."""
    step = values.pop("step")
    return EngineChoice(
        bundle=values.pop("bundle"),
        mode=values.pop("mode"),
        backend=values.pop("backend"),
        embedding=values.pop("embedding"),
        step=None if step is None else float(step),
        threads=values.pop("threads"),
        settings=values.pop("settings", None),
    )


def speaker_count(values: dict[str, Any]) -> SpeakerCount:
    """Take the values of `count_options` out of a command's keyword arguments; impossible ones are wrong usage."""
    count = SpeakerCount(**{key: values.pop(key) for key in ("num_speakers", "min_speakers", "max_speakers")})
    if count.num_speakers is not None and (count.min_speakers, count.max_speakers) != (None, None):
        raise click.UsageError("--num-speakers says it all: leave out --min-speakers and --max-speakers")
    low, high = count.min_speakers, count.max_speakers
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min-speakers {low} is more than --max-speakers {high}")
    return count


def existing_or_not(**kwargs: Any) -> click.Path:
    """A path that need not exist: a missing file is that file's error, not wrong usage of the command."""
    return click.Path(path_type=Path, **kwargs)
