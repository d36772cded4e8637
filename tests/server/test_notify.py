"""What the service manager is told, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from speakrs_server.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_the_life_of_a_service(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"})
    notifier.ready("listening on port 1")
    assert manager.recv(200) == b"READY=1\nSTATUS=listening on port 1"
    notifier.reloading()
    assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert notifier.watchdog_s == 30.0
    for now in (100.0, 105.0, 109.9, 110.0):
        notifier.alive(now)
    notifier.stopping()
    said = [manager.recv(200) for _ in range(3)]
    assert said == [b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"], "every ten seconds of thirty"


def test_nobody_is_there() -> None:
    quiet = Notifier({})
    assert not quiet.say("READY=1") and quiet.watchdog_s is None
    gone = Notifier({"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"})
    gone.alive(1.0)
    assert not gone.say("READY=1")


def test_abstract_sockets() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0speakrs-test-notify")
        assert Notifier({"NOTIFY_SOCKET": "@speakrs-test-notify"}).say("READY=1")
        assert listening.recv(100) == b"READY=1"
