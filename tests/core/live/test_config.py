from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_delay": SAMPLE_RATE - 1},
        {"max_delay": 120 * SAMPLE_RATE + 1},
        {"recluster": 0},
        {"early": -1},
        {"newborn": -1},
        {"recent_items": 15},
        {"group_items": 15},
        {"patience": 0},
        {"newcomer_items": 0},
        {"stay": -0.1},
        {"stay_again": -0.1},
        {"hold": -1.0},
        {"hold_share": -0.5},
        {"newcomer_similarity": -1.1},
        {"voice_similarity": 1.1},
        {"voice_similarity": -1.1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    names = {field.name for field in fields(LiveConfig)}
    if set(wrong) <= names:
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            LiveConfig(**wrong)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    LiveConfig(max_delay=SAMPLE_RATE, recluster=1, early=0, newborn=0, patience=1, recent_items=16, group_items=16)
    LiveConfig(max_delay=120 * SAMPLE_RATE, stay=0.0, voice_similarity=1.0)
    assert LiveConfig().max_delay == 13 * SAMPLE_RATE


def test_settings_make_up_the_fingerprint() -> None:
    assert repr(LiveConfig()) == repr(LiveConfig())
    assert len({repr(LiveConfig()), repr(LiveConfig(stay=0.2)), repr(LiveConfig(patience=4))}) == 3


@pytest.mark.parametrize(("delay", "step", "lookback"), [(13, 1, 12), (4.5, 1, 3.5), (2, 1, 1), (1, 1, 1), (12, 2, 10)])
def test_the_wait_for_the_next_window_counts_as_delay(delay: float, step: float, lookback: float) -> None:
    config = LiveConfig(max_delay=round(delay * SAMPLE_RATE))
    assert config.lookback(round(step * SAMPLE_RATE)) == lookback * SAMPLE_RATE
