"""Many clients in one light process: all send the same frames, made once, and check what they are told.

A client library would cost the measuring side as much as the server; here a frame is one write to a socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.server_load import RATE, masked
from speakrs_server import frames

TICK = 0.005
"""Seconds between looks at who has to send."""


class Told(msgspec.Struct):
    """What is looked at of a message."""

    type: str
    seq: int | None = None
    code: str | None = None
    end_ms: int | None = None
    durable: int | None = None
    sha256: dict[str, str] | None = None


class Sound:
    """Frames as they go over the wire, and what all of them are."""

    def __init__(self, data: bytes, frame_ms: int) -> None:
        """data: 16-bit mono samples at 16 kHz."""
        size = 2 * frame_ms * RATE // 1000
        self.frame_ms = frame_ms
        self.frames = [masked(2, frames.pack(data[at : at + size], at // 2)) for at in range(0, len(data), size)]
        self.digest = hashlib.sha256(data).hexdigest()
        self.samples = len(data) // 2


class Feeder(asyncio.Protocol):
    """One session over one connection; nothing may end it early."""

    def __init__(self, sound: Sound, start: dict[str, Any]) -> None:
        """start: what `session.start` asks for."""
        self.sound, self._start = sound, start
        self.whole = False
        """Whether the session is over, with all of its sound and every message once."""
        self.ends: Counter[str] = Counter()
        """What went wrong."""
        self.acks: list[float] = []
        """Seconds from a frame being sent to it being acknowledged as durable."""
        self.events: list[float] = []
        """Seconds from the last sound of a turn being sent to the message about it."""
        self.ready, self.done = asyncio.Event(), asyncio.Event()
        """Set when the session may be spoken to, or never will; and when the connection is closed."""
        self.late = 0.0
        """Seconds that a frame was sent too late, at most."""
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._upgraded = False
        self._began: float | None = None  # when its first frame was due
        self._sent: list[float] = []  # when each frame was
        self._acked = 0  # frames
        self._seq = 0

    # -- sending ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        lines = ("GET /v1/stream HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        transport.write("\r\n".join([*lines, key, "Sec-WebSocket-Version: 13", "", ""]).encode())

    def begin(self, at: float) -> None:
        """Speak from a time on (`time.monotonic`)."""
        self._began = at

    def send(self, now: float) -> None:
        """The frames that are due."""
        if self._began is None or self._transport.is_closing():
            return
        frames_, every = self.sound.frames, self.sound.frame_ms / 1000
        while len(self._sent) < len(frames_) and (due := self._began + len(self._sent) * every) <= now:
            self._transport.write(frames_[len(self._sent)])
            self._sent.append(now)
            self.late = max(self.late, now - due)
            if len(self._sent) == len(frames_):
                end = {"type": "session.end", "last_sample": self.sound.samples}
                self._transport.write(masked(1, json.dumps(end).encode()))

    # -- hearing ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Frames of the server: short, whole and without a mask."""
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.ends[head.split(b"\r\n")[0].decode()] += 1
                self._transport.close()
                return
            self._upgraded, self._buffer = True, rest
            self._transport.write(masked(1, json.dumps({"type": "session.start", **self._start}).encode()))
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1], 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + size:
            return None
        opcode, payload = buffer[0] & 0x0F, bytes(buffer[at : at + size])
        del buffer[: at + size]
        return opcode, payload

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self._transport.write(masked(10, payload))
        elif opcode == 8:
            if not self.whole:
                self.ends[f"close {int.from_bytes(payload[:2], 'big')}"] += 1
            self._transport.close()
        elif opcode == 1:
            self._heard(msgspec.json.decode(payload, type=Told), time.monotonic())

    def _heard(self, told: Told, now: float) -> None:
        if told.seq is not None:
            if told.seq != self._seq + 1:
                self.ends["gap in messages"] += 1
            self._seq = told.seq
        match told.type:
            case "session.started":
                self.ready.set()
            case "audio.ack":
                reached = (told.durable or 0) * 1000 // RATE // self.sound.frame_ms
                self.acks += [now - at for at in self._sent[self._acked : reached]]
                self._acked = max(self._acked, reached)
            case "turn.provisional" | "turn.final" if told.end_ms is not None:
                last = min(-(-told.end_ms // self.sound.frame_ms), len(self._sent)) - 1
                self.events.append(now - self._sent[last])
            case "error":
                self.ends[f"error {told.code}"] += 1
            case "session.final":
                self.whole = told.sha256 is not None and told.sha256["audio"] == self.sound.digest

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if not self.whole and not self.ends:
            self.ends[type(exc).__name__ if exc else "cut off"] += 1
        self.ready.set()
        self.done.set()


async def feed(feeders: Sequence[Feeder], port: int, at_once: int = 20) -> float:
    """Open all sessions, then let all of them speak, and wait until they are through; the seconds that opening took.

    at_once: connections that are opened at a time
    """
    loop, began, turn = asyncio.get_running_loop(), time.monotonic(), asyncio.Semaphore(at_once)

    async def connect(feeder: Feeder) -> None:
        async with turn:
            await loop.create_connection(lambda: feeder, "127.0.0.1", port)
            await feeder.ready.wait()

    await asyncio.gather(*(connect(feeder) for feeder in feeders))
    opened = time.monotonic()
    for number, feeder in enumerate(feeders):  # spread, as people are
        feeder.begin(opened + feeder.sound.frame_ms / 1000 * number / len(feeders))
    while not all(feeder.done.is_set() for feeder in feeders):
        now = time.monotonic()
        for feeder in feeders:
            feeder.send(now)
        await asyncio.sleep(TICK)
    return opened - began
