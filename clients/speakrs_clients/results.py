"""The results of a session, fetched from its server over HTTP."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from speakrs_clients.addresses import Address
from speakrs_clients.dialing import loss_of
from speakrs_clients.losses import Loss, Unreachable, described, verdict
from speakrs_clients.reconnecting import Backoff
from speakrs_stream.diarization import Diarization

ATTEMPTS = 8
"""Times a server is asked that cannot be reached, which is about half a minute."""
TIMEOUT_S = 30.0


class _NoRedirection(HTTPRedirectHandler):
    """Follows none: a token is for the server it was given for."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        return None


def result(
    where: Address,
    session: str,
    *,
    live: bool = False,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Diarization:
    """The result of a session: the final one, or the fold of what was told live.

    Asks again while the server cannot be reached. StreamFailed where it stays away (Unreachable) or refuses,
    FormatError where what it sends is no result.
    """
    target = f"/v1/sessions/{session}/result.json?pass={'live' if live else 'final'}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(where.url(target, "http"), headers=headers)
    opener = _opener(where, tls)
    why = ""
    for attempt in range(1, ATTEMPTS + 1):
        found = _asked(opener, request)
        if isinstance(found, bytes):
            return Diarization.from_json(found.decode("utf-8"))
        failure = verdict(found, None, before=True)
        if failure is not None:
            raise failure
        why = described(found)
        pause(Backoff(first=1.0).wait(attempt, 0.75, found.retry_after))
    raise Unreachable(f"the result cannot be fetched: {why}; it is kept on the server as {session}")


def _opener(where: Address, tls: ssl.SSLContext | None) -> OpenerDirector:
    handlers: list[Any] = [_NoRedirection, HTTPSHandler(context=tls)]
    return build_opener(*handlers, *([ProxyHandler({})] if where.loopback else []))


def _asked(opener: OpenerDirector, request: Request) -> bytes | Loss:
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read()
            return data
    except HTTPError as error:
        with error:
            return Loss("status", error.code, error.read(200).decode("utf-8", errors="replace").strip())
    except URLError as error:
        return (
            loss_of(error.reason) if isinstance(error.reason, Exception) else Loss("network", reason=str(error.reason))
        )
    except (OSError, HTTPException) as error:
        return loss_of(error)
