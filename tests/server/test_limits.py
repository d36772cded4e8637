"""Limits by a clock moved by hand."""

from __future__ import annotations

import pytest

from speakrs_server.limits import ADMITTED, Bucket, Load, Pauses, admit, backlog


def test_a_bucket_gives_its_rate_and_its_burst() -> None:
    bucket = Bucket(2.0, 4.0, now=100.0)
    assert [bucket.take(1, 100.0) for _ in range(5)] == [True] * 4 + [False]
    assert bucket.take(1, 100.5)
    assert not bucket.take(1, 100.6)
    assert [bucket.take(1, 200.0) for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("load", "status", "code"),
    [
        (Load(0, 0, float("inf")), 200, ""),
        (Load(0, 0, 5, draining=True), 503, "draining"),
        (Load(0, 0, 5, healthy=False), 503, "engine_failed"),
        (Load(0, 0, 5, disk_free_mb=99), 503, "storage_full"),
        (Load(8, 0, 99), 503, "full"),
        (Load(5, 0, 5.9), 503, "full"),
        (Load(5, 3, 99), 429, "full"),
        (Load(4, 0, 5.0), 200, ""),
    ],
)
def test_admission(load: Load, status: int, code: str) -> None:
    verdict = admit(load, max_sessions=8, per_key=3, reserve_mb=100)
    assert (verdict.status, verdict.code) == (status, code)
    assert verdict.refused == (verdict != ADMITTED) == bool(verdict.retry_after_s)


def test_backlog() -> None:
    assert [backlog(ms, limit_ms=100) for ms in (0, 100, 101, 300, 301)] == ["ok", "ok", "slow", "slow", "overrun"]


def test_whoever_fails_again_waits_longer() -> None:
    pauses, waits = Pauses(), list[float]()
    for _ in range(9):
        pauses.failed("s", 100.0)
        waits.append(pauses.left("s", 100.0))
    assert waits == [0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert pauses.left("s", 159.0) == 1.0 and pauses.left("s", 200.0) == 0.0 and pauses.left("another", 100.0) == 0.0
    pauses.forget(101.0)
    pauses.failed("s", 200.0)
    assert pauses.left("s", 200.0) == 0.0


def test_how_much_is_left() -> None:
    bucket = Bucket(1.0, 4.0, now=0.0)
    assert bucket.take(3, 0.0) and bucket.left(0.0) == 0.25 and bucket.left(1.0) == 0.5 and bucket.left(99.0) == 1.0
