"""diart's own block beside greedy matching, where it can be installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.diart_block import DiartBlock, environment
from benchmarks.peers.environment import PeerUnavailable
from benchmarks.peers.greedy import Centroids
from speakrs_stream.core.clustering.plda import unit


@pytest.fixture(scope="module")
def diart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiartBlock]:
    try:
        block = DiartBlock(environment(tmp_path_factory.mktemp("peers") / "diart"))
    except PeerUnavailable as error:
        pytest.skip(str(error))
    yield block
    block.close()


@pytest.mark.network
def test_it_does_what_diart_s_block_does(diart: DiartBlock) -> None:
    for seed in range(40):
        generator = np.random.default_rng(seed)
        delta = float(generator.choice([0.25, 0.5, 0.75, 1.0]))
        theirs, ours = diart.begin(delta), Centroids(delta)
        voices = unit(generator.standard_normal((8, 16)))
        for _ in range(60):
            noise = generator.standard_normal((3, 16)) * generator.choice([0.1, 0.3])
            rows = unit(voices[generator.choice(8, 3, replace=False)] + noise).astype(np.float32).astype(np.float64)
            spoken = generator.integers(0, 589, 3) / 589 * (generator.random(3) < 0.8)
            active = (spoken > 0) & (generator.random(3) < 0.95)
            assert ours(rows, active, spoken).tolist() == theirs(rows, active, spoken).tolist()


def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PeerUnavailable, match="cannot be installed"):
        environment(tmp_path / "file" / "below")


def test_a_worker_without_diart_says_so() -> None:
    with pytest.raises(PeerUnavailable, match="diart is not installed"):
        DiartBlock(Path(sys.executable)).begin()(np.eye(3), np.ones(3, bool), np.full(3, 0.5))
