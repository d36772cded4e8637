"""Small sets on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.references import rttm_text
from tests.benchmarks.test_live_run import REFERENCE, small_plda


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """PLDA tables as files."""
    folder = tmp_path / "plda"
    folder.mkdir()
    plda = small_plda()
    for name in ("mean1", "lda", "mean2", "mu", "tr", "psi"):
        np.save(folder / f"plda_{name}.npy", getattr(plda, name))
    return folder


@pytest.fixture
def references(tmp_path: Path) -> Path:
    folder = tmp_path / "meetings"
    folder.mkdir()
    for index in range(4):
        turns = [turn for turn in REFERENCE if turn.start < 14 + 4 * index]
        (folder / f"m{index}.rttm").write_text(rttm_text(f"m{index}", turns))
    return folder
