"""The way into the space of VBx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import eigh

from speakrs_stream.core.clustering.plda import Plda, unit
from tests.core.reference import features
from tests.core.voices import drawn, toy_plda, voices

TABLES = ("mean1", "lda", "mean2", "mu", "tr", "psi")


def community(shared: Path) -> Plda:
    folder = shared / "models" / "community-1"
    return Plda(**{name: np.load(folder / f"plda_{name}.npy").astype(np.float64) for name in TABLES})


def test_unit_rows() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-1e-200, 0.0], [np.nan, 1.0]])
    out = unit(rows)
    np.testing.assert_allclose(out[:2], np.array([[0.6, 0.8], [0.0, 0.0]]))
    assert np.isnan(out[3]).all()
    assert unit(rows[None]).shape == (1, 4, 2)


def test_the_formula_row_by_row() -> None:
    plda = toy_plda(24, 10)
    rows = voices(np.arange(7) % 3, 24)
    out = plda.transform(rows)
    assert out.dtype == np.float64 and out.shape == (7, 10)
    np.testing.assert_allclose(out, features(rows, plda), atol=1e-12)
    assert (plda.dimension, plda.phi is plda.psi) == (10, True)


def test_the_length_of_an_embedding_does_not_matter_beside_the_mean() -> None:
    plda = toy_plda()
    rows = voices(np.arange(4)).astype(np.float64)
    np.testing.assert_allclose(plda.transform(rows), plda.transform(plda.mean1 + 5 * (rows - plda.mean1)), atol=1e-9)


def test_an_embedding_on_the_mean_is_no_trouble() -> None:
    plda = toy_plda()
    assert np.isfinite(plda.transform(np.stack([plda.mean1, np.zeros_like(plda.mean1)]))).all()


def test_drawn_voices_have_the_variances_of_the_model() -> None:
    """`drawn` is the inverse of `transform`, but for the length that the model fixes."""
    plda = toy_plda(64, 48)
    who = np.arange(400) % 4
    latent = plda.transform(drawn(plda, who, seed=5, within=1e-9))
    for person in range(4):
        assert np.ptp(latent[who == person], axis=0).max() < 1e-4


def test_golden_features(shared: Path) -> None:
    golden = np.load(shared / "golden" / "two_speakers.npz")
    plda = community(shared)
    ours, theirs = plda.transform(golden["train_embeddings"]), golden["plda_features"]
    signs = np.sign((ours * theirs).sum(axis=0))  # a component's sign is arbitrary
    np.testing.assert_allclose(ours * signs, theirs, rtol=0, atol=1e-11)
    np.testing.assert_allclose(plda.phi, golden["plda_phi"], rtol=0, atol=1e-12)


def test_the_stored_tables_need_no_eigenvalues(shared: Path) -> None:
    plda = community(shared)
    within = np.linalg.inv(plda.tr.T @ plda.tr)
    between = np.linalg.inv((plda.tr.T / plda.psi) @ plda.tr)
    values, vectors = eigh(between, within)
    np.testing.assert_allclose(values[::-1], plda.psi, atol=1e-10)
    np.testing.assert_allclose(np.abs(vectors[:, ::-1].T), np.abs(plda.tr), atol=1e-8)
    assert plda.psi.sum() == pytest.approx(225.59, abs=0.01)
