"""`speakrs-stream plot`: who spoke when as a picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from speakrs_stream.cli.options import (
    count_options,
    debug_option,
    engine_choice,
    engine_options,
    existing_or_not,
    quiet_option,
    speaker_count,
)
from speakrs_stream.cli.shell import Shell, say, shown
from speakrs_stream.cli.sources import one_result, results_of
from speakrs_stream.errors import MissingExtra

PICTURES = (".svg", ".png")


@click.command(no_args_is_help=True)
@click.argument("file", type=existing_or_not())
@click.option(
    "-o",
    "--output",
    type=existing_or_not(),
    metavar="PICTURE",
    help="What to write: .svg, or .png, which needs the plot extra. [default: FILE's stem.svg]",
)
@click.option("--uri", metavar="NAME", help="Which recording of an RTTM that holds several.")
@click.option("--exclusive", is_flag=True, help="One speaker at a time.")
@engine_options
@count_options
@quiet_option
@debug_option
@click.pass_obj
def plot(
    shell: Shell, /, file: Path, output: Path | None, uri: str | None, exclusive: bool, quiet: bool, **values: Any
) -> None:
    """Draw who spoke when in FILE: an RTTM, a JSON result of `diarize`, or audio, which is diarized first."""
    choice, count = engine_choice(values), speaker_count(values)
    target = output or Path(f"{file.stem}.svg")
    if target.suffix.lower() not in PICTURES:
        raise click.UsageError(f"{shown(target)}: a picture ends in {' or '.join(PICTURES)}")
    if target.suffix.lower() == ".png" and find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "plot", "a PNG picture")  # now, and not after an hour of diarizing
    result = one_result(results_of(shell, file, choice, count, quiet=quiet), file, uri)
    result.write(target, exclusive=exclusive)
    say(f"{shown(file)} → {shown(target)}", quiet=quiet)
