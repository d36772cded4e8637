from __future__ import annotations

import pytest

from benchmarks.speed import cold
from speakrs_stream.errors import SpeakrsError


def test_a_cold_start_reaches_an_event() -> None:
    found = cold.cold_start(runs=1)
    assert len(found.values) == 1 and found.median > 0


def test_a_program_without_an_event_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "PROGRAM", "print('nothing')")
    with pytest.raises(SpeakrsError, match="no event"):
        cold.cold_start(runs=1)
