"""The goals for live quality, and whether figures meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROVISIONAL = "1.5"
"""Age in seconds at which provisional labels are judged."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal beside what was measured."""

    name: str
    """What is judged."""
    wanted: str
    """The goal in words."""
    value: float | None
    """What was measured; None where there was nothing to measure."""
    unit: str
    """Of the value."""
    met: bool | None
    """None where there was nothing to measure."""
    of: int | None = None
    """How many cases the value stands on, where that is few."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"goal": self.name, "wanted": self.wanted, "value": self.value, "unit": self.unit} | {
            "met": self.met,
            "of": self.of,
        }


def _most(name: str, limit: float, value: float | None, unit: str, digits: int = 2) -> Goal:
    value = None if value is None else round(value, digits)
    return Goal(name, f"≤ {limit:g} {unit}".strip(), value, unit, None if value is None else value <= limit)


def goals(figures: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]] | None = None) -> list[Goal]:
    """Goals for the figures `live_summary.summarize` gives; peers: name -> their figures on the same input."""
    settled, whole = figures["der"]["1+ min"], figures["der"]["all"]
    result = []
    if "offline" in whole:
        after = "after minute 1" if figures["minutes"] > figures["recordings"] else "no minute 1 passed"
        gap = settled[PROVISIONAL]["der"] - settled["offline"]["der"] if settled else None
        result.append(_most(f"DER at {PROVISIONAL} s − final, {after}", 4.0, gap, "points"))
        result.append(_most("finalized − offline", 1.0, whole["final"]["der"] - whole["offline"]["der"], "points"))
    if figures["finish_checked"]:
        differs = figures["finish_differs"]
        result.append(Goal("finish() unlike offline", "none", differs, "recordings", differs == 0))
    flips = figures["label_flips"]
    result += [
        _most("label flips, speaker", 6.0, _percent(flips["all"]["speaker"]), "%"),
        _most("label flips, speaker, after minute 2", 3.0, _percent(flips["2+ min"]["speaker"]), "%"),
        _most("relabels older than 3 s", 1.0, figures["old_relabels_per_minute"], "per minute"),
        _most("finalization latency p95", 15.0, figures["finalization_seconds"]["p95"], "s"),
    ]
    behind = figures["changed_behind_watermark_seconds"]
    result.append(Goal("changes behind the watermark", "none", behind, "s", behind == 0))
    kept = figures["returns"]["5"]
    share = _percent(kept["share"])
    met = None if share is None else share >= 95.0
    result.append(Goal("returns after 5 min under the same id", "≥ 95 %", share, "%", met, kept["returned"]))
    for peer, theirs in (peers or {}).items():
        for age, said in (("final", "finalized"), (PROVISIONAL, f"at {PROVISIONAL} s")):
            their, our = theirs["der"]["all"][age]["confusion"], whole[age]["confusion"]
            result.append(_most(f"confusion {said} against {peer}", 0.5, our / their if their else None, "×"))
    result += [
        _most(f"re-clustering p95 at {_time(mark)}", 100.0, took["p95"], "ms")
        for mark, took in figures["recluster_ms_at"].items()
    ]
    times = [took["p95"] for took in figures["recluster_ms_at"].values()]
    if len(times) > 1:
        result.append(_most("re-clustering p95, longest ÷ at 10 min", 2.0, max(times[1:]) / times[0], "×"))
    host = list(figures["host_ms_at"].items())
    result += [_most(f"host time for a second of sound at {_time(mark)}", 1.5, spent, "ms") for mark, spent in host[:1]]
    if len(host) > 1:
        grows = max(spent for _, spent in host[1:]) / host[0][1]
        result.append(_most("host time for a second, longest ÷ at 6 min", 1.25, grows, "×"))
    grown = figures["snapshot_bytes_at"].get("3600", figures["snapshot_bytes_per_hour"])
    result.append(_most("state per stream-hour", 15.0, None if grown is None else grown / 1e6, "MB"))
    return result


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _time(mark: str) -> str:
    seconds = float(mark)
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"
