"""What makes up the cost of a live stream: each network's share, and that of everything else.

Beside it how much each multiplies, and how many multiplications a second that comes to: where it is near what the core
does in a plain matrix product, no other program computes the same network in float32 much faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from rich import box
from rich.table import Table

from benchmarks.speed.cost import live_shares
from benchmarks.speed.material import sound, talk
from benchmarks.speed.multiplications import per_second
from benchmarks.speed.throughput import Case, cases, engines
from speakrs_stream.engine import Engine
from speakrs_stream.models.bundle import ModelBundle

TOGETHER = 8
"""Streams side by side."""


Parts = Mapping[str, float]
"""A figure for each network and for everything else."""


def measure(
    bundles: Sequence[ModelBundle], steps: Sequence[float], *, seconds: float, runs: int
) -> tuple[dict[Case, Parts], dict[Case, Parts]]:
    """Seconds of work per stream-second by network, medians, and multiplications; every way, side by side streams."""
    wanted = [case for case in cases(bundles, steps) if case.streams == TOGETHER]
    ready, audio = engines(bundles, wanted), talk(sound(seconds), TOGETHER)
    taken: dict[Case, list[dict[str, float]]] = {case: [] for case in wanted}
    for _ in range(runs):
        for case, rows in taken.items():
            engine = ready[case.bundle, case.embedding, case.step]
            rows.append(live_shares(engine, audio, max(case.step, seconds / TOGETHER)))
    work: dict[Case, Parts] = {
        case: {name: median(row.get(name, 0.0) for row in rows) for name in rows[0]} for case, rows in taken.items()
    }
    counts = {case: _multiplied(ready[case.bundle, case.embedding, case.step], case.step) for case in wanted}
    return work, counts


def _multiplied(engine: Engine, step: float) -> Parts:
    return per_second(engine.networks.bundle, step, engine.networks.filters is not None)


def table(found: Mapping[Case, Parts], counts: Mapping[Case, Parts]) -> Table:
    """Milliseconds, shares, and millions of multiplications."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("networks", "embedding", "step", "part"):
        shown.add_column(name)
    for name in ("ms a stream-second", "share", "million multiplications", "thousand millions a second"):
        shown.add_column(name, justify="right")
    for case, parts in found.items():
        whole = sum(parts.values())
        for name, work in sorted(parts.items(), key=lambda part: -part[1]):
            row = (case.bundle, case.embedding, f"{case.step:g} s", name)
            count = counts[case].get(name, 0.0)
            speed = (f"{count / 1e6:,.0f}", f"{count / work / 1e9:.1f}") if count and work else ("", "")
            shown.add_row(*row, f"{1000 * work:.2f}", f"{work / whole:.0%}", *speed)
    return shown


def figures(found: Mapping[Case, Parts], counts: Mapping[Case, Parts]) -> list[dict[str, object]]:
    """The same for a file."""
    return [
        {
            "bundle": case.bundle,
            "embedding": case.embedding,
            "step": case.step,
            "seconds_per_second": dict(parts),
            "multiplications_per_second": dict(counts[case]),
        }
        for case, parts in found.items()
    ]
