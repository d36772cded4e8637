"""VBx beside the paper's formulas with full matrices, weights as repeated items, and the order of items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import F64, I64
from speakrs_stream.core.clustering.vbx import Vbx, start_from, vbx
from tests.core.reference import plain_vbx

seeds = st.integers(0, 2**32 - 1)
PHI = np.array([20.0, 8.0, 4.0, 2.0, 0.7])


def example(seed: int, items: int, speakers: int) -> tuple[F64, I64]:
    """Items near points of a few people, and labels that are right for most of them."""
    generator = np.random.default_rng(seed)
    who = np.arange(items) % speakers
    points = 2.0 * generator.standard_normal((speakers, len(PHI))) * np.sqrt(PHI)
    wrong = generator.random(items) < 0.2
    labels = np.where(wrong, generator.integers(0, speakers, items), who)
    labels[:speakers] = np.arange(speakers)
    return points[who] + generator.standard_normal((items, len(PHI))), labels


def run(y: F64, gamma: F64, weights: F64 | None = None, pi: F64 | None = None, iterations: int = 20) -> Vbx:
    return vbx(y, PHI, gamma, Fa=0.3, Fb=0.8, max_iterations=iterations, epsilon=1e-4, weights=weights, pi=pi)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 16), st.integers(1, 4), st.integers(1, 12))
def test_the_formulas_of_the_paper(seed: int, items: int, speakers: int, iterations: int) -> None:
    y, labels = example(seed, max(items, speakers), speakers)
    weights = np.random.default_rng(seed).uniform(0.5, 4, len(y))
    gamma = start_from(labels, 7.0)
    for w in (None, weights):
        found = run(y, gamma, w, iterations=iterations)
        expected, pi, bounds = plain_vbx(y, PHI, gamma, 0.3, 0.8, iterations, 1e-4, w)
        np.testing.assert_allclose(found.gamma, expected, atol=1e-9)
        np.testing.assert_allclose(found.pi, pi, atol=1e-9)
        np.testing.assert_allclose(found.elbo, bounds, rtol=1e-9, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(3, 30), st.integers(1, 5))
def test_a_weight_is_so_many_equal_items(seed: int, items: int, speakers: int) -> None:
    y, labels = example(seed, max(items, speakers), speakers)
    times = np.random.default_rng(seed).integers(1, 5, len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    weighted = run(y, start_from(labels, 7.0), times.astype(np.float64))
    plain = run(y[repeated], start_from(labels[repeated], 7.0))
    assert len(weighted.elbo) == len(plain.elbo)
    np.testing.assert_allclose(weighted.elbo, plain.elbo, rtol=1e-9)
    np.testing.assert_allclose(weighted.gamma[repeated], plain.gamma, atol=1e-8)
    np.testing.assert_allclose(weighted.pi, plain.pi, atol=1e-8)
    np.testing.assert_allclose(weighted.alpha, plain.alpha, atol=1e-8)
    np.testing.assert_allclose(weighted.invL, plain.invL, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(3, 40), st.integers(1, 5))
def test_the_order_of_items_and_the_signs_of_components_do_not_matter(seed: int, items: int, speakers: int) -> None:
    y, labels = example(seed, max(items, speakers), speakers)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(y))
    signs = generator.choice([-1.0, 1.0], y.shape[1])
    gamma = start_from(labels, 7.0)
    first, second = run(y, gamma), run(y[order] * signs, gamma[order])
    np.testing.assert_allclose(first.gamma[order], second.gamma, atol=1e-8)
    np.testing.assert_allclose(first.pi, second.pi, atol=1e-8)
    np.testing.assert_allclose(first.elbo, second.elbo, rtol=1e-9)


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(3, 60), st.integers(1, 6))
def test_rows_and_priors_sum_to_one_and_the_bound_grows(seed: int, items: int, speakers: int) -> None:
    y, labels = example(seed, max(items, speakers), speakers)
    gamma = start_from(labels, 7.0)
    before = y.copy(), gamma.copy()
    found = run(y, gamma)
    assert (y == before[0]).all() and (gamma == before[1]).all()
    np.testing.assert_allclose(found.gamma.sum(axis=1), 1)
    assert found.pi.sum() == pytest.approx(1)
    assert len(found.elbo) <= 20
    steps = np.diff(found.elbo)
    assert (steps > -1e-6 * abs(found.elbo[0])).all(), "up to the floor under the priors, the bound never falls"
    assert (steps[:-1] >= 1e-4).all(), "it stops as soon as the bound settles"


def test_a_speaker_without_evidence_dies() -> None:
    y = np.concatenate([np.full((20, 5), 3.0), np.full((20, 5), -3.0)])
    labels = np.repeat([0, 1, 0, 2], [18, 2, 2, 18])  # 0 and 2 are people, 1 is a splinter of 0
    found = run(y, start_from(labels, 7.0))
    assert found.pi[0] == pytest.approx(0.5, abs=1e-3) and found.pi[2] == pytest.approx(0.5, abs=1e-3)
    assert found.pi[1] < 1e-7
    assert (found.gamma.argmax(axis=1) == np.repeat([0, 2], 20)).all()


def test_given_priors_are_where_it_starts() -> None:
    y, labels = example(3, 30, 3)
    gamma = start_from(labels, 7.0)
    equal = run(y, gamma, pi=np.full(3, 1 / 3), iterations=1)
    assert (equal.gamma == run(y, gamma, iterations=1).gamma).all()
    skewed = run(y, gamma, pi=np.array([1.0, 0.0, 0.0]), iterations=1)
    assert skewed.pi[0] > equal.pi[0]


def test_numbers_far_from_one_do_not_overflow() -> None:
    y = np.concatenate([np.full((5, 5), 300.0), np.full((5, 5), -300.0)])
    found = run(y, start_from(np.repeat([0, 1], 5), 7.0))
    assert np.isfinite(found.gamma).all() and np.isfinite(found.elbo).all()
    assert (found.gamma.argmax(axis=1) == np.repeat([0, 1], 5)).all()


def test_first_responsibilities() -> None:
    gamma = start_from(np.array([0, 2, 1]), 7.0)
    own, other = np.exp(7) / (np.exp(7) + 2), 1 / (np.exp(7) + 2)
    np.testing.assert_allclose(gamma, [[own, other, other], [other, other, own], [other, own, other]])


def test_golden(shared: Path) -> None:
    golden = np.load(shared / "golden" / "two_speakers.npz")
    found = vbx(
        golden["plda_features"],
        golden["plda_phi"],
        start_from(golden["ahc_clusters"], 7.0),
        Fa=0.07,
        Fb=0.8,
        max_iterations=20,
        epsilon=1e-4,
    )
    assert len(found.elbo) == 3
    np.testing.assert_allclose(found.gamma, golden["vbx_gamma"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.pi, golden["vbx_pi"], rtol=0, atol=1e-12)
