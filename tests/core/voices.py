"""Speaker embeddings drawn from a PLDA model: what a good network would say about people we made up."""

from __future__ import annotations

import numpy as np

from speakrs_stream.core.arrays import F32, F64, I64, U8, Array
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.grid import FRAMES_PER_WINDOW


def toy_plda(dimension: int = 32, latent: int = 32, seed: int = 1) -> Plda:
    """A PLDA with random means, a random orthonormal reduction and variances from 26 down to 0.6, like community-1."""
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(generator.standard_normal((dimension, dimension)))[0]
    return Plda(
        mean1=0.1 * generator.standard_normal(dimension),
        lda=basis[:, :latent],
        mean2=0.02 * generator.standard_normal(latent),
        mu=0.05 * generator.standard_normal(latent),
        tr=np.linalg.qr(generator.standard_normal((latent, latent)))[0] * 3.0,
        psi=np.geomspace(26.0, 0.6, latent),
    )


def directions(people: int, dimension: int = 32, seed: int = 2) -> F64:
    """Unit vectors (people, dimension), one voice each, at right angles to one another."""
    generator = np.random.default_rng(seed)
    return np.asarray(np.linalg.qr(generator.standard_normal((dimension, people)))[0].T)


def voices(who: I64, dimension: int = 32, spread: float = 0.15, seed: int = 3) -> F32:
    """Embeddings (n, dimension) of the people `who` (n,), of length about 3, each near its person's direction."""
    generator = np.random.default_rng(seed)
    centres = directions(int(who.max()) + 1, dimension)
    noise = spread * generator.standard_normal((len(who), dimension)) / np.sqrt(dimension)
    return np.asarray(3.0 * (centres[who] + noise), np.float32)


def drawn(plda: Plda, who: Array, seed: int, within: float = 1.0, rest: float = 0.5) -> F32:
    """Embeddings (n, D) whose PLDA features are a person's point, drawn from the model, plus unit noise times `within`.

    rest: length of the part that the reduction removes, as a share of the part that it keeps.
    """
    generator = np.random.default_rng(seed)
    people, latent, dimension = int(who.max()) + 1, plda.dimension, len(plda.mean1)
    points = generator.standard_normal((people, latent)) * np.sqrt(plda.psi)
    features = points[who] + within * generator.standard_normal((len(who), latent))
    whitened = features @ np.linalg.inv(plda.tr.T) + plda.mu
    whitened *= np.sqrt(latent) / np.linalg.norm(whitened, axis=1, keepdims=True)
    back = np.linalg.pinv(plda.lda)
    kept = (whitened + plda.mean2) @ back
    removed = generator.standard_normal((people, dimension))[who] + generator.standard_normal((len(who), dimension))
    removed = removed - removed @ plda.lda @ back
    removed *= rest * np.linalg.norm(kept, axis=1).mean() / np.linalg.norm(removed, axis=1, keepdims=True)
    rows = kept + removed
    return np.asarray(3.0 * rows / np.linalg.norm(rows, axis=1, keepdims=True) + plda.mean1, np.float32)


def activity(seed: int, windows: int, people: int = 3) -> U8:
    """Random local activity (windows, 589, 3) of 0 and 1 in stretches, at most two at once; some windows are silent."""
    generator = np.random.default_rng(seed)
    out = np.zeros((windows, FRAMES_PER_WINDOW, 3), np.uint8)
    for window in out:
        for local in generator.permutation(3)[: generator.integers(0, people + 1)]:
            for _ in range(int(generator.integers(1, 4))):
                start = int(generator.integers(FRAMES_PER_WINDOW))
                window[start : start + int(generator.choice([1, 5, 60, 200, 400])), local] = 1
        window *= np.cumsum(window, axis=1) <= 2
    return out
