"""A server on a free port with networks that recognise made-up voices, and a plain client to talk to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from speakrs_server import frames
from speakrs_server.app import Server
from speakrs_server.serving import running
from speakrs_server.settings import Settings
from speakrs_server.worker import Runner
from speakrs_stream.audio.pcm import encode
from speakrs_stream.engine import Engine
from speakrs_stream.inference.fake import FakeBackend, fake_bundle, script, speak

TALK = "A 0.5-4, B 4.5-8, A 8.5-12, B 12.5-15, A 15.5-19"


class FakeEngine(Engine):
    """An engine whose networks are functions."""

    def __init__(self) -> None:
        from speakrs_stream.engine import pipeline_config, speaker_model
        from speakrs_stream.inference.networks import Networks

        self.bundle = fake_bundle()
        self.model = speaker_model(self.bundle)
        self.config = pipeline_config(self.bundle, None, None)
        self.backend_name = "fake"
        self.networks = Networks(self.bundle, FakeBackend(), threads=1)


@cache
def engine() -> Engine:
    """The engine that tests share."""
    return FakeEngine()


@cache
def talk(text: str = TALK) -> bytes:
    """A conversation as 16-bit samples at 16 kHz."""
    return encode(speak(script(text)), "pcm_s16le")


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings for a test: a free port, no waiting."""
    base: dict[str, Any] = {"port": 0, "admin_port": 0, "data_dir": str(folder), "disk_reserve_mb": 0}
    base |= {"durability": "written", "commit_interval_ms": 2, "max_rate": 1e6, "max_unacked_ms": 60_000}
    return Settings(**(base | changes))


@dataclass(slots=True)
class Rig:
    """A server that runs."""

    server: Server
    port: int
    admin: int

    def address(self, path: str = "/v1/stream") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def get(self, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a plain request."""
        return await fetch(self.port, target, **headers)

    @asynccontextmanager
    async def connect(self, path: str = "/v1/stream", **options: Any) -> AsyncIterator[ClientConnection]:
        """A socket."""
        async with connect(self.address(path), compression=None, close_timeout=1, **options) as socket:
            yield socket


async def fetch(port: int, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a plain request."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        fields = {"Host": f"127.0.0.1:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        await stream.send("\r\n".join(lines).encode("latin-1"))
        data = b""
        try:
            while True:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}, body


@asynccontextmanager
async def rig(
    folder: Path, *, runner: Runner | None = None, of: Callable[[], Engine] = engine, **changes: Any
) -> AsyncIterator[Rig]:
    """Start a server, and stop it."""
    server = Server(settings(folder, **changes), of(), runner=runner)
    async with running(server) as (port, admin):
        yield Rig(server, port, admin)


@dataclass(slots=True)
class Client:
    """A client that remembers everything it was told."""

    socket: ClientConnection
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str, patience: float = 60) -> dict[str, Any]:
        """The next message of a type; errors that end things are raised."""
        with anyio.fail_after(patience):
            while True:
                message = json.loads(await self.socket.recv())
                self.heard.append(message)
                if message["type"] == kind:
                    return dict(message)
                assert not (message["type"] == "error" and message["fatal"]), message

    async def start(self, **fields: Any) -> dict[str, Any]:
        await self.say("session.start", **fields)
        return await self.until("session.started")

    async def audio(self, data: bytes, offset: int = 0, block: int = 1600) -> int:
        """Send 16-bit mono sound from sample `offset` on; the position after it."""
        total = len(data) // 2
        while offset < total:
            piece = data[2 * offset : 2 * min(offset + block, total)]
            await self.socket.send(frames.pack(piece, offset))
            offset += len(piece) // 2
        return offset

    def durable(self) -> list[dict[str, Any]]:
        """Messages with a number."""
        return [message for message in self.heard if "seq" in message]


def raw(samples: int) -> bytes:
    """Silence, 16 bit."""
    return np.zeros(samples, "<i2").tobytes()
