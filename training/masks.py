"""Which feature frames of a crop belong to the pooled speaker, as a segmentation network would say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def random_masks(count: int, frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Which feature frames belong to the pooled speaker: everything, or one to three pieces."""
    masks = np.ones((count, frames), dtype=np.float32)
    shortest = min(frames, 10)
    for row in np.flatnonzero(rng.random(count) < 0.55):
        masks[row] = 0
        for _ in range(int(rng.integers(1, 4))):
            size = int(rng.integers(shortest, frames + 1))
            start = int(rng.integers(0, frames - size + 1))
            masks[row, start : start + size] = 1
    return masks


def disturbed(mask: NDArray[np.float32], rng: np.random.Generator, most: int = 3) -> NDArray[np.float32]:
    """The mask as an imperfect segmentation would give it: edges moved by up to `most` frames."""
    out = np.empty_like(mask)
    for row in range(len(mask)):
        shift = int(rng.integers(-most, most + 1))
        out[row] = np.roll(mask[row], shift)
        if shift > 0:
            out[row, :shift] = mask[row, 0]
        elif shift < 0:
            out[row, shift:] = mask[row, -1]
        if out[row].sum() < 5:
            out[row] = mask[row]
    return out
