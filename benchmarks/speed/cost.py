"""What a stream and a recording cost: seconds of one core per second of audio, networks and everything else.

Seconds are processor time of this process, all its threads together: what other programs on the machine do lengthens
the wait, not the work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speakrs_stream.audio.live import LiveInput
from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.driver import batches, run
from speakrs_stream.engine import Engine


@dataclass(slots=True, eq=False)
class Running:
    """A live stream under measurement."""

    session: LiveSession
    """Its pure state."""
    source: LiveInput
    """The gate in front of it."""
    audio: F32
    """(n,) what it hears."""
    heard: int = 0
    """Samples given so far."""
    shown: int = 0
    """Events so far."""

    def hear(self, samples: int) -> None:
        """The next piece; from the start again where the audio ends."""
        where = np.arange(self.heard, self.heard + samples) % len(self.audio)
        self.session.push(self.source.push(self.audio[where]))
        self.heard += samples


def opened(engine: Engine, audio: Sequence[F32]) -> list[Running]:
    """A stream for each recording."""
    return [Running(LiveSession(engine.config, LiveConfig(), engine.model), LiveInput(), one) for one in audio]


def answered(
    streams: Sequence[Running], engine: Engine, spent: dict[str, float] | None = None
) -> Iterator[tuple[Running, Event]]:
    """Answer everything the streams ask, questions of one network and shape together, as the server does.

    spent: gets the seconds of work that each network took, added to what is there
    """
    while asked := [(stream, job) for stream in streams for job in stream.session.jobs()]:
        owner = {id(job): stream for stream, job in asked}
        for batch in batches([job for _, job in asked]):
            begin = time.process_time()
            outputs = run(batch, engine.networks)
            if spent is not None:
                spent[batch[0].model] = spent.get(batch[0].model, 0.0) + time.process_time() - begin
            yield from _told(batch, outputs, owner)


def _told(batch: Sequence[Job], outputs: Array, owner: dict[int, Running]) -> Iterator[tuple[Running, Event]]:
    for job, output in zip(batch, outputs, strict=True):
        stream = owner[id(job)]
        for event in stream.session.resolve(job.id, output):
            stream.shown += 1
            yield stream, event


def live_cost(engine: Engine, audio: Sequence[F32], seconds: float, spent: dict[str, float] | None = None) -> float:
    """Seconds of work per second of one stream, of `len(audio)` streams side by side, after their first window.

    seconds: how long each plays in the measurement, at least a step
    spent: gets what of it each network took
    """
    streams, step = opened(engine, audio), engine.config.step
    for stream in streams:
        stream.hear(WINDOW)
    for _ in answered(streams, engine):
        pass
    steps = max(1, round(seconds * SAMPLE_RATE / step))
    begin, parts = time.process_time(), dict[str, float]()
    for _ in range(steps):
        for stream in streams:
            stream.hear(step)
        for _ in answered(streams, engine, parts):
            pass
    heard = steps * step / SAMPLE_RATE * len(streams)
    if spent is not None:
        spent |= {name: work / heard for name, work in parts.items()}
    return (time.process_time() - begin) / heard


def live_shares(engine: Engine, audio: Sequence[F32], seconds: float) -> dict[str, float]:
    """What makes up `live_cost`: seconds of work per stream-second by network, and of everything else."""
    spent: dict[str, float] = {}
    whole = live_cost(engine, audio, seconds, spent)
    return {**spent, "everything else": whole - sum(spent.values())}


def offline_cost(engine: Engine, audio: F32) -> float:
    """Seconds of work per second of a recording, clustering included."""
    begin = time.process_time()
    engine.diarize(audio, sample_rate=SAMPLE_RATE)
    return (time.process_time() - begin) * SAMPLE_RATE / len(audio)
