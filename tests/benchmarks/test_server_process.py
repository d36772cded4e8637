"""A server in a process of its own: it is watched from outside, and its script keeps the promises of the protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.server_load import Caller
from benchmarks.server_process import ServerProcess
from tests.server.checker import check

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_scripted_session(tmp_path: Path) -> None:
    process = ServerProcess("scripted", tmp_path / "data", durability="written")
    before = process.usage()
    caller = Caller(process.port, b"\0\0" * 16_000 * 9, speed=5, start={"mode": "file"})
    await caller.run()
    after = process.usage()
    assert caller.whole and caller.acks and not caller.ends
    assert check(caller.heard).final_until_ms >= 9_000
    assert (
        after.cpu_s > before.cpu_s > 0 and after.rss_mb > 10 and after.threads >= 3 and after.files > after.sockets > 0
    )
    status, seconds = process.stop()
    assert status == 0 and seconds < 25
