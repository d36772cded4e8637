"""Addresses of servers as people type them."""

from __future__ import annotations

import pytest

from speakrs_clients.addresses import address
from speakrs_stream.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://localhost:8765", "ws://localhost:8765/v1/stream"),
        ("localhost", "ws://localhost:8765/v1/stream"),
        ("captions.example:9000", "ws://captions.example:9000/v1/stream"),
        ("http://captions.example", "ws://captions.example:80/v1/stream"),
        ("wss://captions.example", "wss://captions.example:443/v1/stream"),
        ("https://captions.example/below/", "wss://captions.example:443/below/v1/stream"),
        ("wss://captions.example/v1/stream", "wss://captions.example:443/v1/stream"),
        ("ws://[::1]:8765", "ws://[::1]:8765/v1/stream"),
    ],
)
def test_what_is_connected_to(text: str, url: str) -> None:
    assert address(text).url("/v1/stream") == url


def test_results_are_fetched_over_http() -> None:
    assert address("wss://a.example").url("/x", "http") == "https://a.example:443/x"
    assert address("ws://a.example:1").url("/x", "http") == "http://a.example:1/x"
    assert str(address("ws://a.example:1")) == "ws://a.example:1"
    assert address("ws://127.0.0.1:1").loopback and not address("ws://a.example").loopback


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a.example",
        "ws://",
        "",
        "ws://a.example:99999",
        "ws://user:pw@a.example",
        "ws://a.example?token=x",
        "a b://",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError):
        address(text)
