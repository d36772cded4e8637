"""The captions page: a fixed set of files, read from the package once and served under fixed addresses."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("page")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Ending of a file -> content type."""
PREFIX = "/page/"
"""Where the parts of the page are."""
ENTRANCES = ("/", "/v")
"""Addresses of the page itself: to speak, and to view."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""The page runs nothing but its own files, is put into no frame, and asks for nothing but the microphone."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    kind: str
    """Content type."""
    data: bytes
    """What is in it."""
    packed: bytes
    """The same, compressed by gzip."""


def _read(path: Path) -> Asset:
    data = path.read_bytes()
    return Asset(KINDS[path.suffix], data, gzip.compress(data, mtime=0))


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    return any(
        name.strip() == "gzip" and rest.replace(" ", "") not in ("q=0", "q=0.0")
        for name, _, rest in (part.partition(";") for part in accepted.lower().split(","))
    )


@cache
def assets() -> Mapping[str, Asset]:
    """Address -> file; read on the first call."""
    found = {PREFIX + path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS}
    return found | dict.fromkeys(ENTRANCES, found[f"{PREFIX}index.html"])
