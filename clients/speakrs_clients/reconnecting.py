"""When to connect again, and when to give up. Pure: time and chance are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from speakrs_clients.losses import Loss, StreamFailed, Unreachable, described, verdict
from speakrs_server.messages import Error

FIRST_S = 8.0
"""Seconds for which the first connection is tried again where somebody answers and it breaks."""
STEADY_S = 30.0
"""Seconds after which a connection counts as good although nothing new was told over it."""
VIEW_S = 300.0
"""Seconds for which a viewer tries to come back."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before trying again: anything between nothing and a limit that doubles (full jitter)."""

    first: float = 0.3
    """Seconds, the limit after the first failure."""
    most: float = 10.0
    """Seconds, the largest limit."""

    def wait(self, failures: int, chance: float, retry_after: float | None = None) -> float:
        """Seconds to wait after so many failures in a row. chance: a random number of [0, 1)

        retry_after: what the server asks for at least; the jitter comes on top
        """
        limit = min(self.most, self.first * 2.0 ** min(max(failures - 1, 0), 30))
        return (retry_after or 0.0) + chance * limit


class Reconnecting:
    """What is known about failures in a row."""

    def __init__(self, now: float, chance: Callable[[], float], wait_s: float, backoff: Backoff | None = None) -> None:
        """chance: a random number of [0, 1); wait_s: seconds to wait for a server that is not there, or full."""
        self.at = now
        """When the next attempt is due."""
        self.failures = 0
        """Failures in a row."""
        self._chance, self._wait_s, self._backoff = chance, wait_s, backoff or Backoff()
        self._began = self._connected_at = now
        self._trouble_at: float | None = None
        self._lost_at: float | None = None
        self._reached = False

    def connected(self, now: float) -> None:
        """There is a connection."""
        self._connected_at, self._reached = now, True

    def heard(self, now: float, *, news: bool) -> None:
        """Something came over it. news: something durable, or an acknowledgement of more audio."""
        if news or now - self._connected_at > STEADY_S:
            self._trouble_at, self.failures = None, 0

    def outage(self, now: float) -> float | None:
        """Seconds since the connection was lost, asked once it is there again; None where it was not lost."""
        lost, self._lost_at = self._lost_at, None
        return None if lost is None else now - lost

    def lost(self, loss: Loss, said: Error | None, now: float, *, window_s: float | None) -> StreamFailed | None:
        """A connection ended or did not come about: why it is over, or None, and `at` says when to try again.

        said: the fatal error told before; window_s: seconds that the session waits for us; None without a session
        """
        self._lost_at = now if self._lost_at is None else self._lost_at
        self._trouble_at = now if self._trouble_at is None else self._trouble_at
        self._reached |= loss.kind in ("closed", "silence", "status", "handshake")
        self.failures += 1
        failure = verdict(loss, said, before=window_s is not None)
        if failure is None:
            failure = self._given_up(loss, said, now, window_s)
        if failure is None:
            asked = loss.retry_after
            if asked is None and said is not None and said.retry_after_ms is not None:
                asked = said.retry_after_ms / 1000
            self.at = now + self._backoff.wait(self.failures, self._chance(), asked)
        return failure

    def _given_up(self, loss: Loss, said: Error | None, now: float, window_s: float | None) -> StreamFailed | None:
        assert self._trouble_at is not None
        if window_s is not None:
            if now - self._trouble_at <= window_s:
                return None
            return Unreachable(f"no way back to the server for {window_s:.0f} s: {described(loss)}")
        if now - self._began < max(self._wait_s, FIRST_S if self._reached else 0.0):
            return None
        if said is not None and loss.kind == "closed":
            return Unreachable(f"the server opens no session: {said.message}")
        hint = "; if that server has TLS, write wss://" if loss.kind == "handshake" else ""
        return Unreachable(f"the server cannot be reached: {described(loss)}{hint}")
