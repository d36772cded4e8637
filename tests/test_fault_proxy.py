"""The proxy that breaks connections: each kind of fault does what it says, and nothing else."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fault_proxy import KINDS, Fault, FaultProxy, Kind, scripted

pytestmark = pytest.mark.anyio
LONG = b"x" * 50_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")
        await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def through(fault: Fault, data: bytes = LONG) -> tuple[bytes, str, float, list[Fault]]:
    """What comes back, how it ended, the seconds it took, and the faults that happened."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    began, came, end = time.monotonic(), b"", "closed"
    async with FaultProxy(server.sockets[0].getsockname()[1], iter([fault])) as proxy:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

            async def speak() -> None:
                for at in range(0, len(data), 1000):
                    writer.write(data[at : at + 1000])
                    await writer.drain()
                writer.write_eof()

            speaking = asyncio.ensure_future(speak())
            while piece := await asyncio.wait_for(reader.read(4096), 10):
                came += piece
        except ConnectionError:
            end = "reset"
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            writer.close()
        struck = list(proxy.struck)
    server.close()
    return came, end, time.monotonic() - began, struck


async def test_without_a_fault_everything_passes() -> None:
    came, end, _, struck = await through(Fault())
    assert (came, end, struck) == (LONG + b"bye", "closed", [])


@pytest.mark.parametrize("kind", ["drop", "reset", "refuse", "black_hole", "trickle", "half_close"])
async def test_what_breaks_breaks(kind: Kind) -> None:
    came, end, took, struck = await through(Fault(kind, after=20_000, seconds=0.3))
    assert [one.kind for one in struck] == [kind]
    assert len(came) < len(LONG), "not all of it comes back"
    if kind in ("reset", "refuse"):
        assert end == "reset"
    if kind in ("black_hole", "trickle"):
        assert took >= 0.25
    if kind == "half_close":
        assert came.endswith(b"bye"), "the server was told that no more comes, and could still answer"


async def test_a_delay_delays_and_loses_nothing() -> None:
    came, end, took, _ = await through(Fault("delay", after=40_000, seconds=0.05))
    assert (came, end) == (LONG + b"bye", "closed")
    assert took >= 0.05


async def test_cut_resets_everybody() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.read(5) == b"hello"
        proxy.cut()
        with pytest.raises(ConnectionError):
            await reader.read(5)
        writer.close()
    server.close()


def test_scripts_hold_every_kind_and_repeat() -> None:
    first, again = list(scripted(70, 3)), list(scripted(70, 3))
    assert first == again
    assert {fault.kind for fault in first} == set(KINDS) - {"none"}
