from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks.speed import latency
from benchmarks.speed.latency import Delays, figures, measure, shown_after, table
from tests.benchmarks.speed.small import fake_engine


def test_every_window_of_every_stream_is_timed() -> None:
    found = measure(fake_engine(), 3, 4.0)
    assert found.streams == 3 and len(found.window) == 3 * 4
    assert min(found.window) > 0 and 0 < found.busy <= 1 and found.behind >= 0


def test_a_core_that_is_too_slow_falls_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(np.arange(0, 10_000, 0.8))
    monkeypatch.setattr(latency, "process_time", lambda: float(next(ticks)))
    found = measure(fake_engine(), 4, 3.0)
    assert found.busy == pytest.approx(1.0, abs=0.1)
    assert max(found.window) >= 0.8


def test_a_sound_waits_for_its_window_and_the_answer() -> None:
    delays = Delays(1, (0.5, 0.5), 0.5, 0.0)
    shown = shown_after(delays, 1.0)
    assert shown.min() == pytest.approx(0.525) and shown.max() == pytest.approx(1.475)


def test_percentiles_are_shown_and_written() -> None:
    found = {"one stream": Delays(1, (0.1, 0.2, 0.3), 0.25, 0.0)}
    out = io.StringIO()
    Console(file=out, width=140).print(table(found, 1.0))
    assert "200 / 290 / 298" in out.getvalue() and "25%" in out.getvalue()
    assert figures(found, 1.0)["one stream"]["window_to_events_s"]["50"] == pytest.approx(0.2)
