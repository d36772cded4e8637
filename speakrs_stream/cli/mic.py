"""`speakrs-stream mic`: who speaks at the microphone, live, heard by this machine or by a server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_clients.interrupts import Interrupts
from speakrs_stream.cli.calls import Call, local_call, remote_call
from speakrs_stream.cli.live_options import (
    LiveChoice,
    free_name,
    live_choice,
    live_options,
    make_room,
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
from speakrs_stream.cli.server_options import server_choice, server_options, status_of
from speakrs_stream.cli.shell import (
    FAILED,
    INTERRUPTED,
    OK,
    EngineChoice,
    Shell,
    blame,
    complain,
    console,
    interactive,
    say,
)
from speakrs_stream.errors import OutputError, SpeakrsError

if TYPE_CHECKING:
    from speakrs_clients.worker import LiveStream, Worker
    from speakrs_stream.audio.capture import SoundSource
    from speakrs_stream.cli.event_printer import EventPrinter
    from speakrs_stream.core.events import Event
    from speakrs_stream.core.reducer import StreamState
    from speakrs_stream.diarization import Diarization

FORMATS = ("rttm", "json")
"""What is written when nothing else is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How a call is shown."""

    plain: bool
    """One line a turn instead of a screen."""

    as_json: bool
    """One JSON object an event."""

    ascii_only: bool
    """Only characters that every terminal has."""

    @property
    def full_screen(self) -> bool:
        """Whether there is a terminal on both sides, and nobody asked for something else."""
        terminal = interactive(sys.stdout) and sys.stdin.isatty() and os.name == "posix"
        return terminal and not (self.plain or self.as_json)


@click.command()
@click.option("--list", "list_", is_flag=True, help="List what can be listened to, and stop.")
@click.option(
    "--device", metavar="NUMBER|NAME", help="What to listen to, or a part of its name. [default: the system's]"
)
@click.option("--plain", is_flag=True, help="Print one line a final turn instead of a full screen.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event an object and line.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII characters only.")
@click.option("--name", default="call", show_default=True, help="What to call the files; call-2 when call exists.")
@engine_options
@settings_option
@count_options
@live_options
@output_options(",".join(FORMATS))
@server_options(required=False)
@click.option("--source", type=existing_or_not(), metavar="FILE", help="Play FILE as if it were the microphone.")
@click.option(
    "--speed", type=click.FloatRange(min=0), metavar="N", help="With --source: times real time; 0 as fast as possible."
)
@debug_option
@click.pass_obj
def mic(
    shell: Shell,
    /,
    list_: bool,
    device: str | None,
    name: str,
    formats: list[str],
    output_dir: Path | None,
    source: Path | None,
    speed: float | None,
    **values: Any,
) -> int:
    """Watch who speaks at the microphone: a minute of timeline, airtime, and how far behind everything is.

    Keys: space pauses, n names a speaker, m merges two, s saves what is known so far, q quits. q, or Ctrl-C once,
    looks at the whole call again and writes the result; Ctrl-C twice gives up. Nothing leaves this machine, and the
    sound itself is not kept; with --server the sound goes to that server, and to nobody else.
    """
    choice, count, people, where = (
        engine_choice(values),
        speaker_count(values),
        live_choice(values),
        server_choice(values),
    )
    how = Presentation(**values)
    if list_:
        show_devices(as_json=how.as_json)
        return OK
    check(device, name, source, speed)
    if where is not None:
        check_remote(choice, people)
    folder, wanted = output_dir or Path(), formats or list(FORMATS)
    make_room(folder)
    sound = opened(source, device, 1.0 if speed is None else speed)
    try:
        with ExitStack() as stack:
            name = free_name(folder, name, wanted)
            if where is None:
                call = local_call(shell.open_live(choice), sound.sample_rate, name, count, people)
            else:
                call = remote_call(where, sound.sample_rate, name, count, people, stack)
            return listened(call, sound, how, outputs(folder, name, wanted))
    except SpeakrsError as error:
        if where is None:
            raise
        blame(shell, None, error)
        return status_of(error)


def listened(call: Call, sound: SoundSource, how: Presentation, files: Mapping[str, Path]) -> int:
    """Listen until the end and write the result; the exit status."""
    from speakrs_stream.cli.event_printer import LinePrinter

    printer = call.as_json() if how.as_json else LinePrinter(in_place=False, ascii_wanted=how.ascii_only)
    with Interrupts() as interrupts:
        try:
            if how.full_screen:
                worker, named = on_screen(call, sound, how, files, interrupts)
            else:
                worker, named = in_lines(call, sound, printer, interrupts), set()
        except KeyboardInterrupt:
            complain("given up: the final result was not written")
            return INTERRUPTED
    if worker.error is not None:
        rescue(worker.salvaged, files)
        raise worker.error
    assert worker.result is not None
    result = call.learned(worker.result, named)
    printer.ending(result, call.stream.comparison)
    if not result.samples:
        say("Nothing was heard, so nothing was written.", quiet=False)
        return OK
    return delivered(result, files)


def check(device: str | None, name: str, source: Path | None, speed: float | None) -> None:
    """Refuse options that make no sense together."""
    if source is None and speed is not None:
        raise click.UsageError("--speed goes with --source: a microphone has its own")
    if source is not None and device is not None:
        raise click.UsageError("--source takes the place of a microphone: leave out --device")
    if name in ("", ".", "..") or "/" in name or os.sep in name:
        raise click.UsageError("--name is the name of files without folder and suffix; see --output-dir")


def check_remote(choice: EngineChoice, people: LiveChoice) -> None:
    """Refuse options about the networks and voices of this machine for a call that a server listens to."""
    if choice != EngineChoice():
        theirs = "--bundle, --mode, --backend, --step, --embedding, --threads and --settings"
        raise click.UsageError(f"the server has its own networks: leave out {theirs}")
    if people.voices or people.use_store:
        raise click.UsageError("voices are known on this machine only: leave out --voice and --voices with --server")


def opened(source: Path | None, device: str | None, speed: float) -> SoundSource:
    """The microphone, or the file that plays it; not listening yet."""
    from speakrs_clients.replay import Replay
    from speakrs_stream.audio.microphone import Microphone

    return Microphone(device) if source is None else Replay.of(source, speed=speed)


def on_screen(
    call: Call, sound: SoundSource, how: Presentation, files: Mapping[str, Path], interrupts: Interrupts
) -> tuple[Worker, set[str]]:
    """The full screen until the end; the worker, done, and the names that were typed in."""
    from speakrs_clients.monitor import Labels, Monitor
    from speakrs_clients.tty import FullScreen, Keyboard
    from speakrs_clients.worker import Worker
    from speakrs_stream.cli.event_printer import stdout_look

    def save(live: LiveStream) -> str:
        return f"saved {write(live.live(), files)} as known so far"

    worker = Worker(call.stream, sound)
    call.told(worker.tell)
    look = stdout_look(ascii_wanted=how.ascii_only)
    monitor = Monitor(worker, sound, Labels(sound.name, call.model), look, save=save, link=call.link)
    keyboard = Keyboard(sys.stdin.fileno())
    monitor.run(keyboard, FullScreen(sys.stdout.fileno(), keyboard), interrupts)
    return worker, monitor.named


def in_lines(call: Call, sound: SoundSource, printer: EventPrinter, interrupts: Interrupts) -> Worker:
    """Line by line until the end; the worker, done."""
    from speakrs_clients.monitor import Feed, listen
    from speakrs_clients.worker import Worker

    feed = Feed()
    worker = Worker(call.stream, sound, heard=feed.put)
    call.told(worker.tell)

    def tell(events: list[Event], state: StreamState) -> None:
        printer.events(events, state)
        if printer.gone:
            worker.stop()

    listen(worker, feed, interrupts, tell, complain)
    return worker


def delivered(result: Diarization, files: Mapping[str, Path]) -> int:
    """Write the result; the exit status. Where that fails it is printed: nobody can repeat a call."""
    try:
        say(f"Wrote {write(result, files)}.", quiet=False)
        return OK
    except OutputError as error:
        complain(f"{error}; here is the result as RTTM:")
        say(result.to_rttm().rstrip(), quiet=False)
        return FAILED


def rescue(salvaged: Diarization | None, files: Mapping[str, Path]) -> None:
    """After a failure in the middle of a call: write what was shown until then."""
    if salvaged is not None:
        complain("the call could not go on; what was shown until then:")
        delivered(salvaged, files)


def show_devices(*, as_json: bool) -> None:
    """Everything that can be listened to, on standard output."""
    from rich.table import Table
    from rich.text import Text

    from speakrs_stream.audio.microphone import devices
    from speakrs_stream.formats.text import one_line

    found = devices()
    if as_json:
        for device in found:
            click.echo(json.dumps(asdict(device)))
        return
    if not found:
        click.echo("There is no sound input.")
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("number", "name", "channels", "rate"):
        table.add_column(heading)
    for device in found:
        name = f"{one_line(device.name)}{' (default)' if device.default else ''}"
        table.add_row(str(device.index), Text(name), str(device.channels), f"{device.sample_rate} Hz")
    console().print(table)
