"""Mean and deviation of trunk features under each local speaker's activity.

TSTP pooling of WeSpeaker (Wang et al., ICASSP 2023) with weights, as pyannote.audio's StatsPool computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from speakrs_stream.core.arrays import F32, F64, I64, frozen
from speakrs_stream.core.embedding.fbank import FRAME, HOP
from speakrs_stream.core.grid import FRAME_MIDDLE, FRAME_STEP

MIN_VARIANCE = 1e-10


def resample_nearest(masks: F32, frames: int) -> F32:
    """Masks (3, 589) on the grid of a padded trunk, (3, frames): nearest neighbour as torch's interpolate does it."""
    index = np.arange(frames) * masks.shape[1] // frames
    return masks[:, index]


def resample_centred(masks: F32, count: int, stride: int, offset: int) -> F32:
    """Masks (3, 589) at the centres of `count` features of an unpadded trunk, (3, count).

    Feature j is centred on filter-bank frame `offset + j * stride`, whose middle is 200 samples after its start.
    """
    return masks[:, _centred(count, stride, offset, masks.shape[1])]


@cache
def _centred(count: int, stride: int, offset: int, frames: int) -> I64:
    centres = (offset + np.arange(count) * stride) * HOP + FRAME // 2
    index = np.rint((centres - FRAME_MIDDLE) / FRAME_STEP).astype(np.int64)
    return frozen(np.clip(index, 0, frames - 1))


def pool(features: F32, weights: F32) -> F32:
    """Weighted mean and standard deviation of trunk features, one row per local speaker.

    features: (time, channels) float32
    weights:  (speakers, time) float32, 0 to 1; a row of zeros gives NaN, which clustering skips
    returns:  (speakers, 2 * channels) float32
    """
    out = np.full((len(weights), 2 * features.shape[1]), np.nan, np.float32)
    for row, weight in zip(out, weights, strict=True):
        spoken = np.flatnonzero(weight)  # nothing is read of the other frames: they may not even have been computed
        if not len(spoken):
            continue
        x: F64 = features[spoken].astype(np.float64)
        w: F64 = weight[spoken].astype(np.float64)
        total = w.sum()
        mean = (w @ x) / total
        x -= mean
        x *= x
        variance = (w @ x) / (total - (w @ w) / total + 1e-8)
        row[:] = np.concatenate([mean, np.sqrt(np.maximum(variance, MIN_VARIANCE))])
    return out


def moments(features: F32) -> F32:
    """Trunk features (time, channels) beside their squares, (time, 2 * channels): computed once for all windows."""
    channels = features.shape[1]
    both = np.empty((len(features), 2 * channels), np.float32)
    both[:, :channels] = features
    np.multiply(features, features, out=both[:, channels:])
    return both


def pool_moments(parts: Sequence[tuple[F32, F32]], weights: F32) -> F32:
    """What `pool` gives for masks, from what windows share: a variance is the mean square less the squared mean.

    parts: `moments` (n, 2 * channels) of some of the features, and their masks (speakers, n) of 0 and 1; features in no
        part are in no mask
    weights: (speakers, time) the masks of all features
    returns: (speakers, 2 * channels) float32; NaN for a row of zeros
    """
    sums = np.matmul(parts[0][1], parts[0][0])
    more = np.empty_like(sums)
    for both, share in parts[1:]:
        sums += np.matmul(share, both, out=more)
    channels = sums.shape[1] // 2
    total = np.add.reduce(weights, axis=1)[:, None]
    total[total == 0] = np.nan
    sums /= total
    mean, variance = sums[:, :channels], sums[:, channels:]
    square = np.multiply(mean, mean, out=more[:, :channels])
    variance -= square
    variance *= total / (total - 1 + np.float32(1e-8))
    np.sqrt(np.maximum(variance, np.float32(MIN_VARIANCE), out=variance), out=variance)
    return np.asarray(sums, np.float32)
