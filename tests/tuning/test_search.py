"""The search finds what is better, holds out honestly, repeats, goes on, and can be stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakrs_stream.tuning.search import Plan, goal, split, tune
from speakrs_stream.tuning.trying import RANGES, values_of
from tests.server.rig import engine
from tests.tuning.rooms import cases

pytest.importorskip("optuna", reason="pip install 'speakrs-stream[tune]'")
BAD = values_of(engine().config) | {"threshold": 2.0, "Fb": 20.0, "Fa": 0.01}
PLAN = Plan(trials=6, folds=3)


def test_better_settings_are_found_and_held_out(tmp_path: Path) -> None:
    some, told = cases(tmp_path), list[tuple[str, int]]()
    found = tune(some, BAD, PLAN, tmp_path / "s.log", lambda what, done, of, lowest: told.append((what, done)))
    assert goal(found.after, 0.005) < goal(found.before, 0.005)
    assert found.values.keys() == RANGES.keys() and found.trials == 6 and not found.interrupted
    assert len(found.held_out) == 3 and None not in found.held_out
    assert [name for name, done in told if done == 6] == ["all", *(f"without part {n}" for n in (1, 2, 3))]
    again = tune(some, BAD, PLAN, tmp_path / "other.log")
    assert again.values == found.values and again.held_out == found.held_out, "the same seed, the same result"
    told.clear()
    more = tune(
        some, BAD, Plan(trials=7, folds=0), tmp_path / "s.log", lambda what, done, of, low: told.append((what, done))
    )
    assert told == [("all", 7)] and more.trials == 7 and set(more.held_out) == {None}
    assert goal(more.after, 0.005) <= goal(found.after, 0.005)


def test_stopped_it_keeps_the_best_so_far(tmp_path: Path) -> None:
    def stop(what: str, done: int, of: int, lowest: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    found = tune(cases(tmp_path), BAD, PLAN, tmp_path / "s.log", stop)
    assert found.interrupted and found.trials == 3 and found.held_out == [None] * 3
    assert goal(found.after, 0.005) <= goal(found.before, 0.005)


def test_parts() -> None:
    assert split(7, 3) == [[0, 3, 6], [1, 4], [2, 5]]
    assert split(1, 5) == [] and split(4, 1) == [] and len(split(3, 9)) == 3
