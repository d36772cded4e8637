"""The captions page as it is served: whole, small, and unable to run anything but its own files."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from speakrs_server.pages import ENTRANCES, FOLDER, PREFIX, assets, takes_gzip
from speakrs_server.routes import NOWHERE, Route, route
from tests.server.rig import rig

MOST = 90_000
"""Bytes of the whole page before compression."""
MOST_SENT = 32_000
"""Bytes that a browser is sent for it."""
TEXTS = {address: asset.data.decode() for address, asset in assets().items()}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_file_is_there_and_nothing_else() -> None:
    named = {PREFIX + path.name for path in FOLDER.iterdir()}
    assert set(assets()) == named | set(ENTRANCES)
    for address in assets():
        assert route(address) == Route("page", asset=address)
    assert route("/v?session=X&overlay=1") == Route("page", asset="/v")
    for nothing in ("/page", "/page/", "/page/app", "/page/../app.py", "/page/APP.JS", "/index.html", "/vv"):
        assert route(nothing) == NOWHERE


def test_every_link_leads_to_a_file_and_every_file_is_needed() -> None:
    found = set()
    for address, text in TEXTS.items():
        for match in re.findall(r'(?:src|href)="([^"#][^"]*)"|from "([^"]+)"|(?:addModule\(|src: )"([^"]+)"', text):
            base = "/" if address.endswith(".html") or address in ENTRANCES else address
            found.add(urljoin(base, next(filter(None, match))))
    assert found == set(assets()) - set(ENTRANCES) - {f"{PREFIX}index.html"}


def test_nothing_is_inline_and_nothing_is_foreign() -> None:
    page = TEXTS["/"]
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all('src="' in tag for tag in re.findall(r"<script[^>]*>", page))
    everything = "".join(TEXTS.values()).replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://[a-z]", everything)
    assert not re.findall(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", everything)


def test_the_page_is_small() -> None:
    own = [asset for address, asset in assets().items() if address not in ENTRANCES]
    assert sum(len(asset.data) for asset in own) <= MOST
    assert sum(len(asset.packed) for asset in own) <= MOST_SENT


def test_who_takes_gzip() -> None:
    assert all(map(takes_gzip, ("gzip", "deflate, gzip;q=1.0, *;q=0.5", "br, GZIP")))
    assert not any(map(takes_gzip, ("", "identity", "gzip;q=0", "br", "xgzip")))


@pytest.mark.anyio
async def test_it_is_served_with_a_strict_policy(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        for address, kind in (
            ("/", "text/html; charset=utf-8"),
            ("/v?session=X", "text/html; charset=utf-8"),
            ("/page/app.js", "text/javascript; charset=utf-8"),
            ("/page/style.css", "text/css; charset=utf-8"),
            ("/page/icon.svg", "image/svg+xml"),
        ):
            status, headers, body = await found.get(address)
            assert (status, headers["content-type"]) == (200, kind)
            assert body == assets()[address.partition("?")[0]].data
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'self';") and "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff" and headers["permissions-policy"]
        _, headers, body = await found.get("/", Accept_Encoding="gzip")
        assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == assets()["/"].data
        assert (await found.get("/", Host="evil.example"))[0] == 403


@pytest.mark.anyio
async def test_it_needs_no_token_itself(tmp_path: Path) -> None:
    keys = tmp_path / "tokens"
    keys.write_text("ann ingest a-token-0123456789ab\n", encoding="utf-8")
    async with rig(tmp_path, tokens_file=str(keys)) as found:
        assert (await found.get("/"))[0] == 200
