"""Simulated sets: which recordings, and what runs on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulate import (
    OURS,
    curve_methods,
    cut,
    gathered,
    long_task,
    methods,
    run,
    simulate,
    tasks,
)
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled


def test_tasks_are_the_folder_s_recordings(references: Path, tables: Path) -> None:
    chosen = methods(LiveConfig())
    found = tasks(references, tables, chosen)
    assert [task.name for task in found] == ["m3", "m2", "m1", "m0"]  # longest first
    assert len({task.seed for task in found}) == 4
    assert [task.name for task in tasks(references, tables, chosen, max_files=2)] == ["m2", "m0"]
    short = tasks(references, tables, chosen, max_seconds=5.0)
    assert {max(turn.end for turn in task.turns) for task in short} == {5.0}
    with pytest.raises(FormatError, match=r"holds no \.rttm"):
        tasks(tables, tables, chosen)


def test_every_method_sees_the_same(references: Path, tables: Path) -> None:
    task = tasks(references, tables, methods(LiveConfig(), deltas=[1.0, 0.5]), max_files=1)[0]
    found = simulate(task)
    assert list(found) == [OURS, "greedy 1", "greedy 0.5"]
    offline = {str(tally.der["offline"]) for tally in found.values()}
    assert len(offline) == 1
    assert found[OURS].same is True
    assert found["greedy 1"].same is None
    again = simulate(task)
    assert again[OURS].der == found[OURS].der


def test_many_run_in_processes(references: Path, tables: Path) -> None:
    work = tasks(references, tables, methods(LiveConfig(), deltas=[]), max_seconds=12.0)
    by_method = gathered(run(work, 2))
    assert {name: len(found) for name, found in by_method.items()} == {OURS: 4}


def test_longer_delays_are_methods_of_the_curve(tables: Path) -> None:
    chosen = curve_methods(LiveConfig(), [2.0, 12.0])
    assert [(method.name, method.live.max_delay) for method in chosen] == [("2", 32_000), ("12", 192_000)]
    task = long_task(0.05, 3, tables, chosen)
    assert task.check
    assert max(turn.end for turn in task.turns) <= 180.0
    found = simulate(task)
    settled = [float(np.percentile(np.concatenate(found[name].finalization), 95)) for name in ("2", "12")]
    assert settled[0] == pytest.approx(settled[1] - 10.0, abs=0.1)


def test_cutting_keeps_what_began_before() -> None:
    turns = [Labelled(0.0, 4.0, "A"), Labelled(3.0, 8.0, "B"), Labelled(6.0, 7.0, "A")]
    assert list(cut(turns, 5.0)) == [Labelled(0.0, 4.0, "A"), Labelled(3.0, 5.0, "B")]
    assert list(cut(turns, None)) == turns
