from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.speed import shares
from benchmarks.speed.cost import live_shares
from benchmarks.speed.throughput import Case
from tests.benchmarks.speed.small import fake_engine, noise, small_shapes


def test_parts_are_those_asked_for_and_make_up_the_whole() -> None:
    found = live_shares(fake_engine(), [noise(12), noise(12, 1)], 3.0)
    assert {"segmentation", "everything else"} <= found.keys() <= {"segmentation", "trunk", "head", "everything else"}
    assert all(work >= 0 for work in found.values())


def test_a_network_whose_filters_are_carried_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "TOGETHER", 1)
    bundle = small_shapes(tmp_path)
    found, counts = shares.measure([bundle], [2.0], seconds=12.0, runs=1)
    assert [case.embedding for case in found] == ["exact", "fast"]
    assert all("filters" in parts for parts in found.values())
    assert all({"segmentation", "filters"} < parts.keys() for parts in counts.values())
    (first, *_) = shares.figures(found, counts)
    assert first["bundle"] == bundle.name and first["step"] == 2.0


def test_shares_are_of_the_whole() -> None:
    shown = io.StringIO()
    parts = {"head": 0.001, "segmentation": 0.003}
    case = Case("one", "exact", 1.0, 8)
    Console(file=shown, width=160).print(shares.table({case: parts}, {case: {"segmentation": 60e6}}))
    rows = [line.split()[4:] for line in shown.getvalue().splitlines() if "one" in line]
    assert rows == [["segmentation", "3.00", "75%", "60", "20.0"], ["head", "1.00", "25%"]]
