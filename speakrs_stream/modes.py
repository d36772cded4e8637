"""Ways to run, by the names that users of speakrs know: a backend, and how much exactness is given for speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.errors import ConfigError

AUTO = "auto"
FAST_STEP = 2.0
"""Seconds between windows of the fast modes."""
FAST_FRAMES = 3
"""Frames (51 ms) below which the fast modes drop a turn or fill a pause."""
FAST_ITERATIONS = 3
"""VBx iterations of the fast modes at most."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run."""

    name: str
    """What people call it."""
    backend: str
    """Runtime and device it needs."""
    fast: bool
    """Whether it gives exactness for speed."""

    @property
    def description(self) -> str:
        """What it does, in one line."""
        if not self.fast:
            return f"{self.backend}, a window every second"
        return (
            f"{self.backend}, a window every {FAST_STEP:g} s, embeddings shared by windows, turns and pauses under "
            f"{FAST_FRAMES} frames smoothed away, {FAST_ITERATIONS} iterations of VBx"
        )

    @property
    def step(self) -> float | None:
        """Seconds between windows; None for the bundle's own."""
        return FAST_STEP if self.fast else None

    def applied(self, config: PipelineConfig) -> PipelineConfig:
        """Settings with what the mode says about them, the step left out."""
        if not self.fast:
            return config
        iterations = min(config.clustering.max_iterations, FAST_ITERATIONS)
        clustering = replace(config.clustering, max_iterations=iterations)
        return replace(config, clustering=clustering, min_on=FAST_FRAMES, min_off=FAST_FRAMES)


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for backend in ("cpu", "cuda", "coreml")
    for mode in (Mode(backend, backend, False), Mode(f"{backend}-fast", backend, True))
}
"""Every mode but `auto`, by name. All are those of speakrs, but for `cpu-fast`."""


def mode_named(name: str) -> Mode | None:
    """A mode by name; None for `auto`, which takes the best backend there is. ConfigError for an unknown name."""
    if name == AUTO:
        return None
    if name not in MODES:
        raise ConfigError(f"unknown mode {name!r}; there are {', '.join([AUTO, *MODES])}")
    return MODES[name]
