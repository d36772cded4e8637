"""What a user has not read yet: numbered messages all of them and in order, of passing ones only the newest. Pure.

A user who reads rarely holds up no connection and misses nothing that is numbered; what would only have been seen in
passing is left out, so that no turn is shown as it was before it was settled.
"""

from __future__ import annotations

from speakrs_clients.stream_events import Event
from speakrs_server import messages


class Inbox:
    """Events in the order in which they are to be read."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Event] = {}
        self._count = 0

    def __len__(self) -> int:
        """Events that wait."""
        return len(self._waiting)

    def put(self, event: Event) -> None:
        """An event; it takes the place of what it makes old."""
        kind = type(event).__name__
        match event:
            case messages.TurnProvisional():
                key = ("turn", event.turn)
            case messages.TurnFinal() | messages.TurnRetracted():
                self._waiting.pop(("turn", event.turn), None)
                key = (kind, event.turn)
            case messages.Flow():
                key = (kind, "")
            case messages.Snapshot():
                for waiting in [key for key in self._waiting if key[0] in ("turn", kind)]:
                    del self._waiting[waiting]
                key = (kind, "")
            case _:
                self._count += 1
                key = (kind, str(self._count))
        self._waiting.pop(key, None)
        self._waiting[key] = event

    def take(self) -> Event | None:
        """The oldest event; None where there is none."""
        if not self._waiting:
            return None
        return self._waiting.pop(next(iter(self._waiting)))
