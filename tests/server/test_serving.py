"""The process: killed at any moment it goes on, told to stop it stops, and what cannot work is said at the start."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from speakrs_server.app import Server
from speakrs_server.serving import golden, reload, running, tls_context
from speakrs_server.settings import Settings
from speakrs_stream.errors import ConfigError, ModelError
from tests.server.checker import check
from tests.server.rig import Client, FakeEngine, engine, fetch, settings, talk

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from speakrs_server import serving
from speakrs_server.settings import Settings
from tests.server.rig import engine, settings
from pathlib import Path
mode, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
opened = serving.open_engine if mode == "real" else lambda _: engine()
captions = "tests.server.captions.voices:load" if mode == "captions" else ""
chosen = settings(folder, port=port, admin_port=-1, snapshot_interval_s=2, captions=captions)
sys.exit(serving.run(chosen, lambda port: print(port, flush=True), opened))
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Process:
    """A server as a process of its own, on the same port after every start."""

    def __init__(self, folder: Path, mode: str = "fake") -> None:
        self.folder, self.mode, self.port = folder, mode, 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", PROGRAM, self.mode, str(self.folder), str(self.port)]
        with (self.folder.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.close()
        return status

    def close(self) -> None:
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Caller:
    """A client that comes back until its session is over; forgets audio only once it is durable."""

    def __init__(self, port: int, data: bytes, pace: float = 0.01) -> None:
        """pace: seconds between frames of a tenth of a second"""
        self.port, self.data, self.pace = port, data, pace
        self.session = self.token = ""
        self.heard: list[dict[str, Any]] = []
        self.resumes: list[float] = []
        self.longest = 0
        self.durable = 0

    async def run(self) -> None:
        while not (self.heard and self.heard[-1]["type"] == "session.final"):
            try:
                await self._once()
            except* (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                await anyio.sleep(0.05)

    async def _once(self) -> None:
        began = time.monotonic()
        async with connect(f"ws://127.0.0.1:{self.port}/v1/stream", compression=None, close_timeout=1) as socket:
            client = Client(socket)
            client.heard = self.heard
            at = 0
            if not self.session:
                await client.say("session.start", max_delay_ms=2000)
                started = await client.until("session.started")
                self.session, self.token = started["session"], started["resume"]["token"]
            else:
                last = max(message.get("seq", 0) for message in self.heard)
                await client.say("session.resume", session=self.session, token=self.token, last_seq=last)
                resumed = await client.until("session.resumed")
                self.token, at = resumed["resume"]["token"], resumed["next_sample"]
                self.resumes.append(time.monotonic() - began)
                assert at >= self.durable, "what was acknowledged is there"
            await self._converse(client, at)

    async def _converse(self, client: Client, at: int) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._speak, client, at)
            try:
                while True:
                    message = json.loads(await client.socket.recv())
                    self.heard.append(message)
                    if message["type"] == "audio.ack":
                        self.durable = message["durable"]
                        self.longest = max(self.longest, message["received"] - message["durable"])
                    if message["type"] == "session.final":
                        break
            finally:
                tasks.cancel_scope.cancel()

    async def _speak(self, client: Client, at: int) -> None:
        total = len(self.data) // 2
        try:
            while at < total:
                at = await client.audio(self.data[: 2 * min(at + 1600, total)], at)
                await anyio.sleep(self.pace)
            await client.say("session.end", last_sample=total)
        except ConnectionClosed:
            return


async def killed(
    folder: Path, data: bytes, *, mode: str, callers: int, kills: int, pause: float, pace: float
) -> Caller:
    """Several callers, a server that is killed again and again, and what must hold afterwards; the undisturbed one."""
    (folder / "x").mkdir()
    process = await anyio.to_thread.run_sync(Process, folder / "x", mode)
    alone = Caller(process.port, data)
    await alone.run()
    undisturbed = alone.heard[-1]
    everybody = [Caller(process.port, data, pace) for _ in range(callers)]
    chance = random.Random(5)
    done = 0
    async with anyio.create_task_group() as tasks:
        for caller in everybody:
            tasks.start_soon(caller.run)
        while done < kills and not all(c.heard and c.heard[-1]["type"] == "session.final" for c in everybody):
            await anyio.sleep(pause * chance.uniform(0.3, 1.0))
            process.kill()
            await anyio.to_thread.run_sync(process.start)
            done += 1
    assert process.stop() == 0
    for caller in everybody:
        final = caller.heard[-1]
        check([m for m in caller.heard if "seq" in m])
        assert final["sha256"]["audio"] == hashlib.sha256(data).hexdigest()
        assert final["rttm"].replace(caller.session, "X") == undisturbed["rttm"].replace(alone.session, "X")
        assert said(caller) == said(alone)
    waits = [wait for caller in everybody for wait in caller.resumes]
    sys.stdout.write(f"{done} kills, {len(waits)} resumes, p95 {np.percentile(waits or [0], 95):.3f} s\n")
    assert done and waits
    return alone


def said(caller: Caller) -> list[tuple[str, int, str]]:
    """Settled words: id, start and speaker; each was told once."""
    final = [m for m in caller.heard if m["type"] == "words.labelled" and m["status"] == "final"]
    words = [(word["id"], word["start_ms"], word["speaker"]) for message in final for word in message["words"]]
    assert len({name for name, *_ in words}) == len(words)
    return sorted(words)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_word_comes_once_whenever_the_server_is_killed(tmp_path: Path) -> None:
    caller = await killed(tmp_path, talk(), mode="captions", callers=2, kills=12, pause=2.5, pace=0.1)
    assert [(start, speaker) for _, start, speaker in said(caller)] == [
        (500, "S1"),
        (4500, "S2"),
        (8500, "S1"),
        (12500, "S2"),
        (15500, "S1"),
    ]
    assert "word at" not in (tmp_path / "server.log").read_text()


async def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    await killed(tmp_path, talk(), mode="fake", callers=2, kills=3, pause=1.0, pace=0.01)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_kills_with_the_real_networks(tmp_path: Path) -> None:
    import soundfile

    sound, rate = soundfile.read(ROOT / "speakrs_stream" / "demo" / "meeting.flac", dtype="int16", frames=75 * 16_000)
    assert rate == 16_000
    await killed(tmp_path, sound.tobytes(), mode="real", callers=4, kills=50, pause=1.5, pace=0.1)


async def test_told_to_stop_it_stops_and_the_next_goes_on(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    process = await anyio.to_thread.run_sync(Process, tmp_path / "x")
    caller = Caller(process.port, talk())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.run)
        await anyio.sleep(0.7)
        began = time.monotonic()
        assert await anyio.to_thread.run_sync(process.stop) == 0
        assert time.monotonic() - began < 25
        await anyio.to_thread.run_sync(process.start)
    codes = [message["code"] for message in caller.heard if message["type"] == "error"]
    assert codes == ["draining"]
    check([m for m in caller.heard if "seq" in m])
    assert process.stop() == 0
    log = (tmp_path / "server.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"listening", "session started", "session resumed", "draining"} <= {line["event"] for line in lines}
    assert caller.token not in log


async def test_keys_are_read_again(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann view ann-token-0123456789\n", encoding="utf-8")
    server = Server(settings(tmp_path, tokens_file=str(tokens)), engine())
    async with running(server) as (port, _):
        target, headers = f"/v1/sessions/{'0' * 26}", {"Authorization": "Bearer bob-token-0123456789"}
        assert (await fetch(port, target, **headers))[0] == 401
        tokens.write_text("bob view bob-token-0123456789\n", encoding="utf-8")
        reload(server)
        assert (await fetch(port, target, **headers))[0] == 404
        tokens.write_text("nonsense\n", encoding="utf-8")
        reload(server)
        assert (await fetch(port, target, **headers))[0] == 404, "what cannot be used is not taken"


def test_what_cannot_work_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="certificate"):
        tls_context(Settings(tls_cert="absent.pem", tls_key="absent.pem"))
    with pytest.raises(ConfigError, match="JSON Web Tokens"):
        Server(settings(tmp_path, jwt_secret_file=str(tmp_path / "absent")), engine())
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ConfigError, match="32 bytes"):
        Server(settings(tmp_path, jwt_secret_file=str(tmp_path / "short")), engine())


async def test_networks_that_answer_nonsense_do_not_start(tmp_path: Path) -> None:
    golden(engine())
    broken = FakeEngine()
    broken.networks.segment = lambda windows: np.zeros((1, 589, 7), np.float32)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="add up"):
        golden(broken)
    with pytest.raises(ExceptionGroup) as caught:
        async with running(Server(settings(tmp_path), broken)):
            raise AssertionError("it must not listen")
    assert caught.group_contains(ModelError)
    assert os.listdir(tmp_path / "sessions") == []
