"""Whitening and the 256 -> 128 transform into the space where VBx works.

Probabilistic linear discriminant analysis (Ioffe 2006) with within-class covariance I and between-class covariance
diag(phi), as pyannote's community-1 stores it. The stored `tr` and `psi` already diagonalise both covariances, so no
eigen-decomposition is needed (checked to 1e-12 on recorded features).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from speakrs_stream.core.arrays import F64, Array


def unit(rows: F64) -> F64:
    """Rows scaled to length 1; a row of zeros stays zero."""
    norms = np.sqrt(np.add.reduce(rows * rows, axis=-1, keepdims=True))
    if not norms.all():
        norms[norms == 0] = 1.0
    return np.asarray(rows / norms)


@dataclass(frozen=True, slots=True, eq=False)
class Plda:
    """Tables of a bundle, float64."""

    mean1: F64
    """(D,) subtracted from raw embeddings."""
    lda: F64
    """(D, d) linear discriminants."""
    mean2: F64
    """(d,) subtracted after them."""
    mu: F64
    """(d,) mean of the PLDA model."""
    tr: F64
    """(d, d) rows diagonalise both covariances."""
    psi: F64
    """(d,) between-class variances, descending."""
    _lengthened: F64 = field(init=False, repr=False)  # lda times the root of its rows, for rows of length 1
    _turned: F64 = field(init=False, repr=False)  # tr the other way round, times the root of its rows
    _middle: F64 = field(init=False, repr=False)  # mu after `tr`

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lengthened", np.sqrt(self.lda.shape[0]) * self.lda)
        object.__setattr__(self, "_turned", np.ascontiguousarray(np.sqrt(self.lda.shape[1]) * self.tr.T))
        object.__setattr__(self, "_middle", self.mu @ self.tr.T)

    @property
    def phi(self) -> F64:
        """Between-class variances (d,)."""
        return self.psi

    @property
    def dimension(self) -> int:
        """d: components after the transform."""
        return len(self.psi)

    def transform(self, embeddings: Array) -> F64:
        """Raw embeddings (n, D) -> (n, d) float64 with within-class covariance I."""
        b = unit(np.asarray(embeddings, np.float64) - self.mean1) @ self._lengthened
        b -= self.mean2
        out = unit(b) @ self._turned
        out -= self._middle
        return np.asarray(out)
