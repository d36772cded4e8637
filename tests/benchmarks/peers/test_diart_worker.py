"""The worker's side of the pipes, with a stand-in for the package it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.diart_block import DiartBlock

CLUSTERING = '''
import numpy as np
import torch

class Found:
    def __init__(self, pairs):
        self.pairs = pairs
    def valid_assignments(self):
        return [one for one, _ in self.pairs], [other for _, other in self.pairs]

class OnlineSpeakerClustering:
    """Says of each local speaker the tenths of the window it spoke, or ten times delta_new in windows of silence."""
    def __init__(self, tau_active, rho_update, delta_new, metric, max_speakers):
        self.said = round(10 * delta_new)
    def identify(self, segmentation, embeddings: torch.Tensor):
        rows = embeddings.detach().cpu().numpy()
        there = np.flatnonzero(np.isfinite(rows).all(axis=1))
        share = segmentation.data.mean(axis=0)
        return Found([(int(local), round(10 * share[local]) or self.said) for local in there])
'''


@pytest.fixture
def block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiartBlock:
    """A worker that finds a package of that name which must not run on its own."""
    blocks = tmp_path / "diart" / "blocks"
    blocks.mkdir(parents=True)
    for folder in (blocks, blocks.parent):
        (folder / "__init__.py").write_text("raise RuntimeError('entered')")
    (blocks / "clustering.py").write_text(CLUSTERING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return DiartBlock(Path(sys.executable))


def test_windows_go_there_and_answers_come_back(block: DiartBlock) -> None:
    active, spoken = np.array([True, False, True]), np.array([0.3, 0.5, 0.9])
    assert block.begin(0.7)(np.eye(3), active, spoken).tolist() == [3, -1, 9]
    assert block(np.ones((3, 5)), active, np.zeros(3)).tolist() == [7, -1, 7]
    assert block.begin(0.4)(np.eye(3), np.ones(3, bool), np.zeros(3)).tolist() == [4, 4, 4]
    block.close()
