"""Clients for load and faults: many callers that come back, readers that stall, half-open connections."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from speakrs_server import frames

RATE = 16_000


@dataclass(slots=True, eq=False)
class Caller:
    """One client: sends sound at a pace, comes back when it is cut off, keeps what it is told."""

    port: int
    """Of the server, or of a proxy in front of it."""
    data: bytes
    """16-bit mono samples at 16 kHz."""
    frame_ms: int = 100
    """Sound in one frame."""
    speed: float = 1.0
    """Times real time; 0 for as fast as it goes."""
    start: dict[str, Any] = field(default_factory=dict)
    """What `session.start` asks for."""
    keep: bool = True
    """Whether all messages are kept; figures are in any case."""
    patience: float = 20.0
    """Seconds without a word from the server after which the connection is given up."""
    say: list[dict[str, Any]] = field(default_factory=list)
    """Messages to send beside the sound, once each."""
    session: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] | None = None
    latencies: list[int] = field(default_factory=list)
    """Milliseconds of each final turn."""
    acks: list[float] = field(default_factory=list)
    """Seconds from a frame being sent to it being acknowledged as durable."""
    ends: Counter[str] = field(default_factory=Counter)
    """How connections ended."""
    resumes: int = 0
    last_seq: int = 0
    gaps: int = 0
    """Durable messages that were missing, or came twice."""
    durable: int = 0
    """Samples that were acknowledged."""
    lost: int = 0
    """Acknowledged samples that the server asked for again."""
    _token: str = ""
    _sent: list[tuple[int, float]] = field(default_factory=list)

    async def run(self, until: float = float("inf")) -> None:
        """Until the session is over, or the clock (`time.monotonic`) reaches `until`."""
        while self.final is None and time.monotonic() < until:
            try:
                await self._once(until)
            except* (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage) as group:
                self.ends[_name(group)] += 1
                await anyio.sleep(0.1 if self.final is None else 0)

    async def _once(self, until: float) -> None:
        address = f"ws://127.0.0.1:{self.port}/v1/stream"
        if self.session:
            address += f"?resume={self.session}"
        async with connect(address, compression=None, close_timeout=0.5, open_timeout=10, ping_interval=None) as ws:
            if self.session:
                asked = {"session": self.session, "token": self._token, "last_seq": self.last_seq}
                await ws.send(json.dumps({"type": "session.resume", **asked}))
            else:
                await ws.send(json.dumps({"type": "session.start", **self.start}))
            at = await self._opened(ws)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._speak, ws, at, until)
                while self.final is None and time.monotonic() < until:
                    with anyio.fail_after(self.patience):
                        self._take(json.loads(await ws.recv()))
                tasks.cancel_scope.cancel()

    async def _opened(self, ws: ClientConnection) -> int:
        while True:
            with anyio.fail_after(self.patience):
                message = json.loads(await ws.recv())
            self._take(message)
            if message["type"] == "session.started":
                return 0
            if message["type"] == "session.resumed":
                self.resumes += 1
                self._token = message["resume"]["token"]
                at = int(message["next_sample"])
                self.lost += max(self.durable - at, 0)
                self._sent = [entry for entry in self._sent if entry[0] > at]
                return at

    async def _speak(self, ws: ClientConnection, at: int, until: float) -> None:
        size, total = self.frame_ms * RATE // 1000, len(self.data) // 2
        began, first = time.monotonic(), at
        try:
            while at < total and time.monotonic() < until:
                end = min(at + size, total)
                if self.speed:
                    await anyio.sleep(max(began + (end - first) / RATE / self.speed - time.monotonic(), 0))
                await ws.send(frames.pack(self.data[2 * at : 2 * end], at))
                self._sent.append((end, time.monotonic()))
                while self.say:
                    await ws.send(json.dumps(self.say.pop(0)))
                at = end
            if at >= total:
                await ws.send(json.dumps({"type": "session.end", "last_sample": total}))
        except ConnectionClosed:
            return

    def _take(self, message: dict[str, Any]) -> None:
        if self.keep:
            self.heard.append(message)
        if (seq := message.get("seq")) is not None:
            self.gaps += seq != self.last_seq + 1
            self.last_seq = seq
        match message["type"]:
            case "session.started":
                self.session, self._token = message["session"], message["resume"]["token"]
            case "turn.final" if message.get("latency_ms") is not None:
                self.latencies.append(message["latency_ms"])
            case "audio.ack":
                now = time.monotonic()
                self.durable = message["durable"]
                while self._sent and self._sent[0][0] <= self.durable:
                    self.acks.append(now - self._sent.pop(0)[1])
            case "error":
                self.ends[f"error {message['code']}"] += 1
            case "session.final":
                self.final = message

    @property
    def whole(self) -> bool:
        """Whether the session is over, with all of its sound and every message once."""
        return (
            self.final is not None
            and self.final["sha256"]["audio"] == hashlib.sha256(self.data).hexdigest()
            and self.gaps == 0
            and self.lost == 0
        )


def _name(group: BaseExceptionGroup[Any]) -> str:
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _name(first)
    if isinstance(first, ConnectionClosed):
        return f"close {first.rcvd.code if first.rcvd else 1006}"
    return type(first).__name__


class Stalled:
    """A viewer, or somebody who sends, that stops reading once it is in; a plain socket that is never read again."""

    def __init__(self, port: int, path: str, first: str) -> None:
        """first: message that lets it in."""
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        lines = (f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade")
        head = "\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""])
        self.socket.sendall(head.encode())
        assert b"101" in self.socket.recv(4096).split(b"\r\n")[0]
        self.socket.sendall(masked(0x1, first.encode()))
        self.began = time.monotonic()

    def send(self, data: bytes) -> bool:
        """A binary frame; whether the connection still takes it."""
        try:
            self.socket.setblocking(False)
            return self.socket.send(masked(0x2, data)) > 0
        except BlockingIOError:
            return True
        except OSError:
            return False

    def gone(self) -> bool:
        """Whether the server has aborted the connection. Nothing is read: a socket that has data stays stalled."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] != 1  # TCP_ESTABLISHED

    def close(self) -> None:
        """Let go."""
        self.socket.close()


def masked(opcode: int, data: bytes) -> bytes:
    """A client's frame with a mask of zeros."""
    size = len(data)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + data


def half_open(port: int, count: int) -> list[socket.socket]:
    """Connections that begin a request and never end it."""
    found = []
    for _ in range(count):
        try:
            one = socket.create_connection(("127.0.0.1", port), 2)
            one.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            found.append(one)
        except OSError:
            break
    return found
