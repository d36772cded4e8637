from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.speed.memory import Held, Talk, measure, platform_says, play, resident, table


def test_windows_agree_about_who_speaks() -> None:
    talk = Talk()
    first, second = talk.look(0), talk.look(16_000)
    assert first.activations.shape == (589, 3) and first.embeddings.shape == (3, 256)
    assert np.isfinite(second.embeddings).all(axis=1).sum() == 3
    a, b = first.embeddings[0], second.embeddings[0]
    assert a @ b > 0.7 * np.linalg.norm(a) * np.linalg.norm(b)
    assert first.activations.sum(axis=1).max() <= 1


def test_a_longer_stream_holds_more() -> None:
    short, long = play(0.01), play(0.03)
    assert 0 < short.snapshot < long.snapshot
    assert short.mean_ms > 0


def test_each_length_has_a_process_of_its_own() -> None:
    (held,) = measure([0.005])
    assert held.hours == 0.005 and held.snapshot > 0


def test_the_system_is_asked_for_the_size(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t  2048 kB\n")
    assert resident(status) == 2048 * 1024
    assert resident(tmp_path / "nowhere") is None
    assert "resident set" in platform_says()


def test_sizes_are_shown_by_length() -> None:
    out = io.StringIO()
    held = [Held(1 / 60, 1_000_000, None, 1.5), Held(8.0, 100_000_000, 120_000_000, 1.25)]
    Console(file=out, width=140).print(table(held))
    lines = out.getvalue().splitlines()
    assert any("1 min" in line and "1.00" in line and "–" in line for line in lines)
    assert any("8 h" in line and "120.0" in line and "12.5" in line and "1.25" in line for line in lines)
