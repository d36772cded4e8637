"""Whitening and the 256 -> 128 transform into the space where VBx works.

Probabilistic linear discriminant analysis (Ioffe 2006) with within-class covariance I and between-class covariance
diag(phi), as pyannote's community-1 stores it. The stored `tr` and `psi` already diagonalise both covariances, so no
eigen-decomposition is needed (checked to 1e-12 on recorded features).
"""

from __future__ import annotations

from dataclasses import dataclass

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
        x = np.asarray(embeddings, np.float64)
        a = np.sqrt(self.lda.shape[0]) * unit(x - self.mean1)
        b = a @ self.lda - self.mean2
        c = np.sqrt(self.lda.shape[1]) * unit(b)
        return np.asarray((c - self.mu) @ self.tr.T)
