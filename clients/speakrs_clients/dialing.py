"""Opening a WebSocket to a server, and what it means when there is none or it ends."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from speakrs_clients.addresses import Address
from speakrs_clients.losses import Loss
from speakrs_server.messages import SUBPROTOCOL
from speakrs_stream.errors import ConfigError

CONNECT_S = 10.0
"""Seconds that a connection gets to come about."""
LONGEST_RETRY_S = 60.0
"""Seconds that a server may ask to wait."""
NO_SOCKET = (OSError, InvalidHandshake, TimeoutError, EOFError)
"""What `dial` raises where there is no connection; see `loss_of`."""


async def dial(where: Address, target: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> ClientConnection:
    """A connection; raises one of `NO_SOCKET`."""
    return await connect(
        where.url(target),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers=dict(headers),
        compression=None,
        max_size=2**20,
        open_timeout=CONNECT_S,
        ping_interval=None,  # the protocol has signs of life of its own
        close_timeout=1,
        user_agent_header=None,
        proxy=None if where.loopback else True,
        ssl=tls,
    )


def closed(socket: ClientConnection) -> Loss:
    """How a connection ended."""
    received = socket.protocol.close_rcvd
    return Loss("closed") if received is None else Loss("closed", received.code, received.reason)


def loss_of(error: Exception) -> Loss:
    """Why a connection did not come about."""
    match error:
        case InvalidStatus():
            body = bytes(error.response.body or b"").decode("utf-8", errors="replace")
            asked = error.response.headers.get("Retry-After", "")
            wait = min(float(asked), LONGEST_RETRY_S) if asked.isascii() and asked.isdigit() else None
            return Loss("status", error.response.status_code, " ".join(body.split())[:200], wait)
        case ssl.SSLCertVerificationError():
            return Loss("certificate", reason=error.verify_message)
        case ssl.SSLError():
            return Loss("tls", reason=(error.reason or "the handshake failed").replace("_", " ").lower())
        case ConnectionResetError() if not error.args:  # asyncio, where the other side ends a TLS handshake
            return Loss("tls", reason="the other side broke off")
        case InvalidMessage() if isinstance(error.__cause__, EOFError):
            return Loss("handshake", reason="the connection broke")
        case InvalidHandshake():
            return Loss("status", 0, str(error)[:200])
        case TimeoutError():
            return Loss("network", reason=f"no answer within {CONNECT_S:.0f} s")
        case OSError():
            return Loss("network", reason=_in_words(error))
    return Loss("network", reason=str(error) or type(error).__name__)


def _in_words(error: OSError) -> str:
    """`connection refused` rather than what asyncio makes of it, for one address or several."""
    numbers = [error.errno] if error.errno else [int(found) for found in re.findall(r"\[Errno (\d+)\]", str(error))]
    if numbers and numbers[0] > 0:
        return os.strerror(numbers[0]).lower()
    return str(error.strerror or error)


def trusting(ca_file: Path) -> ssl.SSLContext:
    """Checks servers by the certificates of a file; ConfigError where it holds none."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use the certificates in {ca_file}: {error}") from error


def now() -> float:
    """Seconds of a clock that only goes forward."""
    return time.monotonic()
