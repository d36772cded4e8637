"""Live figures as tables and plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.live_goals import Goal
from speakrs_stream.errors import MissingExtra

Figures = Mapping[str, Any]
"""What `live_summary.summarize` gives."""


def der_table(name: str, groups: Mapping[str, Figures], part: str = "all") -> Table:
    """DER and, for each age, how much of it is confusion; one row per group."""
    table = Table(box=box.SIMPLE_HEAD, title=f"{name}: DER % (confusion %) by age of the label, {part}")
    table.add_column("", no_wrap=True)
    ages = list(dict.fromkeys(age for figures in groups.values() for age in figures["der"][part]))
    for age in ages:
        table.add_column(f"{age} s" if age[0].isdigit() else age, justify="right", no_wrap=True)
    for group, figures in groups.items():
        scores = figures["der"][part]
        cells = [f"{scores[age]['der']:.1f} ({scores[age]['confusion']:.1f})" if age in scores else "" for age in ages]
        table.add_row(group, *cells)
    return table


def figures_table(groups: Mapping[str, Figures]) -> Table:
    """Everything but DER: a row per figure, a column per group."""
    table = Table(box=box.SIMPLE_HEAD, title="Latency, stability, identity, cost")
    table.add_column("")
    for name in groups:
        table.add_column(name, justify="right")
    rows = [dict(_lines(figures)) for figures in groups.values()]
    for line in dict.fromkeys(line for row in rows for line in row):
        table.add_row(line, *(row.get(line, "") for row in rows))
    return table


def _lines(figures: Figures) -> Iterable[tuple[str, str]]:
    flips, returns = figures["label_flips"], figures["returns"]
    yield "recordings, hours", f"{figures['recordings']}, {figures['minutes'] / 60:.2f}"
    yield "first label p50 / p95 / max, s", _spread(figures["first_label_seconds"])
    yield "finalization p50 / p95 / max, s", _spread(figures["finalization_seconds"])
    yield "label stable p50 / p95 / max, s", _spread(figures["stable_age_seconds"])
    yield "stable at 1 / 5 / 15 s, %", " / ".join(_percent(figures["stable_at_age"][age]) for age in ("1", "5", "15"))
    for part in ("all", "2+ min"):
        for kind in ("speaker", "speaker_merges_followed", "activity"):
            yield f"label flips, {kind.replace('_', ' ')}, {part}, %", _percent(flips[part][kind])
    yield "speaker erasure, all / speaker part", _pair(figures["speaker_erasure"], figures["speaker_erasure_speaker"])
    yield (
        "relabels, all / over 3 s old, per min",
        _pair(figures["relabels_per_minute"], figures["old_relabels_per_minute"]),
    )
    yield "merges, seconds renamed", f"{figures['merges']}, {figures['merged_seconds']:.0f}"
    yield "changed behind the watermark, s", f"{figures['changed_behind_watermark_seconds']:g}"
    for gap, kept in returns.items():
        yield f"kept id after {gap} min of silence", f"{kept['kept']} of {kept['returned']}"
    yield "ids per speaker, speakers per id", _pair(figures["numbers_per_speaker"], figures["speakers_per_number"])
    yield "seconds under ids that did not stay", f"{figures['spurious_seconds']:.0f}"
    errors = figures["count_error_by_minute"][:6]
    yield "count error, minute 1 to 6", " ".join("-" if error is None else f"{error:.1f}" for error in errors)
    yield "new speaker shown after p50 / p95 / max, s", _spread(figures["newcomer_delay_seconds"])
    yield "new speakers never shown", str(figures["newcomers_never_shown"])
    yield "finish() unlike the offline result", f"{figures['finish_differs']} of {figures['finish_checked']}"
    yield "a piece of audio p50 / p95 / max, ms", _spread(figures["push_ms"])
    yield "re-clustering p50 / p95 / max, ms", _spread(figures["recluster_ms"])
    for mark, took in figures["recluster_ms_at"].items():
        yield f"re-clustering at {float(mark) / 60:g} min", _spread(took)
    for mark, spent in figures["host_ms_at"].items():
        yield f"host time for a second of sound at {float(mark) / 60:g} min, ms", f"{spent:.2f}"
    for mark, size in figures["snapshot_bytes_at"].items():
        yield f"snapshot at {float(mark) / 60:g} min, MB", f"{size / 1e6:.2f}"
    if figures["snapshot_bytes_per_hour"] is not None:
        yield "snapshot grows per hour, MB", f"{figures['snapshot_bytes_per_hour'] / 1e6:.2f}"


def _spread(values: Mapping[str, float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.2f}" for value in values.values())


def _pair(*values: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.3g}" for value in values)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def goals_table(judged: Mapping[str, Sequence[Goal]]) -> Table:
    """Goals of each set: a row per goal, a column per set."""
    table = Table(box=box.SIMPLE_HEAD, title="Goals")
    table.add_column("")
    table.add_column("goal")
    for name in judged:
        table.add_column(name, justify="right")
    found = {name: {(goal.name, goal.wanted): goal for goal in some} for name, some in judged.items()}
    for key in dict.fromkeys(key for some in found.values() for key in some):
        table.add_row(*key, *(_verdict(some.get(key)) for some in found.values()))
    return table


def _verdict(goal: Goal | None) -> str:
    if goal is None:
        return ""
    if goal.value is None:
        return "-"
    return f"{goal.value:g}{f' of {goal.of}' if goal.of else ''} {'yes' if goal.met else 'NO'}"


def files_table(rows: Mapping[str, Figures]) -> Table:
    """One row per recording."""
    table = Table(box=box.SIMPLE_HEAD, title="Recordings: DER % by age, after minute 1 where there is more than one")
    for column in ("", "min", "0.5 s", "1.5 s", "5 s", "15 s", "final", "offline", "flips %", "relabels/min", "ids"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, figures in rows.items():
        scores = figures["der"]["1+ min" if figures["minutes"] > 1 else "all"]
        cells = [f"{scores[age]['der']:.1f}" for age in ("0.5", "1.5", "5", "15", "final", "offline")]
        flips = _percent(figures["label_flips"]["all"]["speaker"])
        relabels = figures["old_relabels_per_minute"]
        ids = figures["numbers_per_speaker"]
        last = ["-" if value is None else f"{value:.2f}" for value in (relabels, ids)]
        table.add_row(name, f"{figures['minutes']:.1f}", *cells, flips, *last)
    return table


def curve_table(curves: Mapping[str, Mapping[float, Figures]]) -> Table:
    """What `max_delay` costs: a row per set and delay."""
    table = Table(box=box.SIMPLE_HEAD, title="max_delay")
    for column in ("", "max_delay s", "finalized DER %", "offline DER %", "points apart", "finalization p95 s"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, curve in curves.items():
        for delay, figures in curve.items():
            scores = figures["der"]["all"]
            final, offline = scores["final"]["der"], scores["offline"]["der"]
            p95 = figures["finalization_seconds"]["p95"]
            cells = [f"{delay:g}", f"{final:.2f}", f"{offline:.2f}", f"{final - offline:+.2f}"]
            table.add_row(name, *cells, "-" if p95 is None else f"{p95:.1f}")
    return table


def plot(groups: Mapping[str, Figures], path: Path, part: str = "1+ min") -> None:
    """DER by age, one line per group; finalized and offline beside it. Raises MissingExtra without matplotlib."""
    figure, axes = _figure()
    for name, figures in groups.items():
        scores = figures["der"][part if figures["minutes"] > figures["recordings"] else "all"]
        ages = [float(age) for age in scores if age[0].isdigit()]
        values = [scores[f"{age:g}"]["der"] for age in ages]
        line = axes.plot(ages, values, marker="o", markersize=3, label=name)[0]
        if "offline" in scores:
            axes.axhline(scores["offline"]["der"], color=line.get_color(), linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10, 30], ["0.5", "1", "2", "5", "10", "30"])
    axes.set_xlabel("age of the label, s (dotted: offline)")
    axes.set_ylabel("DER, %")
    _save(figure, axes, path)


def curve_plot(curves: Mapping[str, Mapping[float, Figures]], path: Path) -> None:
    """DER of the finalized stream by `max_delay`. Raises MissingExtra without matplotlib."""
    figure, axes = _figure()
    for name, curve in curves.items():
        values = [figures["der"]["all"]["final"]["der"] for figures in curve.values()]
        line = axes.plot(list(curve), values, marker="o", markersize=3, label=name)[0]
        offline = next(iter(curve.values()))["der"]["all"]["offline"]["der"]
        axes.axhline(offline, color=line.get_color(), linewidth=0.8, linestyle=":")
    axes.set_xlabel("max_delay, s (dotted: offline)")
    axes.set_ylabel("DER of the finalized stream, %")
    _save(figure, axes, path)


def _figure() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "a plot") from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
