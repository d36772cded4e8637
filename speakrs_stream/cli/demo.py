"""`speakrs-stream demo`: one recording, everything at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len

from speakrs_stream.cli.airtime import in_short, table
from speakrs_stream.cli.options import (
    count_options,
    debug_option,
    engine_choice,
    engine_options,
    existing_or_not,
    speaker_count,
)
from speakrs_stream.cli.progress import pace
from speakrs_stream.cli.shell import Shell, ascii_only, console, shown
from speakrs_stream.cli.sources import diarized, expected_samples
from speakrs_stream.cli.summary import summarize
from speakrs_stream.cli.timeline import clock, timeline
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import FormatError, OutputError
from speakrs_stream.formats.palette import colours
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from rich.text import Text

    from speakrs_stream.diarization import Turn
    from speakrs_stream.scoring import Score

WIDEST = 120
"""Columns after which a timeline gets no easier to read."""


@click.command()
@click.argument("file", required=False, type=existing_or_not())
@click.option(
    "--reference", type=existing_or_not(), metavar="RTTM", help="Who really spoke when in FILE, to measure the error."
)
@click.option(
    "-d",
    "--output-dir",
    type=existing_or_not(file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    metavar="FOLDER",
    help="Where the RTTM and the report are written.",
)
@engine_options
@count_options
@debug_option
@click.pass_obj
def demo(shell: Shell, /, file: Path | None, reference: Path | None, output_dir: Path, **values: Any) -> None:
    """Diarize FILE, or the recording that comes with the package, and show everything.

    Prints a timeline, airtime, how long it took and, where a reference is known, the diarization error rate;
    writes an RTTM and an HTML report.
    """
    choice, count = engine_choice(values), speaker_count(values)
    if file is None and reference is not None:
        raise click.UsageError("--reference belongs to a FILE; the bundled recording has its own")
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {shown(output_dir)}: {error.strerror}") from error
    with as_file(files("speakrs_stream") / "demo") as folder:
        audio = folder / "meeting.flac" if file is None else file
        truth = folder / "meeting.rttm" if file is None else reference
        expected = expected_samples(audio)
        really = None if truth is None else reference_turns(truth, audio.stem)
        began = time.monotonic()
        engine = shell.open_engine(choice)
        loading = time.monotonic() - began
        job = diarized(engine, audio, expected, count, quiet=False)
        result = job.result()
    show(result)
    if really is not None:
        score = scored(result, really)
        click.echo("\nWho really spoke, in the colours of the matching speakers above:\n")
        reference_result = Diarization.from_turns(really, samples=result.samples)
        draw(reference_result, under=result, mapping=score.mapping)
        click.echo(f"\n{error_rate(score)}")
    speed = f", {pace(result.duration / job.elapsed)} real time" if job.elapsed > 0 else ""
    used = ", ".join(filter(None, (f"bundle {result.bundle}", engine.backend_name)))
    click.echo(f"Took {job.elapsed:.1f} s{speed}, after {loading:.1f} s to load the networks ({used}).")
    written = [result.write(output_dir / f"{result.uri}.{suffix}") for suffix in ("rttm", "html")]
    click.echo(f"Wrote {' and '.join(shown(path) for path in written)}.")


def show(result: Diarization) -> None:
    """Timeline and table on standard output."""
    click.echo(f"\n{shown(result.uri)}: {clock(result.duration)} of audio\n")
    draw(result)
    summary = summarize(result)
    click.echo()
    console().print(table(result, summary))
    click.echo(f"\n{in_short(summary)}")


def draw(result: Diarization, *, under: Diarization | None = None, mapping: Mapping[str, str] | None = None) -> None:
    """The timeline alone, as wide as the terminal.

    under: a result drawn before, whose columns and colours are kept
    mapping: speaker of that result -> speaker of this one
    """
    screen = console()
    labels = max((cell_len(one_line(label)) for label in under.labels), default=0) if under else 0
    palette = colours(by_first_word(under or result))
    if mapping is not None:
        palette = {theirs: palette[ours] for ours, theirs in mapping.items()}
    for line in coloured(result, min(WIDEST, screen.width), palette, labels):
        screen.print(line, soft_wrap=True)


def by_first_word(result: Diarization) -> list[str]:
    """Labels in the order the speakers are first heard."""
    return list(dict.fromkeys(turn.speaker for turn in result.turns))


def coloured(result: Diarization, width: int, palette: Mapping[str, str], labels: int = 0) -> list[Text]:
    """The timeline's lines, each speaker in the colour that `palette` has for the label."""
    from rich.text import Text

    drawn = timeline(result, width=width, ascii_only=ascii_only(sys.stdout), labels=labels)
    rows = [Text.assemble(f"{row.label} ", (row.cells, palette.get(row.speaker, ""))) for row in drawn.rows]
    return [*rows, Text(drawn.ticks, style="dim"), Text(drawn.times, style="dim")]


def reference_turns(path: Path, uri: str) -> list[Turn]:
    """The reference of this recording: by its name, or the only one there is."""
    from speakrs_stream.formats import read_rttm

    recordings = read_rttm(path)
    if uri in recordings:
        return recordings[uri]
    if len(recordings) == 1:
        return next(iter(recordings.values()))
    raise FormatError(f"{shown(path)} has {len(recordings)} recordings and none is called {uri}")


def scored(result: Diarization, reference: list[Turn]) -> Score:
    """What the result got wrong, collar 0, overlapped speech included."""
    from speakrs_stream.scoring import Labelled, score

    def labelled(turns: list[Turn]) -> list[Labelled]:
        return [Labelled(turn.start, turn.end, turn.speaker) for turn in turns]

    return score(labelled(reference), labelled(list(result.turns)))


def error_rate(score: Score) -> str:
    """The error rate and its parts as a sentence."""
    parts = [
        f"{name} {score.share(seconds):.1%}"
        for name, seconds in (
            ("missed", score.missed),
            ("false alarm", score.false_alarm),
            ("confusion", score.confusion),
        )
    ]
    return f"DER {score.der:.1%} against the reference, no collar, overlap included: {', '.join(parts)}."
