"""Chooses the clustering settings by DER on cached meetings: random search around the best point so far."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.core.session import outcome, scripted_history
from speakrs_stream.scoring import Labelled, Score, score, total
from training import meetings
from training.teacher import session

log = logging.getLogger(__name__)
RANGES = {
    "threshold": (0.4, 1.25),
    "Fa": (0.01, 0.6),
    "Fb": (0.1, 20.0),
    "min_clean_ratio": (0.08, 0.3),
    "keep_prior": (1e-4, 0.05),
}
FIRST = {"threshold": 0.8, "Fa": 0.07, "Fb": 0.8, "min_clean_ratio": 0.2, "keep_prior": 1e-3}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One recording with everything the networks said about it."""

    group: str
    uri: str
    samples: int
    activity: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    reference: tuple[Labelled, ...]


def read_plda(folder: Path) -> Plda:
    """Tables of a bundle folder."""
    names = ("mean1", "lda", "mean2", "mu", "tr", "psi")
    return Plda(*(np.load(folder / f"plda_{name}.npy").astype(np.float64) for name in names))


def cases(folders: list[Path], bundle: Path) -> list[Case]:
    """Cached meetings with embeddings by the bundle's networks; the group is the folder's name."""
    trunk, head = session(bundle / "trunk.onnx"), session(bundle / "head.onnx")
    found = []
    for folder in folders:
        for path in sorted(folder.glob("*.npz")):
            m = meetings.load(path)
            found.append(
                Case(folder.name, m.uri, m.samples, m.activity, meetings.embeddings(m, trunk, head), m.reference)
            )
    return found


def one_score(case: Case, plda: Plda, config: PipelineConfig) -> Score:
    """Run everything after the networks and score it."""
    history, count = scripted_history(case.activity, case.embeddings, config.step)
    result = outcome(history, count, plda, config, case.samples)
    ours = [Labelled(t.span.start / 16000, t.span.end / 16000, str(t.speaker)) for t in result.turns]
    return score(case.reference, ours)


def by_group(all_cases: list[Case], plda: Plda, settings: dict[str, float]) -> dict[str, Score]:
    """Score of each group."""
    config = PipelineConfig(clustering=ClusteringConfig.from_mapping(settings))
    scores: dict[str, list[Score]] = {}
    for case in all_cases:
        scores.setdefault(case.group, []).append(one_score(case, plda, config))
    return {group: total(parts) for group, parts in scores.items()}


def described(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Percentages for people."""
    return {
        group: {
            "der": round(100 * s.der, 2),
            "missed": round(100 * s.share(s.missed), 2),
            "false_alarm": round(100 * s.share(s.false_alarm), 2),
            "confusion": round(100 * s.share(s.confusion), 2),
            "count_error": round(s.mean_count_error, 2),
        }
        for group, s in scores.items()
    }


def goal(scores: dict[str, Score]) -> float:
    """Mean DER of the groups plus a point for every speaker too many or too few."""
    return float(np.mean([s.der + 0.01 * s.mean_count_error for s in scores.values()]))


def search(
    all_cases: list[Case], plda: Plda, trials: int, seed: int, start: dict[str, float] | None
) -> dict[str, float]:
    """Best settings found: a third of the trials over the whole range (none given a start), the rest near the best."""
    rng = np.random.default_rng(seed)
    best: dict[str, float] = start or FIRST
    lowest = goal(by_group(all_cases, plda, best))
    log.info("start %.4f %s", lowest, best)
    for trial in range(trials):
        wide = start is None and trial < trials // 3
        candidate = {}
        for name, (low, high) in RANGES.items():
            log_low, log_high = np.log(low), np.log(high)
            if wide:
                value = rng.uniform(log_low, log_high)
            else:
                value = np.log(best[name]) + rng.normal(0, 0.12 * (log_high - log_low)) * (rng.random() < 0.6)
            candidate[name] = round(float(np.exp(np.clip(value, log_low, log_high))), 4)
        value = goal(by_group(all_cases, plda, candidate))
        if value < lowest:
            best, lowest = candidate, value
            log.info("trial %d %.4f %s", trial, lowest, best)
    return best


def main() -> None:
    """`python -m training.tune BUNDLE CACHE… [--check CACHE…] --out FILE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("caches", type=Path, nargs="+", help="folders of cached meetings to choose by")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="folders only reported")
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--start", type=json.loads, help="settings (JSON) to search around")
    parser.add_argument("--plda", type=Path, help="folder of plda_*.npy; the bundle's by default")
    parser.add_argument("--settings", type=json.loads, help="report these settings (JSON) instead of searching")
    parser.add_argument("--out", type=Path, help="JSON file to write the settings to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plda = read_plda(options.plda or options.bundle)
    chosen_by = cases(options.caches, options.bundle)
    best = options.settings or search(chosen_by, plda, options.trials, options.seed, options.start)
    reported = chosen_by + cases(options.check, options.bundle)
    print(json.dumps({"settings": best, "scores": described(by_group(reported, plda, best))}, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(best, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
