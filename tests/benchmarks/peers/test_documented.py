from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.peers.documented import normalised, pyannote_way, speakrs_way, windows
from benchmarks.speed.material import sound
from speakrs_stream.engine import Engine
from speakrs_stream.inference.networks import Networks
from tests.benchmarks.speed.small import noise, small_shapes


class Counting:
    """Networks that count how often each is run."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.runs: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        def run(*arrays: Any) -> Any:
            self.runs[name] = self.runs.get(name, 0) + len(arrays[0])
            return getattr(self._networks, name)(*arrays)

        return run


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    bundle = small_shapes(Path(tmp_path_factory.mktemp("shapes")))
    return Engine(bundle, mode="cpu", embedding="fast"), Engine(bundle, mode="cpu", embedding="exact")


def test_windows_lie_a_step_apart() -> None:
    audio = np.arange(160_000 + 2 * 16_000 + 5, dtype=np.float32)
    cut = windows(audio, 16_000)
    assert cut.shape == (3, 160_000) and cut[2, 0] == 32_000


def test_the_filter_bank_has_no_mean() -> None:
    assert np.abs(normalised(noise(10)).mean(axis=0)).max() < 1e-3


def test_the_trunk_runs_three_times_a_window_in_pyannote_s_way(engines: tuple[Engine, Engine]) -> None:
    counting = Counting(engines[0].networks)
    assert pyannote_way(cast(Networks, counting), sound(12), 16_000) == 9
    assert counting.runs["trunk"] == 9 and counting.runs["segment"] == 3


def test_it_runs_once_in_speakrs_way(engines: tuple[Engine, Engine]) -> None:
    counting = Counting(engines[1].networks)
    assert speakrs_way(cast(Networks, counting), sound(12), 16_000) == 9
    assert counting.runs == {"segment": 3, "multimask": 3}
    assert speakrs_way(cast(Networks, counting), np.zeros(12 * 16_000, np.float32), 16_000) == 0
