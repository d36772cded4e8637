"""What the service manager is told (`sd_notify`): ready, alive, reloading, stopping; nothing where there is none."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """The datagram socket that systemd names in the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        interval = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(interval) / 1e6 if interval.isdigit() and self._address else None
        """Seconds within which a sign of life is due; None where nobody waits for one."""
        self._next = 0.0

    def say(self, *lines: str) -> bool:
        """Send assignments such as READY=1; whether anybody was there to be told."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # a manager that is gone must not take the server with it
            return False
        return True

    def ready(self, status: str) -> None:
        """The server listens."""
        self.say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Settings are read again; `ready` ends it."""
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The server stops."""
        self.say("STOPPING=1")

    def alive(self, now: float) -> None:
        """A sign of life, twice in every interval at least; now: seconds of a clock that only goes forward."""
        if self.watchdog_s is not None and now >= self._next:
            self._next = now + self.watchdog_s / 3
            self.say("WATCHDOG=1")
