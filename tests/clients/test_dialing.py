"""What it means when there is no connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from speakrs_clients.addresses import address
from speakrs_clients.dialing import NO_SOCKET, dial, loss_of, trusting
from speakrs_clients.losses import Loss
from speakrs_stream.errors import ConfigError

pytestmark = pytest.mark.anyio
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def dialled(answer: Answer, *, tls: bool = False) -> Loss:
    """What is found out about a server that answers so."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        where = address(f"ws{'s' if tls else ''}://127.0.0.1:{port}")
        with pytest.raises(NO_SOCKET) as caught:
            await dial(where, "/v1/stream", {}, ssl.create_default_context() if tls else None)
    return loss_of(caught.value)


def says(text: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text)
        writer.close()

    return answer


async def test_servers_that_are_none_of_ours() -> None:
    assert (await dialled(says(b""))).kind == "handshake"
    assert await dialled(says(b"220 mail.example ESMTP\r\n\r\n")) == Loss(
        "status", 0, "did not receive a valid HTTP response"
    )
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
    assert await dialled(says(page)) == Loss("status", 200, "hello")
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    assert await dialled(says(busy)) == Loss("status", 503, "", 7.0)
    assert (await dialled(says(b""), tls=True)).kind == "tls"
    assert (await dialled(says(b"HTTP/1.1 400 no\r\n\r\n"), tls=True)).kind == "tls"


async def test_nobody_there() -> None:
    for url in ("ws://127.0.0.1:9", "ws://nobody.invalid"):
        with pytest.raises(NO_SOCKET) as caught:
            await dial(address(url), "/v1/stream", {}, None)
        found = loss_of(caught.value)
        assert found.kind == "network" and found.reason


def test_one_address_refuses_like_several() -> None:
    one = OSError(111, "Connect call failed ('127.0.0.1', 9)")
    several = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), [Errno 111] Connect call …"
    )
    assert loss_of(one) == loss_of(several) == Loss("network", reason="connection refused")


def test_certificates_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot use the certificates"):
        trusting(tmp_path / "absent.pem")


def test_errors_in_words() -> None:
    assert loss_of(TimeoutError()) == Loss("network", reason="no answer within 10 s")
    wrong = ssl.SSLCertVerificationError("x")
    wrong.verify_message = "self-signed certificate"
    assert loss_of(wrong) == Loss("certificate", reason="self-signed certificate")
    for asked, wait in (("9999", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)):
        response = Response(429, "slow", Headers({"Retry-After": asked}), b"a\r\nb")
        assert loss_of(InvalidStatus(response)) == Loss("status", 429, "a b", wait)
