"""Trying settings: everything after the networks, on recordings whose outputs are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from speakrs_stream.core.aggregation import SpeakerCount
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import seconds
from speakrs_stream.core.history import History
from speakrs_stream.core.session import outcome
from speakrs_stream.scoring import Labelled, Score
from speakrs_stream.tuning.outputs import Outputs
from speakrs_stream.tuning.recordings import Annotated

Values = Mapping[str, float]
"""Names of `RANGES` -> values."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a setting is looked for."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether ratios matter rather than differences."""
    whole: bool = False
    """Whether it is a whole number."""


RANGES: Mapping[str, Range] = {
    "threshold": Range(0.3, 1.4),
    "Fa": Range(0.01, 0.6, log=True),
    "Fb": Range(0.1, 20.0, log=True),
    "init_smoothing": Range(0.5, 15.0, log=True),
    "min_clean_ratio": Range(0.05, 0.4),
    "keep_prior": Range(1e-7, 0.05, log=True),
    "min_on": Range(0, 30, whole=True),
    "min_off": Range(0, 30, whole=True),
}
"""Settings that are tuned; the last two are frames of 17 ms."""
TURNS = ("min_on", "min_off")
"""Those that are no settings of the clustering."""


def values_of(config: PipelineConfig) -> dict[str, float]:
    """The tunable settings of a configuration."""
    return {name: getattr(config if name in TURNS else config.clustering, name) for name in RANGES}


def configured(config: PipelineConfig, values: Values) -> PipelineConfig:
    """A configuration with tuned settings."""
    clustering = {name: float(value) for name, value in values.items() if name not in TURNS}
    turns = {name: int(value) for name, value in values.items() if name in TURNS}
    return replace(config, clustering=replace(config.clustering, **clustering), **turns)  # type: ignore[arg-type]


class Case:
    """One annotated recording with everything the networks said about it."""

    def __init__(self, recording: Annotated, outputs: Outputs, config: PipelineConfig, plda: Plda) -> None:
        """config: what is tried settings in; its step is that of the outputs."""
        self.recording = recording
        self.samples = outputs.samples
        self._config, self._plda = config, plda
        self._history: History
        self._count: SpeakerCount
        self._history, self._count = outputs.history(config)

    def score(self, values: Values) -> Score:
        """What is wrong with the turns that some settings lead to."""
        config = configured(self._config, values)
        result = outcome(self._history, self._count, self._plda, config, self.samples)
        return self.recording.score(
            Labelled(seconds(turn.span.start), seconds(turn.span.end), str(turn.speaker)) for turn in result.turns
        )
