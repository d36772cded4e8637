"""The light clients of `benchmarks server sessions`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.feeder import Feeder, Sound, feed
from benchmarks.server_commands import noise
from tests.server.rig import rig

pytestmark = pytest.mark.anyio


async def test_sessions_are_whole_and_measured(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        feeders = [Feeder(Sound(noise(3.05), 100), {"max_delay_ms": 2000}) for _ in range(3)]
        await feed(feeders, found.port)
    for feeder in feeders:
        assert feeder.whole and not feeder.ends
        assert len(feeder.acks) <= 31 and all(0 <= seconds < 5 for seconds in feeder.acks + feeder.events)


async def test_a_session_that_is_refused_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, max_sessions=1) as found:
        feeders = [Feeder(Sound(noise(1.0), 100), {}) for _ in range(2)]
        await feed(feeders, found.port)
    assert [feeder.whole for feeder in feeders] == [True, False]
    assert any("full" in what or "503" in what for what in feeders[1].ends), feeders[1].ends


async def test_a_session_that_breaks_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        feeder = Feeder(Sound(noise(1.0), 100), {"audio": {"sample_rate": 1}})
        await feed([feeder], found.port)
    assert not feeder.whole and "error bad_message" in feeder.ends
