"""One socket: what is malformed, slow or silent ends in the right way, and harms nobody else."""

from __future__ import annotations

import json
import socket as sockets
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed

from speakrs_server import frames, messages
from tests.server.rig import Client, Rig, raw, rig, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def end_of(found: Rig, *said: str | bytes, started: bool = True, **start: Any) -> tuple[str, int]:
    """Code of the error, and close code, that what is said leads to."""
    async with found.connect() as socket:
        if started:
            await Client(socket).start(**start)
        code, last = "", 0
        with anyio.fail_after(60):
            try:
                for message in said:
                    await socket.send(message)
                while True:
                    heard = json.loads(await socket.recv())
                    if heard["type"] == "error":
                        code = heard["code"]
            except ConnectionClosed as closed:
                last = closed.rcvd.code if closed.rcvd else 1006
        return code, last


FRAME = frames.pack(b"\0\0" * 100, 0)


@pytest.mark.parametrize(
    ("said", "started", "expected"),
    [
        (["nonsense"], True, ("bad_message", 4400)),
        (["nonsense"], False, ("bad_message", 4400)),
        ([FRAME], False, ("bad_message", 4400)),
        (['{"type":"session.end"}'], False, ("bad_message", 4400)),
        (['{"type":"session.start"}'], True, ("bad_message", 4400)),
        (['{"type":"session.resume","session":"0","token":"x"}'], False, ("bad_message", 4400)),
        ([json.dumps({"type": "session.resume", "session": "0" * 26, "token": "x"})], False, ("unauthorized", 4401)),
        ([b""], True, ("bad_message", 4400)),
        ([b"\7" * 40], True, ("bad_message", 4400)),
        ([frames.pack(b"\0\0", 5)], True, ("audio_gap", 4423)),
        ([frames.pack(b"\0\0\0", 0)], True, ("unsupported_audio", 4415)),
        ([frames.pack(b"\0\0" * 16_001, 0)], True, ("frame_too_large", 4413)),
        ([b"\1" * 70_000], True, ("", 1009)),
        (["x" * 70_000], True, ("", 1009)),
        ([FRAME, '{"type":"session.end","last_sample":99}'], True, ("audio_gap", 4423)),
        (['{"type":"ping"}'] * 100, True, ("too_fast", 4429)),
    ],
    ids=range(16),
)
async def test_what_is_malformed(tmp_path: Path, said: list[str | bytes], started: bool, expected: Any) -> None:
    async with rig(tmp_path) as found:
        assert await end_of(found, *said, started=started) == expected
        assert (await found.get("/healthz"))[0] == 200


async def test_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    async with rig(tmp_path, hello_timeout_s=0.2, idle_s=0.6) as found:
        assert await end_of(found, started=False) == ("hello_timeout", 4408)
        assert await end_of(found) == ("idle", 4440)


async def test_a_gap_that_is_declared_becomes_silence(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start()
        await socket.send(frames.pack(raw(1600), 0))
        await socket.send(frames.pack(raw(1600), 16_000, discontinuity=True))
        assert (await client.until("warning"))["code"] == "audio_gap"
        await client.say("session.end")
        assert (await client.until("session.final"))["audio_ms"] == 1100


async def test_heartbeats_and_acks(tmp_path: Path) -> None:
    async with rig(tmp_path, heartbeat_s=0.3) as found, found.connect() as socket:
        client = Client(socket)
        await client.start()
        await client.audio(raw(32_000))
        beat = await client.until("heartbeat")
        assert beat["received_ms"] == 2000 and abs(beat["t"] / 1000 - time.time()) < 60
        ack = await client.until("audio.ack")
        assert ack["durable"] == ack["received"] == 32_000


def aborts(found: Rig) -> float:
    """Connections aborted because they took no data."""
    return found.server.host.metrics.registry.get_sample_value("speakrs_slow_consumer_aborts_total") or 0.0


async def test_a_client_that_stops_reading_is_aborted_and_harms_nobody(tmp_path: Path) -> None:
    with ExitStack() as stalled:
        async with rig(tmp_path, send_timeout_s=0.5, heartbeat_s=0.001) as found:
            async with found.connect() as feeder:
                client = Client(feeder)
                session = (await client.start(max_delay_ms=2000))["session"]
                key = "dGhlIHNhbXBsZSBub25jZQ=="
                for _ in range(10):
                    one = stalled.enter_context(sockets.socket())
                    one.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
                    one.connect(("127.0.0.1", found.port))
                    one.setblocking(False)
                    fields = [f"GET /v1/sessions/{session}/events HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket"]
                    fields += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
                    one.sendall("\r\n".join(fields).encode())
                    await anyio.sleep(0.02)
                    text = b'{"type":"session.view","provisional":true}'
                    one.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
                hosted = found.server.host.sessions[session]
                with anyio.fail_after(60):
                    while len(hosted.listeners) < 11:  # noqa: ASYNC110
                        await anyio.sleep(0.01)
                assert found.server.connections == 11
                for listener in hosted.listeners[1:]:  # far more than any socket buffers
                    for _ in range(60):
                        listener.outbox.put(messages.Warn(code="test", message="x" * 200_000))
                    listener.wake()
                await client.audio(talk())
                with anyio.fail_after(60):  # a session that is over lets go of whoever is left, uncounted
                    while aborts(found) < 10:  # noqa: ASYNC110
                        await anyio.sleep(0.05)
                await client.say("session.end")
                await client.until("session.final")
                with anyio.fail_after(60):
                    while found.server.connections > 1:  # noqa: ASYNC110
                        await anyio.sleep(0.05)
            assert aborts(found) == 10


async def test_stalled_clients_do_not_hold_up_the_end(tmp_path: Path) -> None:
    began = 0.0
    async with rig(tmp_path, send_timeout_s=60) as found:
        streams = []
        for _ in range(20):
            one = await anyio.connect_tcp("127.0.0.1", found.port)
            await one.send(
                b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            streams.append(one)
        await anyio.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 8
    for one in streams:
        await one.aclose()
