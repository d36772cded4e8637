"""Live streams on one core, and recordings in times real time, for every way to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.speed.cost import live_cost, offline_cost
from benchmarks.speed.material import sound, talk
from benchmarks.speed.timing import Spread, in_turn
from speakrs_stream.engine import EmbeddingMode, Engine
from speakrs_stream.models.bundle import ModelBundle

STEPS = (1.0, 2.0)
STREAMS = (1, 8)
"""Streams side by side: alone, and enough for batches."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to run."""

    bundle: str
    """Name of the networks."""
    embedding: str
    """exact, fast or refined."""
    step: float
    """Seconds between windows."""
    streams: int
    """Live streams side by side; 0: a recording."""

    @property
    def name(self) -> str:
        """What tells it from others."""
        what = f"{self.streams} live" if self.streams else "recording"
        return f"{self.bundle} {self.embedding} {self.step:g} s {what}"


def cases(bundles: Iterable[ModelBundle], steps: Sequence[float] = STEPS) -> list[Case]:
    """Everything that makes a difference: networks whose windows share the trunk exactly have one way only."""
    found = []
    for bundle in bundles:
        trunk = bundle.embedding.trunk
        ways = ["exact"] if trunk is not None and not trunk.padded else ["exact", "fast"]
        for way in ways:
            for step in steps:
                found += [Case(bundle.name, way, step, streams) for streams in (*STREAMS, 0)]
    return found


def engines(
    bundles: Iterable[ModelBundle], wanted: Iterable[Case], threads: int = 1
) -> dict[tuple[str, str, float], Engine]:
    """An engine for each kind of case: bundle, way and step."""
    by_name = {bundle.name: bundle for bundle in bundles}
    kinds = {(case.bundle, case.embedding, case.step) for case in wanted}
    return {kind: _engine(by_name[kind[0]], kind[1], kind[2], threads) for kind in sorted(kinds)}


def _engine(bundle: ModelBundle, embedding: str, step: float, threads: int) -> Engine:
    ways: Mapping[str, EmbeddingMode] = {"exact": "exact", "fast": "fast", "refined": "refined"}
    return Engine(bundle, mode="cpu", embedding=ways[embedding], step=step, threads=threads)


def measure(
    bundles: Sequence[ModelBundle],
    wanted: Sequence[Case],
    *,
    seconds: float,
    runs: int,
    threads: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> dict[Case, Spread]:
    """Seconds of work per second of audio for each case, taken in turn."""
    ready = engines(bundles, wanted, threads)
    audio = sound(seconds)
    todo: dict[str, Callable[[], float]] = {}
    for case in wanted:
        engine = ready[case.bundle, case.embedding, case.step]
        if case.streams:
            each = max(case.step, seconds / case.streams)  # the same work whatever the number of streams
            todo[case.name] = partial(live_cost, engine, talk(audio, case.streams), each)
        else:
            todo[case.name] = partial(offline_cost, engine, audio)
    found = in_turn(todo, runs, report)
    return {case: found[case.name] for case in wanted}


def table(found: Mapping[Case, Spread]) -> Table:
    """Streams per core and times real time."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("networks", "embedding", "step"):
        shown.add_column(name)
    for name in ("streams a core, alone", "side by side", "recording, × real time", "ms a stream-second"):
        shown.add_column(name, justify="right")
    rows = dict.fromkeys((case.bundle, case.embedding, case.step) for case in found)
    for kind in rows:
        speeds = [speed(found.get(Case(*kind, streams))) for streams in (*STREAMS, 0)]
        side = found.get(Case(*kind, STREAMS[-1]))
        cost = "–" if side is None else f"{1000 * side.median:.1f}"
        shown.add_row(kind[0], kind[1], f"{kind[2]:g} s", *speeds, cost)
    return shown


def speed(cost: Spread | None) -> str:
    """Times real time: median and range."""
    if cost is None:
        return "–"
    return f"{1 / cost.median:.1f} ({1 / cost.high:.1f}–{1 / cost.low:.1f})"


def figures(found: Mapping[Case, Spread]) -> list[dict[str, Any]]:
    """The same for a file."""
    return [
        {
            "bundle": case.bundle,
            "embedding": case.embedding,
            "step": case.step,
            "streams": case.streams,
            "seconds_per_second": list(cost.values),
            "times_real_time": 1 / cost.median,
        }
        for case, cost in found.items()
    ]
