"""Variational Bayes clustering of embeddings: VBx without transitions, so items are exchangeable.

Landini, Profant, Diez, Burget, "Bayesian HMM clustering of x-vector sequences (VBx) in speaker diarization", Computer
Speech & Language 2022; equation numbers are that paper's. Symbols: y items in PLDA space, phi between-class
variances, gamma responsibilities, pi speaker priors, alpha and invL mean and variance of a speaker's latent vector,
Fa and Fb scales of evidence and prior. Each item may carry a weight: how many equal items it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakrs_stream.core.arrays import F64, I64

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
) -> Vbx:
    """Iterate from responsibilities `gamma` (items, speakers) until the evidence bound settles.

    y: (items, d) float64; phi: (d,); weights: (items,) or None for one each; pi: (speakers,) or None for equal.
    """
    items, d = y.shape
    pi = np.full(gamma.shape[1], 1.0 / gamma.shape[1]) if pi is None else pi
    w = np.ones(items) if weights is None else weights
    G = -0.5 * ((y**2).sum(axis=1) + d * np.log(2 * np.pi))  # constant of (23)
    rho = y * np.sqrt(phi)  # (18)
    weighted_rho = rho * w[:, None]
    ratio = Fa / Fb
    bounds: list[float] = []
    alpha = invL = np.zeros((gamma.shape[1], d))
    held = w @ gamma  # by each speaker
    for _ in range(max_iterations):
        invL = 1.0 / (1.0 + ratio * held[:, None] * phi)  # (17)
        alpha = ratio * invL * (gamma.T @ weighted_rho)  # (16)
        log_joint = rho @ alpha.T  # (items, speakers), by far the largest array: changed in place from here on
        log_joint -= 0.5 * ((invL + alpha**2) @ phi)
        log_joint += G[:, None]
        log_joint *= Fa  # (23)
        log_joint += np.log(pi + PRIOR_FLOOR)
        highest = log_joint.max(axis=1, keepdims=True)
        log_joint -= highest
        gamma = np.exp(log_joint, out=log_joint)
        total = gamma.sum(axis=1, keepdims=True)
        gamma /= total
        held = w @ gamma
        pi = held / held.sum()
        log_x = (highest + np.log(total))[:, 0]
        bound = float(w @ log_x + Fb * 0.5 * np.sum(np.log(invL) - invL - alpha**2 + 1.0))  # (25)
        bounds.append(bound)
        if len(bounds) > 1 and bound - bounds[-2] < epsilon:
            break
    return Vbx(gamma, pi, alpha, invL, tuple(bounds))
