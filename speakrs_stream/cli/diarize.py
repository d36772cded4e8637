"""`speakrs-stream diarize`: audio files in, RTTM and other formats out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from speakrs_stream.cli.names import Recording, plan
from speakrs_stream.cli.options import (
    count_options,
    debug_option,
    engine_choice,
    engine_options,
    existing_or_not,
    quiet_option,
    settings_option,
    speaker_count,
)
from speakrs_stream.cli.progress import pace, reporter
from speakrs_stream.cli.shell import FAILED, OK, Shell, blame, complain, cores, say, shown
from speakrs_stream.cli.sources import expected_samples
from speakrs_stream.cli.timeline import clock
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import ConfigError, OutputError, SpeakrsError
from speakrs_stream.queue import DiarizationQueue, Job

JOINABLE = ("rttm", "uem")
"""Formats of which several recordings can follow each other in one stream."""


def format_list(_: click.Context, __: click.Parameter, values: Sequence[str]) -> list[str]:
    """Formats from `--format rttm,srt --format json`, each once."""
    from speakrs_stream.formats import FORMATS

    wanted = list(dict.fromkeys(part.strip().lower() for value in values for part in value.split(",")))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise click.BadParameter(f"no format {', '.join(map(repr, unknown))}; there are {', '.join(FORMATS)}")
    return wanted


@click.command(no_args_is_help=True)
@click.argument("files", nargs=-1, required=True, type=existing_or_not())
@engine_options
@settings_option
@count_options
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    callback=format_list,
    metavar="NAME[,NAME…]",
    help="What to write: rttm, json, jsonl, srt, vtt, csv, textgrid, audacity, txt, uem, html, svg. [default: rttm]",
)
@click.option(
    "-d", "--output-dir", type=existing_or_not(file_okay=False), metavar="FOLDER", help="Where to write. [default: .]"
)
@click.option("-o", "--output", metavar="FILE|-", help="Write one result to this file, or to standard output.")
@click.option("--exclusive", is_flag=True, help="One speaker at a time: where voices overlap keep the main one.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=1, metavar="N", help="Files at once. [default: 1]")
@quiet_option
@debug_option
@click.pass_obj
def diarize(
    shell: Shell,
    /,
    files: tuple[Path, ...],
    formats: list[str],
    output_dir: Path | None,
    output: str | None,
    exclusive: bool,
    jobs: int,
    quiet: bool,
    **values: Any,
) -> int:
    """Say who spoke when in audio FILES (WAV, FLAC, OGG, MP3; any rate, any number of channels).

    Results are named after the inputs: meeting.wav gives meeting.rttm in the current folder. A file that cannot
    be diarized is reported and the others are done all the same.
    """
    choice, count = engine_choice(values), speaker_count(values)
    target = destination(files, formats, output_dir, output)
    recordings = planned(files, target)
    todo: list[Recording] = []
    lengths: list[int] = []
    for recording in recordings:
        if recording.renamed:
            note = f"another file has this name, so results are called {recording.name}"
            say(f"{shown(recording.path)}: {note}", quiet=quiet)
        try:
            lengths.append(expected_samples(recording.path))
            todo.append(recording)
        except SpeakrsError as error:
            blame(shell, recording.path, error)
    finished = 0
    if todo:
        target.make_room()
        workers = min(jobs, len(todo))
        engine = shell.open_engine(replace(choice, threads=choice.threads or max(1, cores() // workers)))
        names = [shown(recording.path.name) for recording in todo]
        with (
            reporter(names, lengths, quiet=quiet or target.is_terminal) as bar,
            DiarizationQueue(engine, workers=workers, capacity=len(todo)) as queue,
        ):
            for number, recording in enumerate(todo):
                hook = partial(bar.advance, number)
                queue.submit(recording.path, uri=recording.name, hook=hook, **asdict(count))
            for job in queue:
                bar.finish(job.number)
                try:
                    deliver(job, todo[job.number], target, exclusive=exclusive, quiet=quiet)
                    finished += 1
                except Exception as error:  # a bug of ours in one file must not cost the others
                    blame(shell, todo[job.number].path, error)
    if finished < len(recordings) > 1:
        complain(f"{len(recordings) - finished} of {len(recordings)} files failed")
    return OK if finished == len(recordings) else FAILED


@dataclass(frozen=True, slots=True)
class Destination:
    """Where results go and in which formats."""

    formats: tuple[str, ...]
    """Names of formats, at least one."""

    folder: Path | None
    """Folder for files named after the inputs; None when `file` says where."""

    file: str = ""
    """One file to write, or `-` for standard output; empty when there is a folder."""

    @property
    def is_terminal(self) -> bool:
        """Whether results are printed where a progress bar would be."""
        return self.file == "-" and sys.stdout.isatty()

    def make_room(self) -> None:
        """Create the folder, so that a bad one is noticed before hours of work and not after."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot create the folder {shown(self.folder)}: {error.strerror}") from error


