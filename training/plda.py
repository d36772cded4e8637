"""Fits the PLDA of the bundle on embeddings of simulated meetings spoken by perturbed training voices."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from training import meetings
from training.teacher import network

log = logging.getLogger(__name__)
F64 = NDArray[np.float64]


def unit(rows: F64) -> F64:
    """Rows scaled to length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def covariances(x: F64, labels: NDArray[np.int64]) -> tuple[F64, F64]:
    """Within-class and between-class covariance, every class weighing the same.

    The between-class part is that of the class means less what their own scatter adds to it.
    """
    classes = np.unique(labels)
    dimension = x.shape[1]
    within, scatter, means, spread = np.zeros((dimension, dimension)), 0.0, [], np.zeros((dimension, dimension))
    for name in classes:
        rows = x[labels == name]
        mean = rows.mean(axis=0)
        centred = rows - mean
        covariance = centred.T @ centred / max(len(rows) - 1, 1)
        within += covariance
        spread += covariance / len(rows)
        means.append(mean)
        scatter += 1
    within /= scatter
    between = np.cov(np.stack(means).T) - spread / scatter
    return within, (between + between.T) / 2


def fit(x: F64, labels: NDArray[np.int64], components: int, shrink: float = 0.02) -> dict[str, F64]:
    """Tables of spec section 6: x [N, D] raw embeddings, labels [N] classes."""
    mean1 = x.mean(axis=0)
    a = np.sqrt(x.shape[1]) * unit(x - mean1)
    within, between = covariances(a, labels)
    within = (1 - shrink) * within + shrink * np.eye(len(within)) * np.trace(within) / len(within)
    values, vectors = eigh(between, within)
    lda = vectors[:, np.argsort(-values)[:components]]
    lda = lda / np.linalg.norm(lda, axis=0, keepdims=True)
    b = a @ lda
    mean2 = b.mean(axis=0)
    c = np.sqrt(components) * unit(b - mean2)
    mu = c.mean(axis=0)
    within, between = covariances(c, labels)
    within = (1 - shrink) * within + shrink * np.eye(components) * np.trace(within) / components
    values, vectors = eigh(between, within)
    order = np.argsort(-values)
    psi = np.maximum(values[order], 1e-3)
    tables = {"mean1": mean1, "lda": lda, "mean2": mean2, "mu": mu, "tr": vectors[:, order].T, "psi": psi}
    check(c, labels, tables)
    return tables


def check(c: F64, labels: NDArray[np.int64], tables: dict[str, F64]) -> None:
    """Log how far the transformed items are from within = I and between = diag(psi)."""
    y = (c - tables["mu"]) @ tables["tr"].T
    within, between = covariances(y, labels)
    log.info(
        "within diagonal %.3f to %.3f, between against psi at most %.3f apart, psi %s",
        within.diagonal().min(), within.diagonal().max(),
        float(np.abs(between.diagonal() - tables["psi"]).max()), np.round(tables["psi"][:6], 2).tolist(),
    )  # fmt: skip


def collect(folders: list[Path], bundle: Path, every: int) -> tuple[F64, NDArray[np.int64]]:
    """Embeddings and class numbers of the training items of cached meetings; classes are (meeting, speaker).

    Only every `every`-th window counts: neighbours share most of their audio, which would hide the variation.
    """
    trunk, head = network(bundle / "trunk.onnx"), network(bundle / "head.onnx")
    rows: list[NDArray[np.float32]] = []
    names: list[str] = []
    for path in sorted(p for folder in folders for p in folder.glob("*.npz")):
        meeting = meetings.load(path)
        vectors = meetings.embeddings(meeting, trunk, head)
        for window, local, name in meetings.training_items(meeting):
            if window % every == 0 and np.isfinite(vectors[window, local]).all():
                rows.append(vectors[window, local])
                names.append(f"{path.parent.name}/{path.stem}/{name}")
    _, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    enough = counts[labels] >= 3
    log.info("%d items of %d voices", int(enough.sum()), int((counts >= 3).sum()))
    return np.stack(rows).astype(np.float64)[enough], labels[enough].astype(np.int64)


def main() -> None:
    """`python -m training.plda BUNDLE OUT CACHE…`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder with trunk.onnx and head.onnx")
    parser.add_argument("out", type=Path)
    parser.add_argument("caches", type=Path, nargs="+", help="folders of cached meetings (training.meetings)")
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--every", type=int, default=4, help="use every n-th window")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    x, labels = collect(options.caches, options.bundle, options.every)
    tables = fit(x, labels, options.components)
    for name, table in tables.items():
        dtype = np.float32 if name == "lda" else np.float64
        np.save(options.out / f"plda_{name}.npy", table.astype(dtype))
    print(json.dumps({name: list(table.shape) for name, table in tables.items()}))


if __name__ == "__main__":
    main()
