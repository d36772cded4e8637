"""Every tunable of the pipeline, frozen, one sentence and unit each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.errors import ConfigError

FBANK_HOP = 160
EMBEDDINGS = ("exact", "fast", "refined")
"""Ways to compute embeddings, see `PipelineConfig.embedding`."""


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name} must be above 0, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteringConfig:
    """From embeddings to speakers: agglomerative start, then VBx."""

    threshold: float = 0.6
    """Euclidean distance between centroids of unit vectors below which the agglomerative start merges, 0 to 2."""

    Fa: float = 0.07
    """VBx scale of the evidence; below 1 because neighbouring windows share most of their audio."""

    Fb: float = 0.8
    """VBx scale of the speaker prior; larger gives fewer speakers."""

    max_iterations: int = 20
    """VBx iterations at most."""

    epsilon: float = 1e-4
    """VBx stops when the evidence bound grows by less than this."""

    init_smoothing: float = 7.0
    """Softmax temperature that turns the agglomerative labels into VBx's first responsibilities."""

    keep_prior: float = 1e-7
    """A VBx speaker is kept when its prior ends above this, 0 to 1."""

    min_clean_ratio: float = 0.2
    """Share of a window in which a local speaker must speak alone to take part in clustering, 0 to 1."""

    exact_items: int = 3000
    """Embeddings up to which the agglomerative start is exact; beyond, it goes block by block."""

    block_items: int = 1500
    """Embeddings per block of the bounded start."""

    def __post_init__(self) -> None:
        for name in ("threshold", "Fa", "Fb", "init_smoothing"):
            _positive(name, getattr(self, name))
        if not self.epsilon >= 0:
            raise ConfigError(f"epsilon cannot be negative, got {self.epsilon}")
        if not 0 <= self.keep_prior < 1:
            raise ConfigError(f"keep_prior must be at least 0 and below 1, got {self.keep_prior}")
        if not 0 <= self.min_clean_ratio <= 1:
            raise ConfigError(f"min_clean_ratio must be between 0 and 1, got {self.min_clean_ratio}")
        if self.max_iterations < 1 or self.exact_items < 2 or not 2 <= self.block_items <= self.exact_items:
            raise ConfigError("need max_iterations >= 1, exact_items >= 2 and 2 <= block_items <= exact_items")

    @classmethod
    def from_mapping(cls, values: Mapping[str, float]) -> ClusteringConfig:
        """Defaults changed by `values`, as a bundle's manifest gives them; an unknown name is refused."""
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown clustering settings {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        whole = ("max_iterations", "exact_items", "block_items")
        typed = {name: int(value) if name in whole else float(value) for name, value in values.items()}
        return replace(cls(), **typed)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SpeakerBounds:
    """How many speakers the caller says there are."""

    low: int = 1
    """At least this many, 1 or more."""

    high: int | None = None
    """At most this many; None for no limit."""

    def __post_init__(self) -> None:
        if self.low < 1:
            raise ConfigError(f"the number of speakers must be at least 1, got {self.low}")
        if self.high is not None and self.high < self.low:
            raise ConfigError(f"the largest number of speakers ({self.high}) is below the smallest ({self.low})")

    @classmethod
    def of(
        cls, num_speakers: int | None = None, min_speakers: int | None = None, max_speakers: int | None = None
    ) -> SpeakerBounds:
        """Bounds from the three usual arguments; the exact number excludes the other two."""
        if num_speakers is not None:
            if min_speakers is not None or max_speakers is not None:
                raise ConfigError("give num_speakers, or min_speakers and max_speakers, not both")
            return cls(num_speakers, num_speakers)
        return cls(min_speakers if min_speakers is not None else 1, max_speakers)

    def clamp(self, count: int) -> int:
        """The allowed number nearest to `count`."""
        count = max(count, self.low)
        return count if self.high is None else min(count, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """Everything that decides what a recording's turns are, once the networks are given."""

    step: int = SAMPLE_RATE
    """Samples between window starts; a multiple of 160, at most a whole window."""

    clustering: ClusteringConfig = field(default_factory=ClusteringConfig)
    """From embeddings to speakers."""

    min_on: int = 0
    """Frames below which a turn is dropped."""

    min_off: int = 0
    """Frames below which a pause inside one speaker's speech is filled."""

    embedding: Literal["exact", "fast", "refined"] = "exact"
    """Where windows cannot share the embedding network exactly: `exact` runs it for each window; `fast` shares it
    nearly exactly; `refined` is fast while audio comes, and computes exact embeddings for the result."""

    parity: bool = False
    """Reproduce pyannote cell for cell: speakers without a single vote may be switched on to reach the
    frame's speaker count, turns may end after the file, labels follow cluster order. Off, none of these."""

    def __post_init__(self) -> None:
        if not 0 < self.step <= WINDOW or self.step % FBANK_HOP:
            raise ConfigError(f"step must be a multiple of 160 samples up to {WINDOW}, got {self.step}")
        if self.embedding not in EMBEDDINGS:
            raise ConfigError(f"embedding must be one of {', '.join(EMBEDDINGS)}, got {self.embedding!r}")
        if self.min_on < 0 or self.min_off < 0:
            raise ConfigError("min_on and min_off cannot be negative")
