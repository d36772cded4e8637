"""`speakrs-stream airtime`: who spoke how long."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from speakrs_stream.cli.shell import Shell, console
from speakrs_stream.cli.sources import results_of
from speakrs_stream.cli.summary import Summary, summarize
from speakrs_stream.cli.timeline import clock
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from speakrs_stream.diarization import Diarization


@click.command(no_args_is_help=True)
@click.argument("file", type=existing_or_not())
@click.option("--exclusive", is_flag=True, help="Count overlapped speech for the main speaker only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per recording and line.")
@engine_options
@count_options
@quiet_option
@debug_option
@click.pass_obj
def airtime(shell: Shell, /, file: Path, exclusive: bool, as_json: bool, quiet: bool, **values: Any) -> None:
    """Print who spoke how long in FILE: an RTTM, a JSON result of `diarize`, or audio, which is diarized first."""
    choice, count = engine_choice(values), speaker_count(values)
    results = results_of(shell, file, choice, count, quiet=quiet)
    for result in results:
        summary = summarize(result, exclusive=exclusive)
        if as_json:
            rounded = json.loads(json.dumps(asdict(summary)), parse_float=lambda text: round(float(text), 3))
            click.echo(json.dumps({"uri": result.uri, **rounded}))
        else:
            if len(results) > 1:
                click.echo(f"{one_line(result.uri)}:")
            console().print(table(result, summary))
            click.echo(in_short(summary))


def table(result: Diarization, summary: Summary) -> Table:
    """Speakers by airtime as a table for people."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    columns = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    columns.add_column("speaker")
    for heading in ("airtime", "share", "turns", "longest"):
        columns.add_column(heading, justify="right")
    for row in summary.speakers:
        columns.add_row(
            Text(one_line(result.shown(row.speaker))),
            f"{clock(row.seconds)}.{int(row.seconds * 10) % 10}",
            f"{row.share:.0%}",
            str(row.turns),
            f"{row.longest:.1f} s",
        )
    return columns


def in_short(summary: Summary) -> str:
    """`10:00 long, 8:12 of speech, 0:14 of it overlapped, 1:48 of silence`."""
    return (
        f"{clock(summary.duration)} long, {clock(summary.speech)} of speech, {clock(summary.overlap)} of it "
        f"overlapped, {clock(summary.silence)} of silence"
    )
