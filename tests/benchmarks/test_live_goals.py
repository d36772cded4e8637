"""Goals are judged by the right figures."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.live_goals import goals
from benchmarks.live_run import play
from benchmarks.live_summary import summarize
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.live.config import LiveConfig
from tests.benchmarks.test_live_run import REFERENCE, looks, model


def figures() -> dict[str, Any]:
    """Of a real run, so that every name is there."""
    return summarize([play(looks(), PipelineConfig(), LiveConfig(), model()).judged(REFERENCE)])


def judged(changed: dict[str, Any], peers: dict[str, dict[str, Any]] | None = None) -> dict[str, tuple[Any, Any]]:
    return {goal.name: (goal.value, goal.met) for goal in goals(figures() | changed, peers)}


def scores(**confusion: float) -> dict[str, dict[str, Any]]:
    ages = {age: {"der": 10.0, "missed": 0.0, "false_alarm": 0.0, "confusion": 4.0} for age in ("1.5", "final")}
    ages["offline"] = {"der": 8.5, "missed": 0.0, "false_alarm": 0.0, "confusion": 2.0}
    for age, value in confusion.items():
        ages[{"young": "1.5", "final": "final"}[age]]["confusion"] = value
    return {"all": ages, "1+ min": {**ages, "1.5": {**ages["1.5"], "der": 13.0}}}


def test_every_goal_has_its_figure() -> None:
    found = judged(
        {
            "der": scores(),
            "minutes": 10.0,
            "label_flips": {"all": {"speaker": 0.061}, "2+ min": {"speaker": 0.03}},
            "old_relabels_per_minute": 1.0,
            "finalization_seconds": {"p50": 12.0, "p95": 15.2, "max": 20.0},
            "changed_behind_watermark_seconds": 0.01,
            "returns": {"5": {"kept": 19, "returned": 20, "share": 0.95}},
            "recluster_ms_at": {"600": {"p95": 20.0}, "3600": {"p95": 30.0}, "28800": {"p95": 41.0}},
            "host_ms_at": {"360": 1.4, "600": 1.5, "3600": 1.8},
            "snapshot_bytes_at": {"60": 1e6, "3600": 14.9e6},
            "finish_checked": 3,
            "finish_differs": 1,
        }
    )
    assert found == {
        "DER at 1.5 s − final, after minute 1": (4.5, False),
        "finalized − offline": (1.5, False),
        "finish() unlike offline": (1, False),
        "label flips, speaker": (6.1, False),
        "label flips, speaker, after minute 2": (3.0, True),
        "relabels older than 3 s": (1.0, True),
        "finalization latency p95": (15.2, False),
        "changes behind the watermark": (0.01, False),
        "returns after 5 min under the same id": (95.0, True),
        "re-clustering p95 at 10 min": (20.0, True),
        "re-clustering p95 at 1 h": (30.0, True),
        "re-clustering p95 at 8 h": (41.0, True),
        "re-clustering p95, longest ÷ at 10 min": (2.05, False),
        "host time for a second of sound at 6 min": (1.4, True),
        "host time for a second, longest ÷ at 6 min": (1.29, False),
        "state per stream-hour": (14.9, True),
    }


def test_confusion_beside_peers() -> None:
    found = judged({"der": scores(young=3.0, final=2.0)}, {"greedy": {"der": scores(young=4.0, final=4.0)}})
    assert found["confusion finalized against greedy"] == (0.5, True)
    assert found["confusion at 1.5 s against greedy"] == (0.75, False)
    spotless = judged({"der": scores()}, {"greedy": {"der": scores(final=0.0)}})
    assert spotless["confusion finalized against greedy"] == (None, None)


def test_what_was_not_there_is_not_judged() -> None:
    found = judged({})
    assert found["returns after 5 min under the same id"] == (None, None)
    assert found["state per stream-hour"] == (None, None)
    assert found["label flips, speaker, after minute 2"] == (None, None)
    assert found["finish() unlike offline"] == (0, True)
    assert "DER at 1.5 s − final, no minute 1 passed" in found


def test_limits_and_units_are_said() -> None:
    first = goals(figures())[0]
    assert first.plain() == {
        "goal": "DER at 1.5 s − final, no minute 1 passed",
        "wanted": "≤ 4 points",
        "value": pytest.approx(first.value),
        "unit": "points",
        "met": first.met,
        "of": None,
    }
