"""Tables and plots of live figures."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.live_goals import Goal
from benchmarks.live_report import curve_plot, curve_table, der_table, figures_table, files_table, goals_table, plot
from benchmarks.live_run import play
from benchmarks.live_summary import summarize
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.live.config import LiveConfig
from tests.benchmarks.test_live_run import REFERENCE, looks, model


@cache
def figures() -> dict[str, Any]:
    return summarize([play(looks(), PipelineConfig(), LiveConfig(), model()).judged(REFERENCE)])


def text(table: Table) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_der_by_age_with_confusion() -> None:
    said = text(der_table("set", {"ours": figures(), "theirs": figures()}))
    final = figures()["der"]["all"]["final"]
    assert "set: DER % (confusion %)" in said
    rows = [line.split() for line in said.splitlines() if line.strip().startswith(("ours", "theirs"))]
    assert len(rows) == 2
    assert rows[0][1:] == rows[1][1:]
    assert f"{final['der']:.1f}" in rows[0]
    assert f"({final['confusion']:.1f})" in rows[0]


def test_every_figure_has_a_line() -> None:
    said = text(figures_table({"one": figures(), "two": {**figures(), "merges": 7, "merged_seconds": 12.0}}))
    assert "7, 12" in said
    for part in ("first label p50", "label flips, speaker, 2+ min", "kept id after 5 min", "re-clustering p50"):
        assert part in said
    settled = figures()["finalization_seconds"]
    assert f"{settled['p50']:.2f} / {settled['p95']:.2f} / {settled['max']:.2f}" in said


def test_goals_beside_each_other() -> None:
    met, missed = Goal("a", "≤ 1 s", 0.5, "s", True), Goal("a", "≤ 1 s", 1.5, "s", False, of=3)
    empty = Goal("b", "≥ 2 s", None, "s", None)
    said = [line.split() for line in text(goals_table({"x": [met], "y": [missed, empty]})).splitlines()]
    assert ["a", "≤", "1", "s", "0.5", "yes", "1.5", "of", "3", "NO"] in said
    assert ["b", "≥", "2", "s", "-"] in said


def test_recordings_and_the_curve() -> None:
    assert "talk" in text(files_table({"talk": figures()}))
    said = text(curve_table({"set": {2.0: figures(), 12.0: figures()}}))
    assert len([line for line in said.splitlines() if line.strip().startswith("set")]) == 2


@pytest.mark.parametrize("name", ["a.svg", "b.png"])
def test_plots_are_written(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    plot({"ours": figures()}, tmp_path / "below" / name)
    curve_plot({"set": {2.0: figures(), 12.0: figures()}}, tmp_path / name)
    start = b"\x89PNG" if name.endswith("png") else b"<?xml"
    for path in (tmp_path / "below" / name, tmp_path / name):
        assert path.read_bytes().startswith(start)
