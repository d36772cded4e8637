from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.speed.throughput import Case, cases, figures, measure, speed, table
from benchmarks.speed.timing import Spread
from speakrs_stream.models.resolve import resolve
from tests.benchmarks.speed.small import small_shapes


def test_networks_that_share_exactly_have_one_way(tmp_path: Path) -> None:
    embedded, shapes = resolve("embedded"), small_shapes(tmp_path)
    assert {case.embedding for case in cases([embedded])} == {"exact"}
    assert {case.embedding for case in cases([shapes])} == {"exact", "fast"}
    assert {case.step for case in cases([embedded], [1.0])} == {1.0}


def test_speed_is_the_inverse_of_cost() -> None:
    assert speed(Spread((0.05, 0.04, 0.1))) == "20.0 (10.0–25.0)"
    assert speed(None) == "–"


def test_small_networks_are_measured_in_every_way(tmp_path: Path) -> None:
    bundle = small_shapes(tmp_path)
    wanted = [Case(bundle.name, "exact", 2.0, 1), Case(bundle.name, "fast", 2.0, 0)]
    found = measure([bundle], wanted, seconds=12.0, runs=1)
    assert list(found) == wanted
    written = figures(found)
    assert [row["streams"] for row in written] == [1, 0]
    assert all(row["times_real_time"] == pytest.approx(1 / row["seconds_per_second"][0]) for row in written)
    shown = io.StringIO()
    Console(file=shown, width=160).print(table(found))
    assert sum(bundle.name in line for line in shown.getvalue().splitlines()) == 2
