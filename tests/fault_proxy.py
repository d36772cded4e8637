"""A local TCP proxy that breaks connections on purpose, for tests and benchmarks of servers and clients.

    faults = iter([Fault("reset", after=20_000), Fault("black_hole", after=5_000, seconds=2.0)])
    async with FaultProxy(server_port, faults) as proxy:
        ...  # connect to proxy.port; the first connection takes the first fault, later ones none

A fault strikes once `after` bytes have passed in both directions together. `proxy.struck` lists those that did, and
`proxy.cut()` resets every connection at once. What each kind does:

* `none`: nothing.
* `refuse`: the connection is reset as soon as it is there.
* `delay`: every piece from then on waits `seconds`.
* `drop`: both sides are closed in order.
* `half_close`: the server is told that no more comes; what it says still reaches the client for `seconds`.
* `reset`: both sides get an RST.
* `trickle`: at most `rate` bytes per second from then on, for `seconds`; then an RST.
* `black_hole`: nothing passes for `seconds`, as on a network that is gone; then an RST.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self, get_args

Kind = Literal["none", "refuse", "delay", "drop", "half_close", "reset", "trickle", "black_hole"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PIECE = 4_096


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection."""

    kind: Kind = "none"
    """See above."""
    after: int = 0
    """Bytes, both directions together, that pass before it strikes."""
    seconds: float = 0.5
    """How long it lasts, or how long every piece waits."""
    rate: int = 1_000
    """Bytes per second of `trickle`."""


def scripted(count: int, seed: int = 1, *, most: int = 60_000, seconds: float = 1.0) -> Iterator[Fault]:
    """So many faults of all kinds in turn, with places and lengths at random; the same for the same seed."""
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if kind != "none"]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        lasts = chance.uniform(0.01, 0.05) if kind == "delay" else chance.uniform(0.1, seconds)
        yield Fault(kind, chance.randrange(0, most), lasts, chance.choice((500, 1_000, 4_000)))


class _Broken(Exception):
    """The fault ends the connection with a reset."""


class _Link:
    """One connection through the proxy."""

    def __init__(self, fault: Fault, proxy: FaultProxy) -> None:
        self.fault, self.proxy = fault, proxy
        self.passed = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.until: float | None = None
        self.struck = asyncio.Event()

    def reset(self) -> None:
        """An RST to both sides."""
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """Pass on one direction; `up` is from the client to the server."""
        while data := await reader.read(PIECE):
            if self.passed >= self.fault.after and self.fault.kind != "none":
                await self._strike(len(data), writer, up=up)
                if self.struck.is_set() and self.fault.kind == "half_close" and up:
                    continue  # the client goes on talking; nobody hears it
            self.passed += len(data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _strike(self, size: int, writer: asyncio.StreamWriter, *, up: bool) -> None:
        now = asyncio.get_running_loop().time()
        if not self.struck.is_set():
            self.struck.set()
            self.until = now + self.fault.seconds
            self.proxy.struck.append(self.fault)
        left = (self.until or now) - now
        match self.fault.kind:
            case "delay":
                await asyncio.sleep(self.fault.seconds)
            case "drop":
                for one in self.writers:
                    one.close()
                raise _Broken
            case "reset" | "refuse":
                raise _Broken
            case "black_hole":
                await asyncio.sleep(left)
                raise _Broken
            case "trickle":
                if left <= 0:
                    raise _Broken
                await asyncio.sleep(min(size / self.fault.rate, left))
            case "half_close":
                if up:
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                if left <= 0:
                    raise _Broken

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Both directions, until either side is done or the fault says so."""
        self.writers.append(writer)
        if self.fault.kind == "refuse":
            self.struck.set()
            self.proxy.struck.append(self.fault)
            return self.reset()
        far_reader, far = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(far)
        up = asyncio.ensure_future(self.pump(reader, far, up=True))
        down = asyncio.ensure_future(self.pump(far_reader, writer, up=False))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
            broken = any(task.done() and task.exception() is not None for task in (up, down))
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        if broken and self.fault.kind != "drop":
            self.reset()
        for one in self.writers:
            one.close()


class FaultProxy:
    """Listens on `port` while it is entered; passes everything to another port of this machine."""

    def __init__(self, target: int, faults: Iterator[Fault] | None = None) -> None:
        """target: port of the server, which may be changed later; faults: one for each connection, then none."""
        self.target = target
        self.faults = faults or iter(())
        self.struck: list[Fault] = []
        """Faults that happened."""
        self.port = 0
        """Where to connect instead of `target`."""
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection that is open now."""
        for link in list(self._links):
            link.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(next(self.faults, Fault()), self)
        task = asyncio.current_task()
        assert task is not None
        self._links.add(link)
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, _Broken, asyncio.CancelledError):
                await link.run(reader, writer, self.target)
        finally:
            for one in link.writers:
                one.close()
            self._links.discard(link)
            self._tasks.discard(task)
