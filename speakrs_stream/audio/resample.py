"""Any sample rate to 16 kHz, block by block and without seams, through libsoxr (python-soxr, HQ)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import soxr
from numpy.typing import NDArray

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError, SessionFinished

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
"""Hertz accepted as input."""


def resampled_length(samples: int, rate_in: int, rate_out: int = SAMPLE_RATE) -> int:
    """Samples that `samples` samples become; ties go to even."""
    return round(Fraction(samples * rate_out, rate_in))


class Resampler:
    """One channel at one rate in, the same at another out.

    Blocks of any size give the same samples, and `n` samples in all give exactly `resampled_length(n)` out.
    """

    def __init__(self, rate_in: int, rate_out: int = SAMPLE_RATE) -> None:
        """Rates in hertz; raises ConfigError outside 4000 … 384000."""
        for rate in (rate_in, rate_out):
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise ConfigError(f"sample rate {rate} Hz is outside {LOWEST_RATE} … {HIGHEST_RATE} Hz")
        self.rate_in = rate_in
        self.rate_out = rate_out
        self._stream = None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
        self._taken = 0
        self._given = 0
        self._finished = False

    @property
    def latency(self) -> int:
        """Output samples held back at this moment, for samples that were already pushed."""
        return max(0, resampled_length(self._taken, self.rate_in, self.rate_out) - self._given)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) float32 at `rate_in` -> (m,) float32 at `rate_out`: what became ready."""
        if self._finished:
            raise SessionFinished("this resampler has finished; make a new one for another signal")
        self._taken += len(samples)
        if self._stream is None:
            ready = samples.astype(np.float32)
        else:
            ready = np.asarray(self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32)), np.float32)
        self._given += len(ready)
        return ready

    def finish(self) -> NDArray[np.float32]:
        """The rest, (m,) float32, so that all output together has the exact length."""
        if self._finished:
            raise SessionFinished("this resampler has finished already")
        self._finished = True
        missing = resampled_length(self._taken, self.rate_in, self.rate_out) - self._given
        rest = np.zeros(0, np.float32)
        if self._stream is not None and self._taken:
            rest = np.asarray(self._stream.resample_chunk(rest, last=True), np.float32)
        rest = rest[: max(0, missing)]
        # libsoxr rounds the length as we do; should it ever stop one sample early, silence fills the gap.
        rest = np.concatenate([rest, np.zeros(max(0, missing - len(rest)), np.float32)])
        self._given += len(rest)
        return rest
