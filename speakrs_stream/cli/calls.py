"""A call: a stream that is listened to, on this machine or by a server, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from speakrs_stream.cli.live_options import LiveChoice, known_voices, learned, open_store
from speakrs_stream.cli.options import SpeakerCount
from speakrs_stream.cli.server_options import ServerChoice, opened_remote

if TYPE_CHECKING:
    from speakrs_clients.meters import Link
    from speakrs_clients.worker import LiveStream
    from speakrs_stream.cli.event_printer import EventPrinter
    from speakrs_stream.diarization import Diarization
    from speakrs_stream.engine import Engine

BRIDGED = 120.0
"""Seconds of sound that wait for a lost connection before the microphone's own buffer fills."""


@dataclass(frozen=True, slots=True)
class Call:
    """A stream that is open, and what is said about it."""

    stream: LiveStream
    """Takes the sound."""

    model: str
    """What listens, for the header."""

    as_json: Callable[[], EventPrinter]
    """Makes the printer of JSON lines."""

    learned: Callable[[Diarization, set[str]], Diarization]
    """Lets the voice store learn from a result and the names that were typed in."""

    link: Callable[[], Link] | None = None
    """How the connection is, for a stream on a server."""

    told: Callable[[Callable[[str], None]], None] = lambda hear: None
    """Has what there is to say about the connection told to a function."""


def local_call(engine: Engine, rate: int, name: str, count: SpeakerCount, people: LiveChoice) -> Call:
    """A call that this machine listens to."""
    from speakrs_stream.cli.event_printer import JsonPrinter

    store = open_store(people)
    voices = known_voices(engine, people, store)
    stream = engine.stream(sample_rate=rate, max_delay=people.max_delay, voices=voices, uri=name, **asdict(count))

    def learn(result: Diarization, named: set[str]) -> Diarization:
        return learned(result, engine.bundle, people, store, confirmed=named)

    model = f"{engine.bundle.name} on {engine.backend_name}"
    return Call(stream, model, lambda: JsonPrinter.of(stream, engine.bundle.name), learn)


def remote_call(
    where: ServerChoice, rate: int, name: str, count: SpeakerCount, people: LiveChoice, stack: ExitStack
) -> Call:
    """A call that a server listens to; left by `stack`."""
    from speakrs_stream.cli.event_printer import JsonPrinter

    opening = opened_remote(
        where, count, uri=name, sample_rate=rate, max_delay=people.max_delay, buffer_s=BRIDGED, mode="live"
    )
    stream = stack.enter_context(opening)
    bundle, delay = stream.started.models.bundle, stream.started.max_delay_ms * 16
    model = f"{bundle} at {stream.where}"

    def hear(tell: Callable[[str], None]) -> None:
        stream.told = tell

    printer = partial(JsonPrinter, name, bundle=bundle, step=None, max_delay=delay)
    return Call(stream, model, printer, lambda result, named: result, lambda: stream.link, hear)
