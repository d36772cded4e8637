"""What is answered before there is a WebSocket: hosts, origins, tokens, health."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from websockets.exceptions import InvalidStatus

from speakrs_server.schema import asyncapi, schema
from tests.server.rig import Client, fetch, rig
from tests.server.test_routes import TRAVERSALS

pytestmark = pytest.mark.anyio
TOKENS = "ann ingest,view ann-token-0123456789\nbob ingest,view bob-token-0123456789\neve view eve-token-0123456789\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tokens(folder: Path) -> str:
    path = folder / "tokens"
    path.write_text(TOKENS, encoding="utf-8")
    return str(path)


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-token-0123456789"}


async def test_health_and_documents(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        assert (await found.get("/healthz"))[2] == b'{"status": "Healthy"}\n'
        status, headers, body = await found.get("/readyz")
        assert (status, body) == (200, b'{"status": "Ready"}\n')
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert json.loads((await found.get("/v1/asyncapi.json"))[2]) == json.loads(json.dumps(asyncapi()))
        assert json.loads((await found.get("/v1/schema.json"))[2]) == json.loads(json.dumps(schema()))
        assert (await fetch(found.admin, "/metrics"))[0] == 200
        assert (await fetch(found.admin, "/v1/stream"))[0] == 404
        assert (await found.get("/metrics"))[0] == 404
        assert (await found.get("/v1/stream"))[0] == 426


async def test_hosts_and_origins(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        assert (await found.get("/healthz", Host="evil.example"))[0] == 403
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{found.port}.evil.example"):
            with pytest.raises(InvalidStatus) as caught:
                async with found.connect(origin=origin):
                    raise AssertionError("it must not open")
            assert caught.value.response.status_code == 403
        async with found.connect(origin=f"http://127.0.0.1:{found.port}") as socket:
            assert await Client(socket).start()
        async with found.connect(subprotocols=["speakrs.v1"]) as socket:
            assert socket.subprotocol == "speakrs.v1"
        with pytest.raises(InvalidStatus):
            async with found.connect(subprotocols=["speakrs.v9"]):
                raise AssertionError("it must not open")


async def test_no_way_to_files(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        for target in TRAVERSALS[::12]:
            if not set(target) & set("\0 "):
                assert (await found.get(target))[0] == 404


async def test_tokens_by_header_first_message_and_subprotocol(tmp_path: Path) -> None:
    import base64

    hidden = base64.urlsafe_b64encode(b"ann-token-0123456789").decode().rstrip("=")
    async with rig(tmp_path, tokens_file=tokens(tmp_path)) as found:
        async with found.connect(additional_headers=bearer("ann")) as socket:
            await Client(socket).start()
        async with found.connect() as socket:
            await Client(socket).start(token="ann-token-0123456789")
        async with found.connect(subprotocols=["speakrs.v1", f"speakrs.auth.{hidden}"]) as socket:
            assert socket.subprotocol == "speakrs.v1"
            await Client(socket).start()
        kept = b"".join(path.read_bytes() for path in (tmp_path / "sessions").rglob("*") if path.is_file())
        assert b"ann-token" not in kept, "no token is written down"


async def test_who_is_kept_out(tmp_path: Path) -> None:
    async with rig(tmp_path, tokens_file=tokens(tmp_path)) as found:
        for headers, status in (
            ({"Authorization": "Bearer wrong-token-0123456789"}, 401),
            ({"Authorization": "Basic YW5uOng="}, 401),
            (bearer("eve"), 403),
        ):
            with pytest.raises(InvalidStatus) as caught:
                async with found.connect(additional_headers=headers):
                    raise AssertionError("it must not open")
            assert caught.value.response.status_code == status
        async with found.connect("/v1/stream?token=ann-token-0123456789") as socket:
            await socket.send('{"type":"session.start"}')
            assert json.loads(await socket.recv())["code"] == "unauthorized"
        for token in ("wrong-token-0123456789", "eve-token-0123456789"):
            async with found.connect() as socket:
                await socket.send(json.dumps({"type": "session.start", "token": token}))
                assert json.loads(await socket.recv())["code"] in ("unauthorized", "forbidden")


async def test_sessions_belong_to_somebody(tmp_path: Path) -> None:
    async with rig(tmp_path, tokens_file=tokens(tmp_path)) as found:
        async with found.connect(additional_headers=bearer("ann")) as socket:
            session = (await Client(socket).start())["session"]
            target = f"/v1/sessions/{session}"
            assert (await found.get(target))[0] == 401
            assert (await found.get(target, **bearer("ann")))[0] == 200
            assert (await found.get(target, **bearer("bob")))[0] == 404
            assert (await found.get(target.replace(session, "0" * 26), **bearer("ann")))[0] == 404
            assert (await found.get(f"{target}/result.rttm", **bearer("ann")))[0] == 409
            assert (await found.get(f"{target}/result.rttm?pass=live", **bearer("ann")))[0] == 200
            async with found.connect(f"{target}/events", additional_headers=bearer("bob")) as viewer:
                await viewer.send('{"type":"session.view"}')
                assert json.loads(await viewer.recv())["code"] == "unknown_session"


async def test_a_session_is_shared_with_viewers(tmp_path: Path) -> None:
    async with rig(tmp_path, tokens_file=tokens(tmp_path)) as found:
        async with found.connect(additional_headers=bearer("ann")) as socket:
            client = Client(socket)
            session = (await client.start())["session"]
            await client.say("session.share")
            token = (await client.until("session.shared"))["token"]
            path = f"/v1/sessions/{session}"
            async with found.connect(f"{path}/events") as viewer:
                await viewer.send(json.dumps({"type": "session.view", "token": token}))
                assert json.loads(await viewer.recv())["type"] == "session.started"
                await viewer.send('{"type":"session.share"}')
                await Client(viewer).until("snapshot")
                assert json.loads(await viewer.recv())["code"] == "forbidden"
            live = f"{path}/result.rttm?pass=live"
            assert (await found.get(live, Authorization=f"Bearer {token}"))[0] == 200
            other = (await found.get(path.replace(session, "0" * 26), Authorization=f"Bearer {token}"))[0]
            assert other == 404
            for first in ({"type": "session.start", "token": token}, {"type": "session.resume", "token": token}):
                async with found.connect() as thief:
                    await thief.send(json.dumps({"session": session} | first))
                    assert json.loads(await thief.recv())["code"] in ("forbidden", "unauthorized")
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start()
        await client.say("session.share")
        assert "token" not in await client.until("session.shared"), "none is needed"


async def test_strange_requests_do_no_harm(tmp_path: Path) -> None:
    requests = [
        b"POST /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 100,
    ]
    async with rig(tmp_path) as found:
        for request in requests:
            stream = await anyio.connect_tcp("127.0.0.1", found.port)
            async with stream:
                await stream.send(request)
                with anyio.move_on_after(1):
                    try:
                        assert not (await stream.receive()).startswith(b"HTTP/1.1 200")
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        continue
        assert (await found.get("/healthz"))[0] == 200
