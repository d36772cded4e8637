"""`speakrs-stream live`: a file or a pipe as a live stream, its events printed as they come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from speakrs_clients.interrupts import EndAsked, Interrupts
from speakrs_stream.cli.live_options import (
    known_voices,
    learned,
    live_choice,
    live_options,
    make_room,
    open_store,
    output_options,
    outputs,
    write,
)
from speakrs_stream.cli.options import (
    count_options,
    debug_option,
    engine_choice,
    engine_options,
    existing_or_not,
    settings_option,
    speaker_count,
)
from speakrs_stream.cli.shell import FAILED, OK, Shell, blame, say
from speakrs_stream.errors import AudioError, SpeakrsError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from speakrs_stream.cli.event_printer import EventPrinter
    from speakrs_stream.stream import Stream

BLOCK_SECONDS = 0.1
"""Length of a block of a file that is replayed."""


@click.command(no_args_is_help=True)
@click.argument("file", required=False, type=existing_or_not(allow_dash=True), metavar="FILE|-")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Times real time; 0 as fast as possible.  [default: 1 for a file; a pipe is taken as it comes]",
)
@click.option(
    "--raw-rate", type=click.IntRange(min=1), metavar="HZ", help="Standard input is bare 16-bit samples of this rate."
)
@click.option("--channels", type=click.IntRange(1, 64), metavar="N", help="With --raw-rate: channels.  [default: 1]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event an object and line.")
@engine_options
@settings_option
@count_options
@live_options
@output_options("nothing is written")
@debug_option
@click.pass_obj
def live(
    shell: Shell,
    /,
    file: Path | None,
    speed: float | None,
    raw_rate: int | None,
    channels: int | None,
    as_json: bool,
    formats: list[str],
    output_dir: Path | None,
    **values: Any,
) -> int:
    """Play FILE, or what comes through standard input (-), as a live stream, and print what it says as it says it.

    Standard input is WAV, or with --raw-rate bare 16-bit samples. At the end the whole is looked at again: the final
    result is told, which live speaker is which of its speakers, and in how many places it differs. Ctrl-C ends the
    stream early, a second one gives up.
    """
    from speakrs_stream.cli.event_printer import JsonPrinter, LinePrinter

    choice, count, people = engine_choice(values), speaker_count(values), live_choice(values)
    if file is None:
        raise click.UsageError("name a FILE, or - for standard input")
    piped = str(file) == "-"
    if not piped and (raw_rate is not None or channels is not None):
        raise click.UsageError("--raw-rate and --channels are about standard input; a file has a header that tells")
    if channels is not None and raw_rate is None:
        raise click.UsageError("--channels goes with --raw-rate; a WAV has a header that tells")
    folder = output_dir or Path()
    wanted = formats or (["rttm"] if output_dir is not None else [])
    with ExitStack() as stack, Interrupts() as interrupts:
        feed = opened_pipe(raw_rate, channels or 1, interrupts) if piped else opened_file(file, stack)
        if wanted:
            make_room(folder)
        engine = shell.open_live(choice)
        store = open_store(people)
        voices = known_voices(engine, people, store)
        rate, uri = feed.sample_rate, feed.name
        stream = engine.stream(sample_rate=rate, max_delay=people.max_delay, voices=voices, uri=uri, **asdict(count))
        printer: EventPrinter = JsonPrinter.of(stream, engine.bundle.name) if as_json else LinePrinter(in_place=True)
        pace = speed if speed is not None else 0.0 if piped else 1.0
        failure = play(feed, stream, printer, pace, interrupts)
        result = stream.finish()
        printer.events(stream.final_events, stream.state)
        result = replace(result, warnings=tuple(dict.fromkeys((*feed.notes(), *result.warnings))))
        result = learned(result, engine.bundle, people, store)
        files = outputs(folder, feed.name, wanted)
        written = write(result, files) if files else ""
        printer.ending(result, stream.comparison)
        if written:
            say(f"Wrote {written}.", quiet=False)
        if failure is not None:
            blame(shell, None, failure)
    return OK if failure is None else FAILED


# -- sound -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the sound comes from."""

    name: str
    """What to call the recording."""

    sample_rate: int
    """Hertz of the blocks."""

    blocks: Callable[[], Iterator[NDArray[float32]]]
    """Gives the sound, (n,) or (n, channels), once."""

    notes: Callable[[], Sequence[str]]
    """What was odd about it, known at its end."""

    seconds: float | None = None
    """How long it is, where that is known before it ends."""


def opened_file(path: Path, stack: ExitStack) -> Feed:
    """A file; closed by `stack`."""
    from speakrs_stream.audio.files import open_audio
    from speakrs_stream.core.grid import SAMPLE_RATE

    audio = stack.enter_context(open_audio(path))
    return Feed(
        path.stem, SAMPLE_RATE, lambda: audio.blocks(BLOCK_SECONDS), lambda: audio.report.warnings, audio.duration
    )


def opened_pipe(raw_rate: int | None, channels: int, interrupts: Interrupts) -> Feed:
    """Standard input; its header is read, which waits for whoever writes."""
    from speakrs_stream.audio.pipe import Readable, raw_pipe, wav_pipe

    source = cast(Readable, sys.stdin.buffer)
    try:
        with interrupts.waiting():
            pipe = wav_pipe(source) if raw_rate is None else raw_pipe(source, sample_rate=raw_rate, channels=channels)
    except EndAsked:
        raise click.Abort from None
    cut = "standard input ended inside a sample, or before the length that its header promised"
    return Feed("stdin", pipe.sample_rate, pipe.blocks, lambda: [cut] if pipe.cut else [])


def play(
    feed: Feed, stream: Stream, printer: EventPrinter, speed: float, interrupts: Interrupts
) -> SpeakrsError | None:
    """Push everything at the pace asked for, until it ends, Ctrl-C is pressed or nobody reads what is printed.

    Returns what went wrong with the sound; what was heard until then still counts.
    """
    blocks = feed.blocks()
    position, began = 0, time.monotonic()
    while not interrupts.asked and not printer.gone:
        try:
            with interrupts.waiting():
                block = next(blocks, None)
                if block is None:
                    break
                position += len(block)
                if speed:
                    time.sleep(max(0.0, began + position / feed.sample_rate / speed - time.monotonic()))
            events = stream.push(block)
        except EndAsked:
            break
        except AudioError as error:
            return error
        if events:
            printer.events(events, stream.state)
    return None
