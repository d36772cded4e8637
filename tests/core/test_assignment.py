"""Which speaker a local speaker is, beside trying everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, Array
from speakrs_stream.core.clustering.assignment import BLOCK, constrained, scores, unconstrained
from tests.core.reference import best_assignment

seeds = st.integers(0, 2**32 - 1)


def case(seed: int, windows: int, clusters: int, coarse: bool) -> tuple[F64, Array]:
    """Scores with missing rows (and ties, if `coarse`), and who is active."""
    generator = np.random.default_rng(seed)
    score = generator.uniform(0, 2, (windows, 3, clusters))
    if coarse:
        score = np.round(score)
    score[generator.random((windows, 3)) < 0.2] = np.nan
    return score, generator.random((windows, 3)) < 0.7


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 12), st.integers(1, 5), st.booleans())
def test_constrained_is_the_best_of_all_assignments(seed: int, windows: int, clusters: int, coarse: bool) -> None:
    score, active = case(seed, windows, clusters, coarse)
    out = constrained(score, active)
    finite = score[np.isfinite(score)]
    filled = np.where(np.isnan(score), finite.min() if finite.size else 0.0, score)
    for window in range(windows):
        assert (out[window][~active[window]] == UNASSIGNED).all()
        given_out = out[window][out[window] >= 0]
        assert len(set(given_out.tolist())) == len(given_out) == min(int(active[window].sum()), clusters)
        reached = sum(filled[window, local, who] for local, who in enumerate(out[window]) if who >= 0)
        assert reached == pytest.approx(best_assignment(filled[window], active[window]))


def test_more_active_than_clusters_drops_the_weakest() -> None:
    score = np.array([[[1.9, 1.0], [1.8, 1.7], [1.0, 1.1]]])
    assert constrained(score, np.ones((1, 3), bool)).tolist() == [[0, 1, UNASSIGNED]]
    assert constrained(score[:, :, :1], np.ones((1, 3), bool)).tolist() == [[0, UNASSIGNED, UNASSIGNED]]
    # an inactive local speaker takes no cluster from the others, whatever its score
    assert constrained(score, np.array([[False, True, True]])).tolist() == [[UNASSIGNED, 0, 1]]


def test_a_missing_embedding_gets_what_is_left() -> None:
    score = np.array([[[np.nan, np.nan], [1.9, 1.0], [0.5, 0.4]]])
    assert constrained(score, np.array([[True, True, False]])).tolist() == [[1, 0, UNASSIGNED]]
    nothing = np.full((1, 3, 2), np.nan)
    assert sorted(constrained(nothing, np.array([[True, False, True]]))[0].tolist()) == [UNASSIGNED, 0, 1]


def test_ties_are_settled_the_same_way_every_time() -> None:
    score = np.ones((4, 3, 3))
    active = np.ones((4, 3), bool)
    out = constrained(score, active)
    assert (out == out[0]).all() and sorted(out[0].tolist()) == [0, 1, 2]
    assert unconstrained(score, active).tolist() == [[0, 0, 0]] * 4


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 8), st.integers(1, 5), st.booleans())
def test_unconstrained_takes_each_ones_best(seed: int, windows: int, clusters: int, coarse: bool) -> None:
    score, active = case(seed, windows, clusters, coarse)
    out = unconstrained(score, active)
    for window, local in np.ndindex(windows, 3):
        if not active[window, local]:
            assert out[window, local] == UNASSIGNED
        elif np.isnan(score[window, local]).any():
            assert out[window, local] == 0
        else:
            assert out[window, local] == max(range(clusters), key=lambda k: score[window, local, k])


def test_no_windows() -> None:
    for assign in (constrained, unconstrained):
        assert assign(np.zeros((0, 3, 2)), np.zeros((0, 3), bool)).shape == (0, 3)


def test_scores_are_one_plus_the_cosine() -> None:
    generator = np.random.default_rng(3)
    embeddings = generator.standard_normal((BLOCK + 3, 3, 4)).astype(np.float32)
    embeddings[1, 2] = np.nan
    embeddings[1, 1, 3] = -np.inf
    embeddings[2, 0] = 0
    centroids = generator.standard_normal((2, 4))
    out = scores(embeddings, centroids)
    assert out.shape == (BLOCK + 3, 3, 2)
    assert np.isnan(out[1, 1:]).all() and np.isfinite(np.delete(out, 1, axis=0)).all()
    assert (out[2, 0] == 1).all(), "an embedding of zeros is like nobody"
    for window, local in ((0, 0), (1, 0), (BLOCK, 2), (BLOCK + 2, 0)):
        a = embeddings[window, local].astype(np.float64)
        for k, b in enumerate(centroids):
            assert out[window, local, k] == pytest.approx(1 + a @ b / np.sqrt((a @ a) * (b @ b)))


def test_golden_assignment(shared: Path) -> None:
    golden = np.load(shared / "golden" / "two_speakers.npz")
    gamma, x = golden["vbx_gamma"], golden["train_embeddings"].astype(np.float64)
    centroids = gamma.T @ x / gamma.sum(axis=0)[:, None]
    active = golden["segmentation_data"].sum(axis=1) > 0
    np.testing.assert_array_equal(
        constrained(scores(golden["embeddings_data"], centroids), active), golden["hard_clusters"]
    )
