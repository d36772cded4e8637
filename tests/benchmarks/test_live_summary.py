"""Figures of several recordings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.live_metrics import RANGES, Tally, tally
from benchmarks.live_summary import summarize
from speakrs_stream.scoring import Labelled, Score
from tests.benchmarks.test_live_metrics import STREAM, S


def recording(seconds: float, **values: object) -> Tally:
    """A recording of which only some figures matter."""
    der = {"final": {part: Score(10.0, 1.0, 0.0, 1.0) for part in RANGES}}
    return Tally(seconds, 10.0, der, {part: np.array([1.0, 0.5, 2.0, 10.0]) for part in RANGES}, **values)  # type: ignore[arg-type]


def test_sums_are_weighted_by_speech_and_time() -> None:
    one = recording(120.0, old_relabels=3, erased=2.0, returns={5: (1, 1)}, same=True)
    two = recording(60.0, old_relabels=0, erased=1.0, returns={5: (0, 3)}, same=False)
    figures = summarize([one, two])
    assert (figures["recordings"], figures["minutes"]) == (2, 3.0)
    assert figures["der"]["all"]["final"] == {"der": 20.0, "missed": 10.0, "false_alarm": 0.0, "confusion": 10.0}
    assert figures["label_flips"]["all"] == {"speaker": 0.1, "speaker_merges_followed": 0.05, "activity": 0.2}
    assert figures["old_relabels_per_minute"] == 1.0
    assert figures["speaker_erasure"] == 0.15
    assert figures["returns"]["5"] == {"kept": 1, "returned": 4, "share": 0.25}
    assert (figures["finish_checked"], figures["finish_differs"]) == (2, 1)
    assert figures["first_label_seconds"] == {"p50": None, "p95": None, "max": None}


def test_cost_at_the_marks() -> None:
    minutes = np.arange(1, 71)
    long = recording(
        4200.0,
        reclusters=[(int(60 * minute * S), 0.001 * minute) for minute in minutes],
        host=[(60 * S * minute, 0.06 * minute) for minute in range(1, 61)],
        snapshots=[(60 * S, 1_000_000), (600 * S, 3_000_000), (3600 * S, 13_000_000), (4200 * S, 15_000_000)],
    )
    short = recording(300.0, reclusters=[(200 * S, 0.5)], snapshots=[(60 * S, 2_000_000), (300 * S, 2_500_000)])
    figures = summarize([long, short])
    assert figures["recluster_ms_at"]["600"]["max"] == pytest.approx(10.0)
    assert figures["recluster_ms_at"]["3600"]["p50"] == pytest.approx(58.0)
    assert set(figures["recluster_ms_at"]) == {"600", "3600"}
    assert figures["host_ms_at"] == {"360": 4.0, "600": 8.0, "3600": 58.0}
    assert figures["recluster_ms"]["max"] == pytest.approx(500.0)
    assert figures["snapshot_bytes_at"] == {"60": 1_500_000, "600": 3_000_000, "3600": 13_000_000}
    assert figures["snapshot_bytes_per_hour"] == 12_000_000


def test_a_stream_gives_plain_values() -> None:
    figures = summarize([tally(STREAM, [Labelled(0.0, 5.0, "A")], 8 * S)])
    assert json.loads(json.dumps(figures)) == figures
    assert figures["finalization_seconds"]["max"] == pytest.approx(6.995)
    assert figures["stable_at_age"]["5"] == 1.0
    assert figures["count_error_by_minute"] == [0.2]


def test_nothing_at_all() -> None:
    figures = summarize([])
    assert figures["recordings"] == 0
    assert figures["old_relabels_per_minute"] is None
    assert figures["snapshot_bytes_per_hour"] is None
