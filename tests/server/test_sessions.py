"""The registry of sessions, by a clock moved by hand."""

from __future__ import annotations

import pytest

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.sessions import Registry


def test_a_session_is_opened_parked_and_resumed() -> None:
    registry = Registry()
    assert registry.open("A", "ann", 300.0).epoch == 1
    assert (len(registry), registry.of_key("ann"), registry.of_key("bob"), registry.count("attached")) == (1, 1, 0, 1)
    assert registry.current("A", 1)
    assert registry.park("A", 1, 100.0)
    assert not registry.current("A", 1)
    assert registry.expired(399.0) == []
    assert registry.expired(400.0) == ["A"]
    assert registry.resume("A", 1).epoch == 2
    assert registry.expired(1e9) == []


def test_a_newer_connection_fences_the_old_one() -> None:
    registry = Registry()
    registry.open("A", "ann", 300.0)
    registry.resume("A", 1)
    assert not registry.current("A", 1)
    assert not registry.park("A", 1, 0.0)
    assert registry.current("A", 2)


def test_old_tokens_are_worth_nothing_once_the_new_one_has_arrived() -> None:
    registry = Registry()
    registry.open("A", "ann", 300.0)
    assert registry.resume("A", 1).epoch == 2
    assert registry.resume("A", 1).epoch == 3  # the answer was lost on the way: the client still has its old token
    registry.confirm("A", 3)
    registry.confirm("A", 2)
    for old in (1, 2):
        with pytest.raises(RemoteProtocolError) as caught:
            registry.resume("A", old)
        assert caught.value.code.name == "superseded"
    assert registry.resume("A", 3).epoch == 4


def test_what_is_not_there_cannot_be_resumed() -> None:
    registry = Registry()
    registry.open("A", "ann", 300.0)
    registry.failed("A")
    for name in ("A", "B"):
        with pytest.raises(RemoteProtocolError) as caught:
            registry.resume(name, 1)
        assert caught.value.code.name == "unknown_session"
    assert len(registry) == 0
    registry.forget("A")
    assert registry.find("A") is None and registry.all() == []


def test_the_end() -> None:
    registry = Registry()
    registry.open("A", "ann", 300.0)
    registry.ending("A")
    assert len(registry) == 1 and not registry.current("A", 1)
    assert registry.resume("A", 1).state == "ending"
    registry.final("A")
    assert len(registry) == 0
    assert registry.resume("A", 2).state == "final"


def test_sessions_found_on_disk() -> None:
    registry = Registry()
    registry.recover("A", "ann", 300.0, epoch=5, confirmed=4, now=10.0, ending=False)
    registry.recover("B", "ann", 300.0, epoch=2, confirmed=2, now=10.0, ending=True)
    assert registry.expired(310.0) == ["A"]
    assert registry.resume("A", 6).epoch == 7  # its attach was never written: the newer token is genuine all the same
    assert registry.count("ending") == 1
