"""Masks and weighted statistics beside plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import F32
from speakrs_stream.core.embedding.pooling import (
    moments,
    pool,
    pool_moments,
    resample_centred,
    resample_nearest,
)
from speakrs_stream.core.grid import FRAMES_PER_WINDOW

seeds = st.integers(0, 2**32 - 1)


def plain_pool(features: F32, weights: F32) -> list[list[float]]:
    """Weighted mean and unbiased deviation, number by number."""
    out = []
    for weight in weights.tolist():
        columns = [[float(value) for value in column] for column in features.T]
        v1 = math.fsum(weight)
        if v1 == 0:
            out.append([math.nan] * (2 * len(columns)))
            continue
        v2 = math.fsum(w * w for w in weight)
        means = [math.fsum(w * x for w, x in zip(weight, column, strict=True)) / v1 for column in columns]
        deviations = [
            math.sqrt(
                max(
                    math.fsum(w * (x - mean) ** 2 for w, x in zip(weight, column, strict=True)) / (v1 - v2 / v1 + 1e-8),
                    1e-10,
                )
            )
            for column, mean in zip(columns, means, strict=True)
        ]
        out.append(means + deviations)
    return out


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 60), st.integers(1, 6))
def test_pooling_what_windows_share_gives_the_same(seed: int, time: int, channels: int) -> None:
    generator = np.random.default_rng(seed)
    features = (generator.standard_normal((time, channels)) + generator.normal(0, 3, channels)).astype(np.float32)
    weights = (generator.random((3, time)) < 0.6).astype(np.float32)
    edges = sorted({0, time, *generator.integers(0, time + 1, 4).tolist()})
    parts = [(moments(features[low:high]), weights[:, low:high]) for low, high in pairwise(edges)]
    heard = [(both, share) for both, share in parts if share.any()] or parts[:1]  # silent ones need not be there
    before = [(both.copy(), share.copy()) for both, share in heard]
    pooled = pool_moments(heard, weights)
    assert pooled.dtype == np.float32
    mean, deviation = np.split(pool(features, weights), 2, axis=1)
    np.testing.assert_allclose(pooled[:, :channels], mean, rtol=1e-4, atol=1e-5)
    # a variance is known to within a few roundings of the mean square, the root of that where it is 0
    np.testing.assert_allclose(
        pooled[:, channels:] ** 2, deviation**2, rtol=1e-4, atol=2e-5 * (1 + np.square(features).max())
    )
    for (both, share), (both_before, share_before) in zip(heard, before, strict=True):
        np.testing.assert_array_equal(both, both_before)
        np.testing.assert_array_equal(share, share_before)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 40), st.integers(1, 6), st.booleans())
def test_pool_is_a_plain_loop(seed: int, time: int, channels: int, binary: bool) -> None:
    generator = np.random.default_rng(seed)
    features = (generator.standard_normal((time, channels)) + generator.normal(0, 10, channels)).astype(np.float32)
    weights = generator.random((3, time)).astype(np.float32)
    weights[generator.random((3, time)) < 0.4] = 0
    if binary:
        weights = (weights > 0).astype(np.float32)
    before = features.copy(), weights.copy()
    pooled = pool(features, weights)
    assert pooled.dtype == np.float32 and pooled.shape == (3, 2 * channels)
    np.testing.assert_allclose(pooled, plain_pool(features, weights), rtol=2e-6, atol=2e-5)
    assert (features == before[0]).all() and (weights == before[1]).all()


def test_all_ones_give_the_unbiased_deviation() -> None:
    features = np.random.default_rng(0).standard_normal((125, 7)).astype(np.float32)
    pooled = pool(features, np.ones((1, 125), np.float32))[0]
    np.testing.assert_allclose(pooled[:7], features.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(pooled[7:], features.std(axis=0, ddof=1), rtol=1e-6)


def test_a_row_of_zeros_gives_nan_and_one_frame_the_smallest_deviation() -> None:
    features = (1000 + np.arange(12.0)).reshape(4, 3).astype(np.float32)
    weights = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]], np.float32)
    pooled = pool(features, weights)
    assert np.isnan(pooled[0]).all()
    assert pooled[1].tolist() == pytest.approx([1003, 1004, 1005, 1e-5, 1e-5, 1e-5])
    np.testing.assert_allclose(pooled[2, 3:], math.sqrt(4.5), rtol=1e-6)


def test_frames_without_weight_are_not_read() -> None:
    features = np.array([[1.0], [np.nan], [3.0], [np.inf]], np.float32)
    assert pool(features, np.array([[1, 0, 1, 0]], np.float32))[0].tolist() == pytest.approx([2, math.sqrt(2)])
    assert not np.isfinite(pool(features, np.array([[1, 1, 0, 0]], np.float32))).any()


def test_nearest_neighbours_are_those_of_the_padded_network() -> None:
    ramp = np.arange(FRAMES_PER_WINDOW, dtype=np.float32)[None]
    picked = resample_nearest(ramp, 125)[0].astype(int).tolist()
    assert picked[:8] == [0, 4, 9, 14, 18, 23, 28, 32] and picked[-3:] == [574, 579, 584]
    assert picked == [i * 589 // 125 for i in range(125)]


@pytest.mark.parametrize(("stride", "offset"), [(4, 12), (8, 0), (10, 112), (1, 0)])
def test_centred_features_read_the_mask_at_their_own_time(stride: int, offset: int) -> None:
    count = (998 - 2 * offset - 1) // stride + 1
    ramp = np.arange(FRAMES_PER_WINDOW, dtype=np.float32)[None]
    picked = resample_centred(ramp, count, stride, offset)[0].astype(int)
    middles = (offset + np.arange(count) * stride) * 0.01 + 0.0125  # seconds, of each feature
    frames = picked * 0.016875 + 495 / 16_000  # seconds, of the mask frame it reads
    inside = (middles >= frames.min()) & (middles <= 588 * 0.016875 + 495 / 16_000)
    assert (np.abs(middles - frames)[inside] <= 0.016875 / 2 + 1e-9).all()
    assert (np.diff(picked) >= 0).all()
