"""When to connect again, and when to give up. More of it: test_conversation.py."""

from __future__ import annotations

from speakrs_clients.losses import Loss, Refused, Unreachable
from speakrs_clients.reconnecting import Backoff, Reconnecting
from speakrs_server.messages import Error

BROKEN = Loss("closed")


def test_full_jitter() -> None:
    backoff = Backoff()
    assert [backoff.wait(n, 1.0) for n in (1, 2, 3, 6, 7, 1_000)] == [0.3, 0.6, 1.2, 9.6, 10.0, 10.0]
    assert backoff.wait(5, 0.0) == 0.0 and backoff.wait(1, 0.5, retry_after=2.0) == 2.15


def test_news_and_steady_connections_end_the_trouble() -> None:
    again = Reconnecting(0.0, lambda: 1.0, 0.0)
    for _ in range(5):
        assert again.lost(BROKEN, None, 10.0, window_s=60) is None
    assert again.failures == 5 and again.at == 10.0 + 4.8
    again.connected(20.0)
    again.heard(21.0, news=False)
    assert again.failures == 5
    assert isinstance(again.lost(BROKEN, None, 71.0, window_s=60), Unreachable), "connections without news are no help"
    again.connected(72.0)
    again.heard(73.0, news=True)
    assert again.failures == 0 and again.lost(BROKEN, None, 500.0, window_s=60) is None
    again.connected(501.0)
    again.heard(540.0, news=False)
    assert again.failures == 0


def test_what_the_server_asks_for_comes_on_top() -> None:
    again = Reconnecting(0.0, lambda: 0.0, 0.0)
    said = Error(code="draining", message="", fatal=True, retryable=True, retry_after_ms=900)
    again.lost(Loss("closed", 1012), said, 1.0, window_s=60)
    assert again.at == 1.9
    again.lost(Loss("status", 503, retry_after=7.0), said, 2.0, window_s=60)
    assert again.at == 9.0


def test_the_first_connection() -> None:
    absent = Loss("network", reason="refused")
    assert isinstance(Reconnecting(0.0, lambda: 0.0, 0.0).lost(absent, None, 0.1, window_s=None), Unreachable)
    waits = Reconnecting(0.0, lambda: 0.0, 5.0)
    assert waits.lost(absent, None, 4.9, window_s=None) is None
    assert isinstance(waits.lost(absent, None, 5.1, window_s=None), Unreachable)
    busy = Reconnecting(0.0, lambda: 0.0, 0.0)
    assert busy.lost(Loss("status", 503), None, 1.0, window_s=None) is None
    assert isinstance(busy.lost(Loss("status", 503), None, 9.0, window_s=None), Unreachable)
    torn = Reconnecting(0.0, lambda: 0.0, 0.0)
    assert torn.lost(Loss("handshake", reason="the connection broke"), None, 1.0, window_s=None) is None
    found = torn.lost(Loss("handshake", reason="the connection broke"), None, 9.0, window_s=None)
    assert "the connection broke; if that server has TLS, write wss://" in str(found)


def test_a_server_without_room_is_waited_for_where_one_wants_to() -> None:
    full = Error(code="full", message="no more fit", fatal=True, retryable=True, retry_after_ms=10_000)
    for wait, until in ((0.0, 8.0), (60.0, 60.0)):
        again = Reconnecting(0.0, lambda: 0.5, wait)
        assert again.lost(Loss("closed", 4503), full, 1.0, window_s=None) is None
        assert again.at == 1.0 + 10.0 + 0.15, "as long as the server asks for, and not all at once"
        assert again.lost(Loss("closed", 4503), full, until - 0.1, window_s=None) is None
        given_up = again.lost(Loss("closed", 4503), full, until, window_s=None)
        assert isinstance(given_up, Unreachable) and "no more fit" in str(given_up)
    too_fast = Error(code="too_fast", message="too many messages", fatal=True, retryable=False)
    again = Reconnecting(0.0, lambda: 0.0, 60.0)
    assert isinstance(again.lost(Loss("closed", 4429), too_fast, 1.0, window_s=None), Refused)


def test_outages_are_measured_from_the_first_loss() -> None:
    again = Reconnecting(0.0, lambda: 0.0, 0.0)
    assert again.outage(1.0) is None
    again.lost(BROKEN, None, 2.0, window_s=60)
    again.lost(BROKEN, None, 3.0, window_s=60)
    assert again.outage(5.0) == 3.0 and again.outage(6.0) is None
