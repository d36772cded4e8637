"""Where a server is: from what people type to the addresses that are connected to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from speakrs_stream.errors import ConfigError

SCHEMES: dict[str, bool] = {"ws": False, "http": False, "wss": True, "https": True}
"""Scheme -> whether it is encrypted."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A server."""

    host: str
    """Name or number."""
    port: int
    """Port."""
    tls: bool
    """Whether connections are encrypted."""
    prefix: str = ""
    """Path in front of `/v1`, where a proxy puts the server below one."""

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return self.host in LOOPBACK

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, target: str, kind: Literal["ws", "http"] = "ws") -> str:
        """Address of a target such as `/v1/stream`."""
        return f"{kind}{'s' if self.tls else ''}://{self.authority}{self.prefix}{target}"

    def __str__(self) -> str:
        return self.url("")


def address(text: str) -> Address:
    """`ws://host:port`, `wss://host`, `https://host/below` or `host:port`; ConfigError where it is none.

    A path that ends in `/v1/stream` is taken as the address of that.
    """
    whole = text.strip() if "://" in text else f"ws://{text.strip()}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no address of a server: {error}") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ConfigError(f"{text!r} is no address of a server; write ws://HOST:PORT or wss://HOST")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError("an address holds no user, password, query or fragment; tokens have options of their own")
    tls = SCHEMES[parts.scheme]
    prefix = parts.path.rstrip("/").removesuffix("/v1/stream").rstrip("/")
    return Address(parts.hostname, port or (443 if tls else 8765 if "://" not in text else 80), tls, prefix)
