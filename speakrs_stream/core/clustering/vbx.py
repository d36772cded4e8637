"""Variational Bayes clustering of embeddings: VBx without transitions, so items are exchangeable.

Landini, Profant, Diez, Burget, "Bayesian HMM clustering of x-vector sequences (VBx) in speaker diarization", Computer
Speech & Language 2022; equation numbers are that paper's. Symbols: y items in PLDA space, phi between-class
variances, gamma responsibilities, pi speaker priors, alpha and invL mean and variance of a speaker's latent vector,
Fa and Fb scales of evidence and prior. Each item may carry a weight: how many equal items it stands for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.arrays import F64, I64, Array

PRIOR_FLOOR = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Vbx:
    """What VBx found."""

    gamma: F64
    """(items, speakers) responsibilities, rows sum to 1."""
    pi: F64
    """(speakers,) priors, sum 1."""
    alpha: F64
    """(speakers, d) posterior mean of each speaker's latent vector."""
    invL: F64
    """(speakers, d) its posterior variance."""
    elbo: tuple[float, ...]
    """Evidence bound after each iteration."""


def start_from(labels: I64, smoothing: float) -> F64:
    """First responsibilities from hard labels: softmax(smoothing * one-hot), (items, speakers)."""
    shares = np.full((len(labels), int(labels.max()) + 1), np.exp(-smoothing))
    shares[np.arange(len(labels)), labels] = 1.0
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def holding(pi: F64, keep_prior: float) -> Array:
    """(speakers,) whether each holds something: a prior above `keep_prior`, or the largest where none has one."""
    kept: Array = pi > keep_prior
    return kept if kept.any() else pi == pi.max()


def vbx(
    y: F64,
    phi: F64,
    gamma: F64,
    *,
    Fa: float,
    Fb: float,
    max_iterations: int,
    epsilon: float,
    weights: F64 | None = None,
    pi: F64 | None = None,
    drop_after: Collection[int] = (),
    keep_prior: float = 0.0,
) -> Vbx:
    """Iterate from responsibilities `gamma` (items, speakers) until the evidence bound settles.

    y: (items, d) float64; phi: (d,); weights: (items,) or None for one each; pi: (speakers,) or None for equal;
    drop_after: iterations after which only speakers that are `holding` something stay
    """
    items, d = y.shape
    pi = np.full(gamma.shape[1], 1.0 / gamma.shape[1]) if pi is None else pi
    w = np.ones(items) if weights is None else weights
    rho = y * np.sqrt(phi)  # (18)
    weighted_rho = rho if weights is None else rho * w[:, None]
    G = -0.5 * (np.einsum("nd,nd->n", y, y) + d * np.log(2 * np.pi))  # of (23): alike for all speakers of an item
    constant = float(Fa * (w @ G))
    ratio = Fa / Fb
    bounds: list[float] = []
    shares: Array = gamma.T  # (speakers, items): sums over speakers are then quick
    alpha = invL = np.zeros((len(shares), d))
    held = shares @ w  # by each speaker
    before = -np.inf
    for iteration in range(1, max_iterations + 1):
        invL = 1.0 / (1.0 + ratio * held[:, None] * phi)  # (17)
        alpha = ratio * invL * (shares @ weighted_rho)  # (16)
        square = alpha * alpha
        # (23) less Fa G; by far the largest array, changed in place from here on
        shares = (Fa * alpha) @ rho.T
        shares += (np.log(pi + PRIOR_FLOOR) - 0.5 * Fa * ((invL + square) @ phi))[:, None]
        highest = np.maximum.reduce(shares, axis=0)
        shares -= highest
        np.exp(shares, out=shares)
        total = np.add.reduce(shares, axis=0)
        shares /= total
        held = shares @ w
        pi = held / held.sum()
        prior = Fb * 0.5 * float((np.log(invL) - invL - square).sum() + invL.size)
        bound = constant + float(w @ (highest + np.log(total))) + prior  # (25)
        bounds.append(bound)
        if bound - before < epsilon:
            break
        before = bound
        if iteration in drop_after and iteration < max_iterations:
            kept = holding(pi, keep_prior)
            if not kept.all():
                shares, held, pi = shares[kept], held[kept], pi[kept]
                before = -np.inf  # of other speakers
    return Vbx(np.ascontiguousarray(shares.T), pi, alpha, invL, tuple(bounds))
