"""Pure decisions about how much is too much: who is admitted, who sends too fast, when a disk is too full."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAUSE = 60.0
"""Seconds that a session which fails again and again waits at most before it may go on."""
RATE_WINDOW = 10.0
"""Seconds over which a client may send faster than its rate."""


class Bucket:
    """So much per second, with a burst; time is given by the caller."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """rate: units per second; burst: units that may come at once; now: seconds of any clock."""
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = now

    def left(self, now: float) -> float:
        """Share of the burst that is left, 0 to 1."""
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        return self._level / self.burst

    def take(self, amount: float, now: float) -> bool:
        """Whether `amount` fits; it counts only if it does."""
        self.left(now)
        if amount > self._level:
            return False
        self._level -= amount
        return True


class Pauses:
    """Sessions that fail again and again wait longer each time, so that they do not hold up the others."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}

    def failed(self, session: str, now: float) -> None:
        """It failed once more. now: seconds of a clock that only goes forward."""
        times = self._failed.get(session, (0, 0.0))[0] + 1
        self._failed[session] = (times, now)

    def left(self, session: str, now: float) -> float:
        """Seconds that it has to wait; nothing the first time, then 2, 4, 8 … up to a minute."""
        times, at = self._failed.get(session, (0, 0.0))
        pause = min(2.0 ** (times - 1), LONGEST_PAUSE) if times > 1 else 0.0
        return max(at + pause - now, 0.0)

    def forget(self, before: float) -> None:
        """Sessions that have not failed since then are as good as others."""
        self._failed = {session: one for session, one in self._failed.items() if one[1] >= before}


@dataclass(frozen=True, slots=True)
class Load:
    """What the server carries."""

    sessions: int
    """Sessions that are open, with a connection or without."""
    of_key: int
    """Those of the token that asks."""
    capacity: float
    """Sessions that can be carried in real time, by measurement; infinite before anything was measured."""
    draining: bool = False
    """Whether the server is about to stop."""
    disk_free_mb: float = float("inf")
    """Mebibytes left for the journal."""
    healthy: bool = True
    """Whether the networks answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a session may be opened."""

    reason: str = ""
    """Why not; empty where it may."""
    status: int = 200
    """HTTP status to refuse with."""
    code: str = ""
    """Code of the error message to refuse with."""
    retry_after_s: int = 0
    """Seconds after which to ask again; 0 where that does not help."""

    @property
    def refused(self) -> bool:
        """Whether it may not."""
        return bool(self.reason)


ADMITTED = Verdict()


def admit(load: Load, *, max_sessions: int, per_key: int, reserve_mb: float) -> Verdict:
    """Whether one more session may be opened."""
    if load.draining:
        return Verdict("the server is stopping", 503, "draining", 5)
    if not load.healthy:
        return Verdict("the networks do not answer", 503, "engine_failed", 10)
    if load.disk_free_mb < reserve_mb:
        return Verdict("the disk is nearly full", 503, "storage_full", 60)
    if load.sessions >= max_sessions:
        return Verdict(f"{load.sessions} sessions are open, no more fit", 503, "full", 10)
    if load.sessions + 1 > load.capacity:
        return Verdict(f"this machine carries {load.capacity:.0f} sessions, no more fit", 503, "full", 10)
    if load.of_key >= per_key:
        return Verdict(f"this token has {load.of_key} sessions open, no more are allowed", 429, "full", 30)
    return ADMITTED


def backlog(unworked_ms: float, *, limit_ms: float) -> str:
    """How bad it is that so much audio was received and not worked on: `ok`, `slow` or `overrun`."""
    if unworked_ms > 3 * limit_ms:
        return "overrun"
    return "slow" if unworked_ms > limit_ms else "ok"
