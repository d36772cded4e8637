"""What is answered before, or instead of, a WebSocket: who may connect, health, results."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response

from speakrs_server import auth
from speakrs_server.auth import Grant
from speakrs_server.codes import ProtocolError, RemoteProtocolError
from speakrs_server.journal import read_messages
from speakrs_server.pages import HEADERS as PAGE
from speakrs_server.pages import assets, takes_gzip
from speakrs_server.results import CONTENT_TYPES
from speakrs_server.routes import Route, route
from speakrs_server.schema import asyncapi, schema
from speakrs_server.status import describe, health, readiness, result, session_info
from speakrs_server.transcript import render_result
from speakrs_stream.diarization import Diarization

if TYPE_CHECKING:
    from speakrs_server.app import Server

STATUS = {"unauthorized": 401, "forbidden": 403, "unknown_session": 404, "version": 400}
"""Code -> HTTP status."""
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def response(status: int, body: str | bytes, kind: str = "text/plain", **headers: str) -> Response:
    """An HTTP response that is closed behind it."""
    data = body.encode() if isinstance(body, str) else body
    text = kind.startswith("text/") or kind.endswith("json")
    fields = {
        "Content-Type": f"{kind}; charset=utf-8" if text else kind,
        "Content-Length": str(len(data)),
        "Connection": "close",
        **SAFE,
        **headers,
    }
    return Response(status, HTTPStatus(status).phrase, Headers(fields), data)


def as_json(status: int, value: Any) -> Response:
    """JSON."""
    return response(status, json.dumps(value) + "\n", "application/json")


def refusal(error: ProtocolError) -> Response:
    """An error of the protocol, before there is a socket to say it over."""
    return response(STATUS.get(error.code.name, 400), f"{error}\n")


def offered(request: Request) -> list[str]:
    """Subprotocols that a client offers."""
    return [name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]


def grant_of(server: Server, request: Request) -> Grant | None:
    """What the request's own token allows; None where it carries none. RemoteProtocolError for a bad one."""
    token = auth.bearer(request.headers.get("Authorization")) or auth.of_subprotocols(offered(request))
    return server.check(token) if token is not None or not server.authenticator.guarded else None


async def process_request(server: Server, connection: ServerConnection, request: Request) -> Response | None:
    """An answer, or None to go on to a WebSocket."""
    try:
        return await _answer(server, connection, request)
    except MultipleValuesError:
        return response(400, "a header stands there twice\n")
    except ProtocolError as error:
        return refusal(error)


async def _answer(server: Server, connection: ServerConnection, request: Request) -> Response | None:
    settings = server.settings
    host = request.headers.get("Host")
    if not auth.host_allowed(host, allowed=settings.host_list, loopback=settings.loopback):
        return response(403, "this is not the host you are looking for\n")
    found = route(request.path)
    match found.kind:
        case "none":
            return response(404, "there is nothing here\n")
        case "healthz":
            state, healthy = health(server)
            return as_json(200 if healthy else 503, {"status": state})
        case "readyz":
            state, ready = readiness(server)
            return as_json(200 if ready else 503, {"status": state})
        case "page":
            return _page(found, ",".join(request.headers.get_all("Accept-Encoding")))
        case "schema" | "asyncapi":
            return as_json(200, schema() if found.kind == "schema" else asyncapi())
    if not auth.origin_allowed(request.headers.get("Origin"), host, settings.origin_list):
        return response(403, "pages of this origin may not connect\n")
    grant = grant_of(server, request)
    if found.kind in ("stream", "events"):
        return _upgrade(server, connection, request, found, grant)
    if grant is None:
        return response(401, "a token is needed\n", **{"WWW-Authenticate": "Bearer"})
    description = describe(server, found.session)
    if description is None or not grant.may("view", description.key, found.session):
        return response(404, "there is no such session\n")
    if found.kind == "session":
        return as_json(200, session_info(server, found.session, description))
    return await _result(server, found)


def _page(found: Route, accepted: str) -> Response:
    asset = assets()[found.asset]
    fields = PAGE | {"Vary": "Accept-Encoding"}
    if takes_gzip(accepted):
        return response(200, asset.packed, asset.kind, **fields, **{"Content-Encoding": "gzip"})
    return response(200, asset.data, asset.kind, **fields)


def _upgrade(
    server: Server, connection: ServerConnection, request: Request, found: Route, grant: Grant | None
) -> Response | None:
    auth.choose_subprotocol(offered(request))
    if server.connections >= server.settings.max_handshakes:
        return response(503, "too many connections\n", **{"Retry-After": "5"})
    if found.kind == "stream":
        if grant is not None and not grant.may("ingest", session=grant.session):
            raise RemoteProtocolError("forbidden", "this token does not allow to send audio")
        known = bool(found.session) and server.host.store.folder(found.session) is not None
        verdict = server.verdict(grant)
        if verdict.refused and (not known or server.draining):
            after = {"Retry-After": str(verdict.retry_after_s)}
            return response(verdict.status, f"{verdict.reason}\n", **after)
    server.admitted(connection, found, grant)
    return None


async def _result(server: Server, found: Route) -> Response:
    body = await anyio.to_thread.run_sync(partial(_rendered, server, found))
    if body is None:
        return response(409, "the session is not over\n")
    kind = CONTENT_TYPES.get(found.format, "text/plain")
    name = f"{found.session}.{'live' if found.live else 'final'}.{found.format}"
    return response(200, body, kind, **{"Content-Disposition": f'attachment; filename="{name}"'})


def _rendered(server: Server, found: Route) -> str | None:
    """In a thread: a result as text; None where there is none yet."""
    text = result(server, found.session, live=found.live)
    folder = server.host.store.folder(found.session)
    if text is None or folder is None:
        return None
    return render_result(Diarization.from_json(text), found.format, read_messages(folder), live=found.live)
