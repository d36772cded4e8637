"""Certificates over real sockets: spoken where there is one, read again on request; Host and Origin still count."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

from speakrs_server.serving import reload
from tests.server.rig import Client, rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def issue(authority: trustme.CA, folder: Path) -> dict[str, Any]:
    """A certificate for this machine, as settings."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return {"tls_cert": str(folder / "chain.pem"), "tls_key": str(folder / "key.pem")}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def dial(port: int, authority: trustme.CA, **headers: str) -> connect:
    return connect(
        f"wss://127.0.0.1:{port}/v1/stream",
        ssl=trusting(authority),
        compression=None,
        additional_headers=headers or None,
        close_timeout=1,
    )


async def started(socket: ClientConnection) -> str:
    return str((await Client(socket).start())["session"])


async def test_a_session_over_tls_and_a_new_certificate(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    async with rig(tmp_path / "data", **issue(old, tmp_path)) as found:
        async with dial(found.port, old) as first:
            assert await started(first)
            assert first.transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
            issue(new, tmp_path)
            reload(found.server)
            with pytest.raises(ssl.SSLCertVerificationError):
                async with dial(found.port, old):
                    raise AssertionError("the old certificate is not shown any more")
            async with dial(found.port, new) as second:
                assert await started(second)
            await Client(first).say("ping", id=1)
            assert (await Client(first).until("pong"))["id"] == 1, "who was there stays"
            (tmp_path / "chain.pem").write_text("nonsense", encoding="utf-8")
            reload(found.server)
            async with dial(found.port, new) as third:
                assert await started(third), "what cannot be used is not taken"


async def test_what_is_refused_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with rig(tmp_path / "data", **issue(authority, tmp_path)) as found:
        with pytest.raises((InvalidMessage, InvalidHandshake, OSError, EOFError)):
            async with found.connect():
                raise AssertionError("plain WebSocket is not answered")
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
            with pytest.raises(InvalidStatus) as refused:
                async with dial(found.port, authority, **headers):
                    raise AssertionError("a page of another origin")
            assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                f"wss://evil.example:{found.port}/v1/stream",
                host="127.0.0.1",
                ssl=trusting(authority),
                server_hostname="127.0.0.1",
            ):
                raise AssertionError("another host")
        assert refused.value.response.status_code == 403
        async with dial(found.port, authority, Origin=f"https://127.0.0.1:{found.port}") as own:
            assert await started(own)
