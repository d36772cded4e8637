"""`speakrs-stream send`: audio to a server, its turns printed as they come, its result written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from speakrs_clients.ahead import Ahead
from speakrs_clients.interrupts import Interrupts
from speakrs_stream.cli.live import Feed, opened_file, opened_pipe
from speakrs_stream.cli.live_options import make_room, output_options, outputs, write
from speakrs_stream.cli.options import count_options, debug_option, existing_or_not, quiet_option, speaker_count
from speakrs_stream.cli.progress import pace
from speakrs_stream.cli.server_options import opened_remote, server_choice, server_options, status_of
from speakrs_stream.cli.shell import FAILED, INTERRUPTED, OK, Shell, blame, complain, say
from speakrs_stream.cli.timeline import clock
from speakrs_stream.core.grid import SAMPLE_RATE, seconds
from speakrs_stream.errors import AudioError, SpeakrsError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from speakrs_clients.remote import RemoteStream
    from speakrs_stream.cli.event_printer import EventPrinter
    from speakrs_stream.diarization import Diarization

LOOK, MOMENT = 0.2, 0.02
"""Seconds between looks at what came in: while nothing happens, and while sound waits for room."""


@click.command(no_args_is_help=True)
@click.argument("file", required=False, type=existing_or_not(allow_dash=True), metavar="FILE|-")
@server_options(required=True)
@click.option("--realtime", is_flag=True, help="Send at the pace of time, as a live stream would come.")
@click.option(
    "--raw-rate", type=click.IntRange(min=1), metavar="HZ", help="Standard input is bare 16-bit samples of this rate."
)
@click.option("--channels", type=click.IntRange(1, 64), metavar="N", help="With --raw-rate: channels.  [default: 1]")
@click.option(
    "--max-delay",
    type=click.FloatRange(1, 120),
    metavar="S",
    help="Seconds within which what was heard is final, 1 to 120.  [default: the server's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event an object and line.")
@count_options
@output_options("nothing is written")
@quiet_option
@debug_option
@click.pass_obj
def send(
    shell: Shell,
    /,
    file: Path | None,
    realtime: bool,
    raw_rate: int | None,
    channels: int | None,
    max_delay: float | None,
    as_json: bool,
    formats: list[str],
    output_dir: Path | None,
    quiet: bool,
    **values: Any,
) -> int:
    """Send FILE, or what comes through standard input (-), to a server, and print who speaks as it says it.

    A file is sent as fast as the server works, whatever its format. Lost connections and restarted servers are bridged:
    nothing is lost or told twice. Ctrl-C ends the stream early and gets the result of what was sent, a second one gives
    up. Exit status: 3 nobody is there, 4 the token is not accepted, 5 the certificate is not trusted, 6 what is there
    does not speak speakrs.v1.
    """
    count, where = speaker_count(values), server_choice(values)
    if file is None:
        raise click.UsageError("name a FILE, or - for standard input")
    piped = str(file) == "-"
    if not piped and (raw_rate is not None or channels is not None):
        raise click.UsageError("--raw-rate and --channels are about standard input; a file has a header that tells")
    if channels is not None and raw_rate is None:
        raise click.UsageError("--channels goes with --raw-rate; a WAV has a header that tells")
    assert where is not None  # --server is required
    wanted = formats or (["rttm"] if output_dir is not None else [])
    folder = output_dir or Path()
    try:
        with ExitStack() as stack:
            interrupts = stack.enter_context(Interrupts())
            feed = opened_pipe(raw_rate, channels or 1, interrupts) if piped else opened_file(file, stack)
            if wanted:
                make_room(folder)
            mode = "live" if realtime else "file"
            opening = opened_remote(
                where, count, uri=feed.name, sample_rate=SAMPLE_RATE, max_delay=max_delay, mode=mode
            )
            stream = stack.enter_context(opening)
            sending = Sending(stream, feed, interrupts, realtime=realtime, quiet=quiet, as_json=as_json)
            return sending.run(shell, outputs(folder, feed.name, wanted))
    except KeyboardInterrupt:
        complain("given up: the final result was not written")
        return INTERRUPTED
    except SpeakrsError as error:
        blame(shell, None, error)
        return status_of(error)


class Sending:
    """A recording on its way to a server."""

    def __init__(
        self, stream: RemoteStream, feed: Feed, interrupts: Interrupts, *, realtime: bool, quiet: bool, as_json: bool
    ) -> None:
        """realtime: whether sound is sent at the pace of time; quiet: whether only errors and results are told."""
        from speakrs_stream.cli.event_printer import JsonPrinter, LinePrinter

        self._stream, self._feed, self._interrupts, self._quiet = stream, feed, interrupts, quiet
        self._realtime = realtime
        self._notes: SimpleQueue[str] = SimpleQueue()
        stream.told = self._notes.put
        self._began = time.monotonic()
        self._lines: LinePrinter | None = None
        self._printer: EventPrinter
        if as_json:
            bundle, delay = stream.started.models.bundle, stream.started.max_delay_ms * 16
            self._printer = JsonPrinter(feed.name, bundle=bundle, step=None, max_delay=delay)
        else:
            self._printer = self._lines = LinePrinter(in_place=True)

    def run(self, shell: Shell, files: Mapping[str, Path]) -> int:
        """Send everything, wait for the result and write it; the exit status."""
        try:
            failure = self._play()
            self._stream.end()
            while not self._stream.over(LOOK):
                self._show()
            result = self._stream.finish()
            self._printer.events(self._stream.final_events, self._stream.state)
        except SpeakrsError:
            self._rescue(files)
            raise
        result = replace(result, warnings=tuple(dict.fromkeys((*self._feed.notes(), *result.warnings))))
        self._printer.ending(result, self._stream.comparison)
        if files:
            say(f"Wrote {write(result, files)}.", quiet=self._quiet)
        if failure is not None:
            blame(shell, None, failure)
        return OK if failure is None else FAILED

    def _rescue(self, files: Mapping[str, Path]) -> None:
        """The stream could not go on: what was shown until then is better than nothing."""
        shown: Diarization = self._stream.live()
        if files and shown.samples:
            complain(f"the stream could not go on; what was shown until then is in {write(shown, files)}")

    def _play(self) -> SpeakrsError | None:
        """Hand everything over, until it ends, Ctrl-C is pressed or nobody reads what is printed.

        Returns what went wrong with the sound; what was sent until then still counts.
        """
        with closing(Ahead(self._blocks())) as blocks:
            return self._hand_over(blocks)

    def _hand_over(self, blocks: Ahead[NDArray[float32]]) -> SpeakrsError | None:
        position = 0
        while not self._interrupts.asked and not self._printer.gone:
            block = blocks.next(LOOK)
            if isinstance(block, AudioError):
                return block
            if block is None and blocks.over:
                break
            if block is None:
                self._show()
                continue
            position += len(block)
            due = self._began + position / SAMPLE_RATE if self._realtime else 0.0
            while not self._interrupts.asked and (time.monotonic() < due or not self._stream.room):
                time.sleep(min(max(due - time.monotonic(), MOMENT), LOOK))
                self._show()
            if not self._interrupts.asked:
                self._show(block)
        return None

    def _blocks(self) -> Iterator[NDArray[float32]]:
        """The sound, mono at 16 kHz."""
        from speakrs_stream.audio.live import LiveInput

        source = LiveInput(self._feed.sample_rate)
        for block in self._feed.blocks():
            yield source.push(block)
        yield source.finish()

    def _show(self, block: NDArray[float32] | None = None) -> None:
        """Send a block, if there is one, and print what came in."""
        events = self._stream.take() if block is None else self._stream.push(block)
        if events:
            self._printer.events(events, self._stream.state)
        while not self._notes.empty():
            note = self._notes.get()
            if not self._quiet:
                self._printer.note(note)
        if self._lines is not None and not self._quiet:
            self._lines.progress(self._progress())

    def _progress(self) -> str:
        """`sent 1:30 of 10:00 · 8.1× real time`, and what is wrong with the connection."""
        done = seconds(self._stream.processed)
        rate = done / max(time.monotonic() - self._began, 1e-3)
        whole = f" of {clock(self._feed.seconds)}" if self._feed.seconds is not None else ""
        link = self._stream.link
        parts = [f"heard {clock(done)}{whole}", f"{pace(rate)} real time"]
        if link.lost:
            parts.append(f"no connection ({link.lost}), trying again")
        return " · ".join(parts)
