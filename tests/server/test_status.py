"""Health and readiness in words, and what may be told of a session."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from speakrs_server.status import WEDGED, describe, health, measure, readiness
from tests.server.rig import rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_words_for_every_state(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        server = found.server
        assert (health(server), readiness(server)) == (("Healthy", True), ("Ready", True))
        server.loop_lag = 1.5
        assert (health(server), readiness(server)) == (("Degraded", False), ("Degraded", False))
        server.loop_lag = 0.0
        server.ready = False
        assert readiness(server) == ("Initializing", False)
        server.ready = server.draining = True
        assert (health(server), readiness(server)) == (("Healthy", True), ("Degraded", False))
        server.host.worker.since = time.monotonic() - WEDGED - 1
        assert health(server) == ("Critical", False)
        server.host.worker.since = None
        measure(server)
        assert describe(server, "0" * 26) is None
