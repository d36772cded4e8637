"""Sessions of one process: recovered at the start whatever lies on the disk, and taken over by others."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed

from speakrs_server.journal import Saved
from speakrs_server.records import Log
from tests.server.checker import check
from tests.server.rig import Client, Rig, rig, talk
from tests.server.test_worker import Faulty, loud

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_damaged_sessions_do_not_keep_it_from_starting(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        session = (await client.start(max_delay_ms=2000))["session"]
        await client.audio(talk()[:64_000])
        await client.until("watermark")
    for name, text in (("A" * 26, "{"), ("B" * 26, ""), ("C" * 26, None)):
        folder = tmp_path / "sessions" / name
        folder.mkdir()
        if text is not None:
            (folder / "session.json").write_text(text, encoding="utf-8")
    async with rig(tmp_path) as found:
        assert list(found.server.host.sessions) == [session]
        await found.server.host.give_up(session)
        assert not found.server.host.sessions and len(found.server.host.registry) == 0


async def call(found: Rig, data: bytes, said: list[dict[str, Any]], pause: float = 0.0) -> list[str]:
    """A session over as many connections as it takes; what errors ended them. said: gets every message."""
    session, token, ends = "", "", list[str]()
    while not said or said[-1]["type"] != "session.final":
        try:
            async with found.connect() as socket:
                client = Client(socket, said)
                if not session:
                    started = await client.start(max_delay_ms=2000)
                    session, token, at = started["session"], started["resume"]["token"], 0
                else:
                    last = max(message.get("seq", 0) for message in said)
                    await client.say("session.resume", session=session, token=token, last_seq=last)
                    resumed = await client.until("session.resumed")
                    token, at = resumed["resume"]["token"], resumed["next_sample"]
                while at < len(data) // 2:
                    at = await client.audio(data[: 2 * (at + 16_000)], at)
                    await anyio.sleep(pause)
                await client.say("session.end")
                await client.until("session.final", 60)
        except (ConnectionClosed, AssertionError):
            ends.append(next((m["code"] for m in reversed(said) if m["type"] == "error"), ""))
            await anyio.sleep(0.3)
    return ends


@pytest.mark.parametrize("how", ["hang", "raise"])
async def test_a_fault_of_the_networks_ends_one_connection_and_nothing_is_lost(tmp_path: Path, how: str) -> None:
    faulty = Faulty(how, 4 if how == "raise" else 2)
    ends: dict[str, list[str]] = {}
    said: dict[str, list[dict[str, Any]]] = {name: [] for name in "abc"}
    async with rig(tmp_path, runner=faulty, inference_timeout_s=4.0) as found:

        async def one(name: str) -> None:
            ends[name] = await call(found, loud() if name == "b" else talk(), said[name], 0.05)

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(one, name)
        faulty.release.set()
        value = found.server.host.metrics.registry.get_sample_value
        assert (value("speakrs_worker_restarts_total") or 0) > 0 or how == "raise"
    assert ends["b"] and not ends["a"] and not ends["c"], "the error itself may be lost behind sound that is sent"
    assert set(ends["b"]) <= {"engine_failed", ""}
    for name in "abc":
        heard = [message for message in said[name] if "seq" in message]
        check(heard)
        assert heard[-1]["sha256"]["audio"] == hashlib.sha256(loud() if name == "b" else talk()).hexdigest()


async def test_a_full_disk_costs_time_and_no_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, write = [False], Log.write

    def maybe(self: Log, segment: int, data: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, segment, data)

    monkeypatch.setattr(Log, "write", maybe)
    said: list[dict[str, Any]] = []
    async with rig(tmp_path) as found, anyio.create_task_group() as tasks:

        async def disk() -> None:
            await anyio.sleep(0.3)
            full[0] = True
            await anyio.sleep(1.5)
            full[0] = False

        tasks.start_soon(disk)
        ends = await call(found, talk(), said, 0.1)
    assert ends and set(ends) <= {"storage_full", "engine_failed", ""}
    (failures,) = [times for times, _ in found.server.host._pauses._failed.values()]
    assert failures <= len(ends), "what was on its way when the disk was full counts once, or the next try waits long"
    check([message for message in said if "seq" in message])
    assert said[-1]["sha256"]["audio"] == hashlib.sha256(talk()).hexdigest()


async def test_whoever_fails_again_and_again_waits(tmp_path: Path) -> None:
    async with rig(tmp_path, runner=Faulty("raise")) as found:
        said: list[dict[str, Any]] = []
        async with found.connect() as socket:
            started = await Client(socket, said).start(max_delay_ms=2000)
            await Client(socket, said).audio(loud())
            with pytest.raises(ConnectionClosed):
                while True:
                    said.append(json.loads(await socket.recv()))
        session, token = started["session"], started["resume"]["token"]
        with anyio.fail_after(30):
            while True:
                async with found.connect() as socket:
                    await Client(socket, said).say("session.resume", session=session, token=token)
                    with pytest.raises(ConnectionClosed) as closed:
                        while True:
                            said.append(json.loads(await socket.recv()))
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 4500
                if "again and again" in said[-1]["message"]:
                    break
        assert said[-1]["retry_after_ms"] >= 500 and said[-1]["retryable"]


async def test_a_session_that_is_not_let_go_of_yet_is_asked_for_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        async with found.connect() as socket:
            started = await Client(socket, []).start()
            session, token = started["session"], started["resume"]["token"]
        found.server.host.registry.forget(session)  # as `broke` does, before everything submitted is written
        async with found.connect() as socket:
            await Client(socket, []).say("session.resume", session=session, token=token)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    message = json.loads(await socket.recv())
        assert message["code"] == "engine_failed" and message["retryable"] and message["retry_after_ms"] == 500
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4500


@pytest.mark.parametrize("over", [False, True])
async def test_a_snapshot_that_waited_is_not_written_once_its_session_is_over(tmp_path: Path, over: bool) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        started = await Client(socket).start()
        host = found.server.host
        hosted = host.sessions[started["session"]]
        others = [object() for _ in range(int(host._savers.total_tokens))]
        for other in others:
            await host._savers.acquire_on_behalf_of(other)
        host.save(hosted.id, hosted.journal, Saved(b"x", hosted.journal.input.end, 0, 0))
        await anyio.sleep(0.05)
        assert not list(hosted.journal.snapshots())
        hosted.over = over
        for other in others:
            host._savers.release_on_behalf_of(other)
        with anyio.move_on_after(0.3 if over else 60):
            while not list(hosted.journal.snapshots()):  # noqa: ASYNC110 - a test waits for a thread
                await anyio.sleep(0.02)
        assert bool(list(hosted.journal.snapshots())) != over
