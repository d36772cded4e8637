"""Settings of a live stream, frozen, one sentence and unit each."""

from __future__ import annotations

from dataclasses import dataclass

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """How soon turns are final, how often everything is clustered again, and how easily speakers appear."""

    max_delay: int = 13 * SAMPLE_RATE
    """Samples within which what was heard is final; more gives better labels later, fewer gives captions sooner.

    The wait for the next window is part of it, so that two seconds at a step of one are the least that can be kept.
    """

    overlap: bool = True
    """Whether several speakers are shown where they speak at once; only the one who is heard most, if not."""

    recluster: int = 5 * SAMPLE_RATE
    """Samples between re-clusterings once a stream is `early` old; before, and around newcomers, every step.

    More in proportion to what is remembered, up to six times, while nobody waits to be split off or merged
    (`identity.CALM`).
    """

    early: int = 60 * SAMPLE_RATE
    """Samples from the start during which every step is clustered again."""

    recent_items: int = 256
    """Embeddings kept one by one; older ones are gathered into weighted groups."""

    group_items: int = 128
    """Weighted groups kept at most."""

    stay: float = 0.15
    """Advantage, in units of cosine similarity, of the speaker already shown where a window's speech was shown."""

    stay_again: float = 0.3
    """The same advantage when a window is asked again because the speakers changed."""

    hold: float = 0.0
    """Votes that the speaker shown on a frame has beside those of the windows: others need more to take it over."""

    hold_share: float = 0.0
    """Further such votes for each window that has heard the frame."""

    newcomer_score: float = 0.0
    """PLDA log-likelihood ratio below which two voices are different people."""

    newcomer_similarity: float = 0.4
    """Cosine similarity to everybody below which such a voice, after two clean seconds, is a new speaker at once."""

    cluster_items: int = 2
    """Embeddings a cluster of its own must hold before it becomes a speaker."""

    newborn: int = 15 * SAMPLE_RATE
    """Samples during which a new speaker is not merged away."""

    patience: int = 3
    """Re-clusterings in a row that must agree before two speakers are merged, or one is split."""

    voice_similarity: float = 0.5
    """Cosine similarity from which a speaker is recognised as an enrolled voice."""

    def lookback(self, step: int) -> int:
        """Samples before the end of the newest window from which on nothing is final yet: the next comes a step later.

        step: samples between windows
        """
        return max(self.max_delay - step, SAMPLE_RATE)

    def __post_init__(self) -> None:
        if not SAMPLE_RATE <= self.max_delay <= 120 * SAMPLE_RATE:
            raise ConfigError(f"max_delay must be 1 to 120 s, got {self.max_delay / SAMPLE_RATE} s")
        if self.recluster < 1 or self.early < 0 or self.newborn < 0:
            raise ConfigError("recluster must be above 0 s; early and newborn cannot be negative")
        if self.recent_items < 16 or self.group_items < 16:
            raise ConfigError("recent_items and group_items must be at least 16")
        if min(self.patience, self.cluster_items) < 1:
            raise ConfigError("patience and cluster_items must be at least 1")
        if min(self.stay, self.stay_again, self.hold, self.hold_share) < 0:
            raise ConfigError("stay, stay_again, hold and hold_share cannot be negative")
        for name in ("newcomer_similarity", "voice_similarity"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is a cosine, -1 to 1")
