"""Figures of a data set from the tallies of its recordings, as plain values for tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.live_metrics import GAPS, MARKS, RANGES, Tally
from benchmarks.live_replay import AGES
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.scoring import Score

LATE = 5.0
"""Seconds by which a snapshot may be later than its mark: one step at most."""


def summarize(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Figures of a data set: shares of speech, seconds and counts, as plain values."""
    minutes = sum(one.seconds for one in tallies) / 60
    speech = sum(one.speech for one in tallies)
    ages = list(dict.fromkeys(age for one in tallies for age in one.der))
    der = {
        part: {age: _percent(sum((one.der[age][part] for one in tallies if age in one.der), Score())) for age in ages}
        for part in RANGES
    }
    flips = {part: sum((one.flips[part] for one in tallies), np.zeros(4)) for part in RANGES}
    kept = {gap: [sum(one.returns.get(gap, (0, 0))[i] for one in tallies) for i in (0, 1)] for gap in GAPS}
    return {
        "recordings": len(tallies),
        "minutes": round(minutes, 2),
        "der": der,
        "label_flips": {part: _flip_rates(values) for part, values in flips.items()},
        "speaker_erasure": _over(sum(one.erased for one in tallies), speech),
        "speaker_erasure_speaker": _over(sum(one.erased_speaker for one in tallies), speech),
        "relabels_per_minute": _over(sum(one.relabels for one in tallies), minutes),
        "old_relabels_per_minute": _over(sum(one.old_relabels for one in tallies), minutes),
        "merges": sum(one.merges for one in tallies),
        "merged_seconds": round(sum(one.merged for one in tallies), 2),
        "changed_behind_watermark_seconds": round(sum(one.behind for one in tallies), 2),
        "first_label_seconds": _spread([part for one in tallies for part in one.first_label]),
        "finalization_seconds": _spread([part for one in tallies for part in one.finalization]),
        "stable_age_seconds": _spread([part for one in tallies for part in one.stable]),
        "stable_at_age": _stable_curve([part for one in tallies for part in one.stable]),
        "returns": {str(gap): {"kept": a, "returned": b, "share": _over(a, b)} for gap, (a, b) in kept.items()},
        "numbers_per_speaker": _over(*(sum(one.fragments[i] for one in tallies) for i in (0, 1))),
        "speakers_per_number": _over(*(sum(one.mergers[i] for one in tallies) for i in (0, 1))),
        "spurious_seconds": round(sum(one.spurious for one in tallies), 2),
        "count_error_by_minute": _by_minute(tallies),
        "newcomer_delay_seconds": _spread([np.array([one for t in tallies for one in t.newcomers], np.float32)]),
        "newcomers_never_shown": sum(one.missed_newcomers for one in tallies),
        "finish_checked": sum(one.same is not None for one in tallies),
        "finish_differs": sum(one.same is False for one in tallies),
        "push_ms": _milliseconds([took for one in tallies for took in one.pushes]),
        "recluster_ms": _milliseconds([took for one in tallies for _, took in one.reclusters]),
        "recluster_ms_at": _reclusters_at(tallies),
        "host_ms_at": _host_at(tallies),
        "snapshot_bytes_at": _snapshots_at(tallies),
        "snapshot_bytes_per_hour": _growth(tallies),
    }


def _percent(score: Score) -> dict[str, float]:
    parts = {"missed": score.missed, "false_alarm": score.false_alarm, "confusion": score.confusion}
    shares = {name: round(100 * score.share(seconds), 3) for name, seconds in parts.items()}
    return {"der": round(100 * score.der, 3), **shares}


def _flip_rates(values: NDArray[np.float64]) -> dict[str, float | None]:
    names = ("speaker", "speaker_merges_followed", "activity")
    return {name: _over(float(value), float(values[3])) for name, value in zip(names, values[:3], strict=True)}


def _over(part: float, whole: float) -> float | None:
    return round(part / whole, 5) if whole else None


def _spread(parts: Sequence[NDArray[np.float32]]) -> dict[str, float | None]:
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(values):
        return {"p50": None, "p95": None, "max": None}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(float(values.max()), 3)}


def _stable_curve(parts: Sequence[NDArray[np.float32]]) -> dict[str, float | None]:
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return {f"{age:g}": _over(float((values <= age).sum()), len(values)) for age in AGES}


def _by_minute(tallies: Sequence[Tally]) -> list[float | None]:
    last = max((minute for one in tallies for minute in one.count_error), default=-1)
    means = []
    for minute in range(min(last + 1, 60)):
        errors = [error for one in tallies for error in one.count_error.get(minute, [])]
        means.append(round(float(np.mean(errors)), 3) if errors else None)
    return means


def _milliseconds(took: Sequence[float]) -> dict[str, float | None]:
    return _spread([np.array(took, np.float32) * np.float32(1000)])


def _reclusters_at(tallies: Sequence[Tally]) -> dict[str, dict[str, float | None]]:
    """Re-clusterings of the five minutes before each mark, for the marks that were reached."""
    figures = {}
    for mark in MARKS[1:]:
        low, high = (mark - 300) * SAMPLE_RATE, mark * SAMPLE_RATE
        took = [seconds for one in tallies for at, seconds in one.reclusters if low < at <= high]
        if took and any(one.seconds >= mark for one in tallies):
            figures[f"{mark:g}"] = _milliseconds(took)
    return figures


def _host_at(tallies: Sequence[Tally]) -> dict[str, float]:
    """Milliseconds for a second of sound: median of the minutes 2 to 6, and of the five before each later mark."""
    figures: dict[str, float] = {}
    for mark in (360.0, *MARKS[1:]):
        low, high = (mark - 300) * SAMPLE_RATE, mark * SAMPLE_RATE
        spent = [1000 * took / 60 for one in tallies for at, took in one.host if low < at <= high]
        if spent and any(one.seconds >= mark for one in tallies):
            figures[f"{mark:g}"] = round(float(np.median(spent)), 3)
    return figures


def _snapshots_at(tallies: Sequence[Tally]) -> dict[str, float]:
    """Mean bytes of a snapshot at each mark."""
    figures: dict[str, float] = {}
    for mark in MARKS:
        sizes = [size for one in tallies for at, size in one.snapshots if abs(at / SAMPLE_RATE - mark) <= LATE]
        if sizes:
            figures[f"{mark:g}"] = round(float(np.mean(sizes)))
    return figures


def _growth(tallies: Sequence[Tally]) -> float | None:
    """Bytes a snapshot grows by in an hour, once the fixed parts are full."""
    grown = hours = 0.0
    for one in tallies:
        settled = [(at, size) for at, size in one.snapshots if at >= MARKS[1] * SAMPLE_RATE]
        if one.seconds >= MARKS[1] + 300 and len(settled) > 1:
            (start, before), (end, after) = settled[0], settled[-1]
            grown += after - before
            hours += (end - start) / SAMPLE_RATE / 3600
    return round(grown / hours) if hours else None
