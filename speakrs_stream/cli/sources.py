"""A result from whatever a command was given: an RTTM, a JSON result, or audio that is diarized first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from speakrs_stream.cli.options import SpeakerCount
from speakrs_stream.cli.progress import reporter
from speakrs_stream.cli.shell import EngineChoice, Shell, complain, shown
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import FormatError
from speakrs_stream.queue import DiarizationQueue, Diarizer, Job


def results_of(
    shell: Shell, path: Path, choice: EngineChoice, count: SpeakerCount, *, quiet: bool = False
) -> list[Diarization]:
    """Every recording in an RTTM, the one in a JSON result, or the one that an audio file is.

    Raises FormatError and AudioError where the file is none of these, ModelError where audio cannot be diarized.
    """
    match path.suffix.lower():
        case ".rttm":
            from speakrs_stream.formats import read_rttm

            recordings = read_rttm(path)
            return [Diarization.from_turns(turns, uri=uri) for uri, turns in recordings.items()]
        case ".json":
            from speakrs_stream.formats.text import read_text

            try:
                return [Diarization.from_json(read_text(path))]
            except FormatError as error:
                raise error if str(path) in str(error) else FormatError(f"{path}: {error}") from error
    expected = expected_samples(path)
    return [diarized(shell.open_engine(choice), path, expected, count, quiet=quiet).result()]


def one_result(results: Sequence[Diarization], path: Path, uri: str | None) -> Diarization:
    """The recording that was meant; wrong usage when there are several and none was named."""
    names = [result.uri for result in results]
    if uri is not None:
        if uri not in names:
            raise click.UsageError(f"{shown(path)} has no recording {uri!r}; it has {listed(names)}")
        return results[names.index(uri)]
    if not results:
        raise FormatError(f"{shown(path)} has no turns in it")
    if len(results) > 1:
        raise click.UsageError(f"{shown(path)} has several recordings, choose with --uri: {listed(names)}")
    return results[0]


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first ten."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(shown(name) for name in names[:10]) or "none") + more


def expected_samples(path: Path) -> int:
    """Length at 16 kHz as the file's header tells it, 0 when it does not; raises AudioError for no sound file."""
    from speakrs_stream.audio.files import open_audio

    with open_audio(path) as audio:
        return audio.samples or 0


def diarized(engine: Diarizer, path: Path, expected: int, count: SpeakerCount, *, quiet: bool) -> Job:
    """Diarize one file with a progress bar; the finished job. What is odd about the recording is said.

    expected: its length in samples at 16 kHz, for the bar
    """
    with reporter([shown(path.name)], [expected], quiet=quiet) as bar, DiarizationQueue(engine) as queue:
        job = queue.submit(path, hook=partial(bar.advance, 0), **asdict(count))
        result = job.result()
    for warning in result.warnings:
        complain(f"{shown(path)}: warning: {warning}")
    return job
