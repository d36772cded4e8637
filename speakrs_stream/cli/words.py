"""`speakrs-stream words assign`: speaker labels for the words of a transcript."""

from __future__ import annotations

from collections.abc import Sequence
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
from speakrs_stream.errors import ConfigError


@click.group()
def words() -> None:
    """Give a transcript's words their speakers."""


def known(which: str) -> Any:
    """A check that a format's name is one of `INPUTS` or `OUTPUTS`, which are loaded only then."""

    def check(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
        from speakrs_stream import transcripts

        names: Sequence[str] = list(getattr(transcripts, which))
        if name is not None and name not in names:
            raise click.BadParameter(f"no format {name!r}; there are {', '.join(names)}")
        return name

    return check


def names_of(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    """`SPEAKER_00=Alice` as a mapping."""
    mapping = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(label and name for label, name in mapping.items()):
        raise click.BadParameter("write it as LABEL=NAME, such as SPEAKER_00=Alice")
    return mapping


@words.command(no_args_is_help=True)
@click.argument("transcript", type=existing_or_not())
@click.argument("speakers", required=False, type=existing_or_not())
@click.option("--audio", type=existing_or_not(), metavar="FILE", help="Diarize this recording instead of SPEAKERS.")
@click.option(
    "--from",
    "read_as",
    callback=known("INPUTS"),
    metavar="FORMAT",
    help="Format of the transcript. Default: told from its content.",
)
@click.option(
    "--to",
    "write_as",
    default="same",
    show_default=True,
    callback=known("OUTPUTS"),
    metavar="FORMAT",
    help="What to write: same, srt, vtt, ctm or txt.",
)
@click.option(
    "-o",
    "--output",
    type=existing_or_not(),
    default=Path("-"),
    metavar="FILE",
    help="Where to write it. Default: standard output.",
)
@click.option(
    "--max-gap",
    type=click.FloatRange(0, 3600),
    default=0.25,
    show_default=True,
    metavar="SECONDS",
    help="A word in a pause goes to the nearest turn no further away than this.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    callback=names_of,
    metavar="LABEL=NAME",
    help="Write a name instead of a label; may be given several times.",
)
@click.option("--uri", metavar="NAME", help="Which recording of an RTTM that holds several.")
@engine_options
@count_options
@quiet_option
@debug_option
@click.pass_obj
def assign(
    shell: Shell,
    /,
    transcript: Path,
    speakers: Path | None,
    audio: Path | None,
    read_as: str | None,
    write_as: str,
    output: Path,
    max_gap: float,
    names: dict[str, str],
    uri: str | None,
    quiet: bool,
    **values: Any,
) -> None:
    """Say who said each word of TRANSCRIPT.

    TRANSCRIPT is what a recogniser wrote: JSON of Whisper, WhisperX, whisper.cpp, Deepgram, AssemblyAI or
    Vosk, CTM, SRT or WebVTT. SPEAKERS is an RTTM or a JSON result of `diarize`; with --audio the recording is
    diarized first.
    """
    from speakrs_stream.transcripts import read_transcript
    from speakrs_stream.words import UNKNOWN, assign_words

    choice, count = engine_choice(values), speaker_count(values)
    if (speakers is None) == (audio is None):
        raise click.UsageError("name either an RTTM or JSON result, or --audio FILE")
    source = audio or speakers
    assert source is not None
    text = read_transcript(transcript, read_as)
    result = one_result(results_of(shell, source, choice, count, quiet=quiet), source, uri)
    strangers = set(names).difference(result.labels)
    if strangers:
        told = ", ".join(map(shown, result.labels)) or "none"
        raise ConfigError(f"--name: no speaker is called {', '.join(map(shown, sorted(strangers)))}; there are: {told}")
    labelled = assign_words(text.words, result, max_gap=max_gap)
    if str(output) == "-":
        click.echo(text.render(labelled, write_as, names=names), nl=False)
    else:
        text.write(output, labelled, write_as, names=names)
    unknown = sum(word.speaker == UNKNOWN for word in labelled)
    where = "" if str(output) == "-" else f" → {shown(output)}"
    lost = f", {unknown} of them of nobody known" if unknown else ""
    say(f"{shown(transcript)}: {len(labelled)} words{lost}{where}", quiet=quiet)
