"""Addresses: a few mean something, five hundred others mean nothing."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_server.routes import NOWHERE, Route, route

S = "0123456789ABCDEFGHJKMNPQRS"


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/v1/stream", Route("stream")),
        (f"/v1/stream?resume={S}", Route("stream", S)),
        ("/v1/stream?resume=../x", Route("stream")),
        ("/healthz", Route("healthz")),
        ("/readyz?x=1", Route("readyz")),
        ("/v1/asyncapi.json", Route("asyncapi")),
        ("/v1/schema.json", Route("schema")),
        (f"/v1/sessions/{S}", Route("session", S)),
        (f"/v1/sessions/{S}/events", Route("events", S)),
        (f"/v1/sessions/{S}/events?after=57", Route("events", S, after=57)),
        (f"/v1/sessions/{S}/result.rttm", Route("result", S, "rttm")),
        (f"/v1/sessions/{S}/result.TextGrid?pass=live", Route("result", S, "textgrid", True)),
        (f"/v1/sessions/{S}/result.audacity.txt?pass=final", Route("result", S, "audacity")),
    ],
)
def test_what_means_something(target: str, found: Route) -> None:
    assert route(target) == found


UPS = ["..", "../..", "..%2f", "%2e%2e", "....//", "..\\", "%252e%252e", "..;", ".", "", "%00", "\0", "~", "/etc"]
WHAT = [
    "passwd",
    "session.json",
    "secret.key",
    "owner.lock",
    "input-00000001.seg",
    "snapshot-00000001.bin",
    "final.json",
]
PLACES = ["/{up}/{what}", "/v1/{up}/{what}", f"/v1/sessions/{{up}}/{S}/{{what}}", f"/v1/sessions/{S}/{{up}}/{{what}}"]
PLACES += [
    f"/v1/sessions/{S}/result.{{up}}/{{what}}",
    "/v1/sessions/{up}{what}/result.rttm",
    f"/v1/sessions/{S}{{up}}{{what}}",
]
TRAVERSALS = [place.format(up=up, what=what) for place, up, what in product(PLACES, UPS, WHAT)]


def test_no_way_out_of_the_folder() -> None:
    assert len(TRAVERSALS) >= 500
    assert all(route(target) == NOWHERE for target in TRAVERSALS)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "http://evil.example/v1/stream",
        "/v1/stream/",
        "/V1/STREAM",
        "/v1/stream#x",
        f"/v1/sessions/{S.lower()}",
        f"/v1/sessions/{S}/result.exe",
        f"/v1/sessions/{S}/result.rttm?pass=other",
        f"/v1/sessions/{S}/result.rttm.bak",
        f"/v1/sessions/{S}/events?after=-1",
        f"/v1/sessions/{S}/events?after=9999999999999999",
        f"/v1/sessions/{S}/events?after=1;x",
        "/v1/stream?" + "a=1&" * 20,
        "/v1/stream?" + "a" * 4000,
    ],
)
def test_what_means_nothing(target: str) -> None:
    assert route(target) == NOWHERE


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_nothing(text: str) -> None:
    assert isinstance(route("/v1/sessions/" + text), Route)
