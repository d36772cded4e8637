"""What a connection is still to be sent: its place in the durable log, and passing messages, the newest of each kind.

A slow reader costs no memory: durable messages stay in the log until it asks for them, of passing ones only the
latest of each turn and of each batch of words is kept.
"""

from __future__ import annotations

from speakrs_server import messages
from speakrs_server.messages import ServerMessage, encode, type_of

MOST_SINGLE = 64
"""Passing messages about no turn that are kept at most; pongs and warnings beyond that are dropped, oldest first."""


class Outbox:
    """Passing messages of one connection, and how far it is in the log."""

    def __init__(self, after: int, *, provisional: bool = True, interval_s: float = 0.0) -> None:
        """after: number of the last durable message it has
        provisional: whether it wants to see turns and words that may change
        interval_s: seconds between provisional updates at least
        """
        self.sent = after
        """Number of the last durable message that was handed out."""
        self._provisional = provisional
        self._interval = interval_s
        self._turns: dict[str, bytes] = {}
        self._words: dict[str, bytes] = {}
        self._other: dict[str, bytes] = {}
        self._counter = 0
        self._last = float("-inf")

    def put(self, message: ServerMessage) -> None:
        """A passing message."""
        if isinstance(message, messages.TurnProvisional):
            if self._provisional:
                self._turns.pop(message.turn, None)
                self._turns[message.turn] = encode(message)
            return
        if isinstance(message, messages.WordsLabelled):
            if self._provisional and message.batch is not None:
                self._words.pop(message.batch, None)
                self._words[message.batch] = encode(message)
                if len(self._words) > MOST_SINGLE:
                    self._words.pop(next(iter(self._words)))
            return
        self._counter += 1
        kind = type_of(message)
        newest_only = kind in ("audio.ack", "heartbeat", "flow")
        key = kind if newest_only else f"{kind} {self._counter}"
        self._other.pop(key, None)
        self._other[key] = encode(message)
        if len(self._other) > MOST_SINGLE:
            self._other.pop(next(iter(self._other)))

    def settled(self, turn: str) -> None:
        """A turn is final or retracted: what was to be said of it before is no news any more."""
        self._turns.pop(turn, None)

    def take(self, now: float) -> list[bytes]:
        """Passing messages to send now; call it when nothing durable is left. now: seconds of any clock."""
        out = list(self._other.values())
        self._other.clear()
        if (self._turns or self._words) and now - self._last >= self._interval:
            self._last = now
            out += [*self._turns.values(), *self._words.values()]
            self._turns.clear()
            self._words.clear()
        return out

    def deadline(self) -> float | None:
        """When `take` has something at the latest; None where nothing waits."""
        if self._other:
            return float("-inf")
        return self._last + self._interval if self._turns or self._words else None
