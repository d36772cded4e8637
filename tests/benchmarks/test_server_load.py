"""Clients for load and faults: what they count is what happened."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import pytest

from benchmarks.server_load import Caller, Stalled, half_open
from tests.fault_proxy import FaultProxy, scripted
from tests.server.checker import check
from tests.server.rig import rig, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_network_faults_lose_nothing(tmp_path: Path) -> None:
    """A few of the faults that `benchmarks server faults` has hundreds of."""
    async with rig(tmp_path, send_timeout_s=3.0) as found:
        async with FaultProxy(found.port, scripted(14, 2, most=40_000, seconds=0.4)) as proxy:
            callers = [
                Caller(proxy.port, talk(), speed=8.0, start={"max_delay_ms": 2000}, patience=3.0) for _ in range(3)
            ]
            async with anyio.create_task_group() as tasks:
                for caller in callers:
                    tasks.start_soon(caller.run)
            kinds = {fault.kind for fault in proxy.struck}
    assert len(kinds) >= 5 and sum(caller.resumes for caller in callers) > 0
    for caller in callers:
        assert caller.whole, (caller.ends, caller.gaps, caller.lost)
        check([message for message in caller.heard if "seq" in message])


async def test_a_stalled_reader_is_noticed(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        caller = Caller(found.port, talk(), speed=0.5, start={"max_delay_ms": 2000})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.run)
            while not caller.session:  # noqa: ASYNC110 - a test waits for something outside
                await anyio.sleep(0.02)
            path, view = f"/v1/sessions/{caller.session}/events", json.dumps({"type": "session.view"})
            lazy = await anyio.to_thread.run_sync(Stalled, found.port, path, view)
            assert not lazy.gone()
            while not found.server._viewers.get(caller.session):  # noqa: ASYNC110 - as above
                await anyio.sleep(0.02)
            for viewer in found.server._viewers[caller.session]:
                viewer._socket.transport.abort()
            began = time.monotonic()
            while not lazy.gone() and time.monotonic() - began < 20:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.02)
            assert lazy.gone()
            lazy.close()
            tasks.cancel_scope.cancel()


async def test_half_open_requests_are_closed(tmp_path: Path) -> None:
    async with rig(tmp_path, hello_timeout_s=0.5) as found:
        opened = await anyio.to_thread.run_sync(half_open, found.port, 50)
        assert len(opened) == 50
        assert (await found.get("/healthz"))[0] == 200
        for one in opened:
            one.settimeout(10)
            assert await anyio.to_thread.run_sync(one.recv, 10) == b"", "closed without an answer"
            one.close()
