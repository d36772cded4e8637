"""What makes up the cost of a live stream: each network's share, and that of everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from rich import box
from rich.table import Table

from benchmarks.speed.cost import live_shares
from benchmarks.speed.material import sound, talk
from benchmarks.speed.throughput import Case, cases, engines
from speakrs_stream.models.bundle import ModelBundle

TOGETHER = 8
"""Streams side by side."""


def measure(
    bundles: Sequence[ModelBundle], steps: Sequence[float], *, seconds: float, runs: int
) -> dict[Case, dict[str, float]]:
    """Seconds of work per stream-second by network, medians; each way to run side by side streams."""
    wanted = [case for case in cases(bundles, steps) if case.streams == TOGETHER]
    ready, audio = engines(bundles, wanted), talk(sound(seconds), TOGETHER)
    taken: dict[Case, list[dict[str, float]]] = {case: [] for case in wanted}
    for _ in range(runs):
        for case, rows in taken.items():
            engine = ready[case.bundle, case.embedding, case.step]
            rows.append(live_shares(engine, audio, max(case.step, seconds / TOGETHER)))
    return {
        case: {name: median(row.get(name, 0.0) for row in rows) for name in rows[0]} for case, rows in taken.items()
    }


def table(found: Mapping[Case, Mapping[str, float]]) -> Table:
    """Milliseconds and shares."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("networks", "embedding", "step", "part"):
        shown.add_column(name)
    for name in ("ms a stream-second", "share"):
        shown.add_column(name, justify="right")
    for case, parts in found.items():
        whole = sum(parts.values())
        for name, work in sorted(parts.items(), key=lambda part: -part[1]):
            row = (case.bundle, case.embedding, f"{case.step:g} s", name)
            shown.add_row(*row, f"{1000 * work:.2f}", f"{work / whole:.0%}")
    return shown


def figures(found: Mapping[Case, Mapping[str, float]]) -> list[dict[str, object]]:
    """The same for a file."""
    return [
        {"bundle": case.bundle, "embedding": case.embedding, "step": case.step, "seconds_per_second": dict(parts)}
        for case, parts in found.items()
    ]
