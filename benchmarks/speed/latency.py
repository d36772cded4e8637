"""How soon a stream answers when a core carries few, some, or as many streams as it can.

Streams hear 100 ms at a time, each with a phase of its own. Time is simulated: the worker takes what has come, works,
and the clock moves by the processor time that took; where nothing has come it moves on to the next piece. So the
figures are those of a core that does nothing else, whatever else this one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.speed.cost import Running, answered, opened
from benchmarks.speed.material import sound, talk
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.engine import Engine

BLOCK = SAMPLE_RATE // 10
"""Samples that come at once."""
SHARES = (0.0, 0.5, 1.0)
"""Loads, as a share of capacity; 0 is a single stream."""


@dataclass(frozen=True, slots=True)
class Delays:
    """What streams waited for."""

    streams: int
    """How many there were."""
    window: Sequence[float]
    """Seconds from the last sample of each window until everything it changed was told."""
    busy: float
    """Share of the time that the worker worked."""
    behind: float
    """Seconds by which it was late in the end."""


def measure(engine: Engine, streams: int, seconds: float, audio_seconds: float = 60.0) -> Delays:
    """Play `seconds` of `streams` streams in real time, their first window done beforehand."""
    running = opened(engine, talk(sound(audio_seconds), streams))
    for stream in running:
        stream.hear(WINDOW)
    for _ in answered(running, engine):
        pass
    comes = [
        [(number * BLOCK / streams + (index + 1) * BLOCK) / SAMPLE_RATE for index in range(round(seconds * 10))]
        for number in range(streams)
    ]
    return _played(engine, running, comes)


def _played(engine: Engine, running: Sequence[Running], comes: Sequence[Sequence[float]]) -> Delays:
    """The worker's loop: take every block that has come, answer, move the clock by what that took."""
    now, worked = 0.0, 0.0
    given = [0] * len(running)
    delays: list[float] = []
    while any(done < len(times) for done, times in zip(given, comes, strict=True)):
        ready = [i for i, times in enumerate(comes) if given[i] < len(times) and times[given[i]] <= now]
        if not ready:
            now = min(times[done] for done, times in zip(given, comes, strict=True) if done < len(times))
            continue
        ends: list[float] = []
        begin = process_time()
        for i in ready:
            running[i].hear(BLOCK)
            if (running[i].heard - WINDOW) % engine.config.step == 0:
                ends.append(comes[i][given[i]])
            given[i] += 1
        for _ in answered(running, engine):
            pass
        took = process_time() - begin
        now, worked = now + took, worked + took
        delays += [now - end for end in ends]
    last = max(times[-1] for times in comes)
    return Delays(len(running), tuple(delays), worked / now, max(0.0, now - last))


def shown_after(delays: Delays, step: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Seconds from a sound until it is first shown: it waits for its window to end, then for the answer."""
    waits = (np.arange(20) + 0.5) / 20 * step
    return np.asarray(np.add.outer(np.asarray(delays.window), waits).ravel())


def table(found: Mapping[str, Delays], step: float) -> Table:
    """Percentiles by load."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("load")
    for name in ("streams", "core busy", "window to events p50 / p95 / p99, ms", "sound to shown p50 / p95 / p99, s"):
        shown.add_column(name, justify="right")
    for name, delays in found.items():
        window = [f"{1000 * value:.0f}" for value in np.percentile(delays.window, (50, 95, 99))]
        first = [f"{value:.2f}" for value in np.percentile(shown_after(delays, step), (50, 95, 99))]
        shown.add_row(name, str(delays.streams), f"{delays.busy:.0%}", " / ".join(window), " / ".join(first))
    return shown


def figures(found: Mapping[str, Delays], step: float) -> dict[str, Any]:
    """The same for a file."""
    marks = (50, 95, 99)
    return {
        name: {
            "streams": delays.streams,
            "busy": delays.busy,
            "behind_s": delays.behind,
            "window_to_events_s": dict(zip(map(str, marks), np.percentile(delays.window, marks).tolist(), strict=True)),
            "sound_to_shown_s": dict(
                zip(map(str, marks), np.percentile(shown_after(delays, step), marks).tolist(), strict=True)
            ),
        }
        for name, delays in found.items()
    }
