"""The search: Optuna proposes settings, recordings say how good they are, and others whether that holds elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from speakrs_stream.errors import MissingExtra
from speakrs_stream.scoring import Score, total
from speakrs_stream.tuning.trying import RANGES, Case, Values

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to search."""

    trials: int = 150
    """Settings that are tried in each search."""
    folds: int = 5
    """Parts the recordings are split into for the held-out figures, at most; below 2 there are none."""
    seed: int = 0
    """Of everything that is drawn."""
    count_weight: float = 0.005
    """What one speaker too many or too few in every recording costs, as DER."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found."""

    values: Values
    """The best settings over all recordings."""
    before: Sequence[Score]
    """Of each recording with the settings there were."""
    after: Sequence[Score]
    """Of each with those found."""
    held_out: Sequence[Score | None] = field(default=())
    """Of each with settings that were found without it; None where the search did not get that far."""
    trials: int = 0
    """Settings tried over all recordings."""
    interrupted: bool = False
    """Whether somebody stopped it early."""


Told = Callable[[str, int, int, float], None]
"""Told how far it is: what is searched, settings tried, settings in all, the lowest DER so far."""


def goal(scores: Sequence[Score], count_weight: float) -> float:
    """What is made small: DER over all the speech, and something for wrong numbers of speakers."""
    whole = total(scores)
    return whole.der + count_weight * whole.mean_count_error


def split(count: int, folds: int) -> list[list[int]]:
    """Recordings in parts of about equal number, every so-manieth together; none where there are too few."""
    folds = min(folds, count)
    return [list(range(part, count, folds)) for part in range(folds)] if folds >= 2 else []


def tune(
    cases: Sequence[Case],
    start: Values,
    plan: Plan,
    storage: Path,
    told: Told = lambda what, done, of, lowest: None,
) -> Tuned:
    """Find the settings that are best over all recordings, then how good such settings are where they were not found.

    start: settings to begin with; storage: file that the search can go on from. Ctrl-C ends it with what there is.
    Raises MissingExtra without optuna.
    """
    searcher = _Searcher(cases, start, plan, storage, told)
    before = searcher.before
    everybody = list(range(len(cases)))
    interrupted = not searcher.run("all", everybody)
    values = searcher.best("all", everybody)
    held_out: list[Score | None] = [None] * len(cases)
    for number, part in enumerate(split(len(cases), plan.folds), start=1):
        if interrupted:
            break
        others = [index for index in everybody if index not in part]
        name = f"without part {number}"
        interrupted = not searcher.run(name, others)
        if not interrupted:
            found = searcher.best(name, others)
            for index in part:
                held_out[index] = cases[index].score(found)
    after = [case.score(values) for case in cases]
    return Tuned(values, before, after, held_out, searcher.done("all"), interrupted)


class _Searcher:
    """Optuna's studies: one over everything, one without each part."""

    def __init__(self, cases: Sequence[Case], start: Values, plan: Plan, storage: Path, told: Told) -> None:
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ImportError as error:
            raise MissingExtra("optuna", "tune", "tuning") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._optuna = optuna
        self._storage = JournalStorage(JournalFileBackend(str(storage)))
        self._cases, self._start, self._plan, self._told = cases, start, plan, told
        self.before = [case.score(start) for case in cases]
        """Scores with the settings to begin with."""
        self._studies: dict[str, optuna.Study] = {}

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            study = self._optuna.create_study(study_name=name, storage=self._storage, load_if_exists=True)
            study.sampler = self._optuna.samplers.TPESampler(
                seed=self._plan.seed + len(study.trials), n_startup_trials=max(10, self._plan.trials // 5)
            )
            if not study.trials and all(span.low <= self._start[key] <= span.high for key, span in RANGES.items()):
                study.enqueue_trial({key: self._start[key] for key in RANGES})
            self._studies[name] = study
        return self._studies[name]

    def done(self, name: str) -> int:
        """Settings tried."""
        complete = self._optuna.trial.TrialState.COMPLETE
        return len(self._study(name).get_trials(deepcopy=False, states=(complete,)))

    def run(self, name: str, among: Sequence[int]) -> bool:
        """Try as many settings as planned, those of earlier runs included; False where it was interrupted."""
        study = self._study(name)

        def objective(trial: optuna.Trial) -> float:
            return goal([self._cases[index].score(_suggested(trial)) for index in among], self._plan.count_weight)

        def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            self._told(name, self.done(name), self._plan.trials, study.best_value)

        with suppress(KeyboardInterrupt):
            study.optimize(objective, n_trials=max(self._plan.trials - self.done(name), 0), callbacks=[note])
            return True
        return False

    def best(self, name: str, among: Sequence[int]) -> Values:
        """The best settings found; those to begin with where none is better."""
        start = goal([self.before[index] for index in among], self._plan.count_weight)
        if self.done(name) and self._study(name).best_value < start:
            return dict(self._study(name).best_params)
        return dict(self._start)


def _suggested(trial: optuna.Trial) -> dict[str, float]:
    return {
        name: trial.suggest_int(name, int(span.low), int(span.high))
        if span.whole
        else trial.suggest_float(name, span.low, span.high, log=span.log)
        for name, span in RANGES.items()
    }