def destination(
    files: Sequence[Path], formats: Sequence[str], output_dir: Path | None, output: str | None
) -> Destination:
    """Decide where results go; raises UsageError for a combination that makes no sense."""
    if output is None:
        return Destination(tuple(formats) or ("rttm",), output_dir or Path())
    if output_dir is not None:
        raise click.UsageError("--output names one result and --output-dir a folder: use one of them")
    if len(formats) > 1:
        raise click.UsageError(f"--output takes one format, not {len(formats)}; use --output-dir")
    several = len(set(files)) > 1
    if output != "-":
        if several:
            raise click.UsageError("--output names one result, and there are several files; use --output-dir")
        return Destination((formats[0] if formats else named_format(output),), None, output)
    chosen = formats[0] if formats else "rttm"
    if several and chosen not in JOINABLE:
        raise click.UsageError(f"several recordings cannot follow each other as {chosen}; use --output-dir")
    return Destination((chosen,), None, output)


def named_format(output: str) -> str:
    """Format that the output's suffix stands for; RTTM where it tells nothing, as for /dev/stdout."""
    from speakrs_stream.formats import FORMATS, format_of

    try:
        name = format_of(output)
    except ConfigError:
        return "rttm"
    if name not in FORMATS:
        raise click.UsageError(f"{name} is drawn by `speakrs-stream plot`")
    return name


def planned(files: Sequence[Path], target: Destination) -> list[Recording]:
    """Names and outputs of all inputs; overwriting an input is wrong usage."""
    from speakrs_stream.formats import FORMATS

    try:
        return plan(files, {name: FORMATS[name].suffix for name in target.formats}, target.folder, target.file)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def deliver(job: Job, recording: Recording, target: Destination, *, exclusive: bool, quiet: bool) -> None:
    """Write one recording's results and say so; raises what went wrong, the job's own error first."""
    from speakrs_stream import formats

    diarization = job.result()
    if target.file == "-":
        click.echo(formats.render(diarization, target.formats[0], exclusive=exclusive), nl=False)
    for name, path in recording.outputs.items():
        diarization.write(path, name, exclusive=exclusive)
    for warning in diarization.warnings:
        complain(f"{shown(recording.path)}: warning: {warning}")
    written = ", ".join(shown(path) for path in recording.outputs.values())
    say(f"{shown(recording.path)}: {told(diarization, job.elapsed)}{' → ' if written else ''}{written}", quiet=quiet)


def told(diarization: Diarization, took: float) -> str:
    """A result in a few words: `3 speakers, 42 turns in 10:00 (12.3 s, 49× real time)`."""
    speakers, turns = len(diarization.speakers), len(diarization.turns)
    speed = f", {pace(diarization.duration / took)} real time" if took > 0 else ""
    return (
        f"{speakers} speaker{'' if speakers == 1 else 's'}, {turns} turn{'' if turns == 1 else 's'} "
        f"in {clock(diarization.duration)} ({took:.1f} s{speed})"
    )
