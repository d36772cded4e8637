"""Which sessions there are and who holds them: a pure registry of open, parked, ending and finished sessions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from speakrs_server.codes import RemoteProtocolError

State = Literal["attached", "parked", "ending", "final", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A session as the registry knows it."""

    id: str
    """Its name."""
    key: str
    """Whose it is."""
    state: State
    """Whether a connection feeds it, it waits for one, it is being finished, or it is over."""
    epoch: int
    """Connections it has had; only the newest may feed it."""
    confirmed: int
    """Newest connection that has said something: tokens older than its own are worth nothing."""
    window_s: float
    """Seconds it waits for a connection."""
    until: float | None = None
    """When a parked session is finished by itself; None otherwise."""


class Registry:
    """All sessions of this process; time is given by the caller, in seconds of any clock."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        """Sessions that take room: attached, parked or ending."""
        return sum(entry.state in ("attached", "parked", "ending") for entry in self._entries.values())

    def of_key(self, key: str) -> int:
        """How many of those belong to a key."""
        return sum(e.key == key and e.state in ("attached", "parked", "ending") for e in self._entries.values())

    def count(self, state: State) -> int:
        """Sessions in a state."""
        return sum(entry.state == state for entry in self._entries.values())

    def find(self, session: str) -> Entry | None:
        """A session; None where it is not known."""
        return self._entries.get(session)

    def open(self, session: str, key: str, window_s: float) -> Entry:
        """A new session with its first connection."""
        return self._put(Entry(session, key, "attached", 1, 1, window_s))

    def recover(
        self, session: str, key: str, window_s: float, *, epoch: int, confirmed: int, now: float, ending: bool
    ) -> Entry:
        """A session found on disk: it waits for its client, or goes on being finished."""
        until = None if ending else now + window_s
        state: State = "ending" if ending else "parked"
        return self._put(Entry(session, key, state, epoch, confirmed, window_s, until))

    def confirm(self, session: str, epoch: int) -> None:
        """The connection of this epoch has spoken, so it holds its token: older ones are worth nothing now."""
        entry = self._entries[session]
        if epoch > entry.confirmed:
            self._put(replace(entry, confirmed=epoch))

    def resume(self, session: str, epoch: int) -> Entry:
        """A newer connection takes over, whether or not the old one is gone.

        epoch: of the token that is shown; a client that never got the answer to its last attempt shows an older one.
        RemoteProtocolError: `unknown_session`, `superseded` for a token that was replaced by a newer one.
        """
        entry = self._entries.get(session)
        if entry is None or entry.state == "failed":
            raise RemoteProtocolError("unknown_session", "there is no such session")
        if epoch < entry.confirmed:
            raise RemoteProtocolError("superseded", "the session went on with a newer token")
        state: State = entry.state if entry.state in ("ending", "final") else "attached"
        return self._put(replace(entry, state=state, epoch=max(entry.epoch, epoch) + 1, until=None))

    def current(self, session: str, epoch: int) -> bool:
        """Whether a connection of this epoch may still feed the session."""
        entry = self._entries.get(session)
        return entry is not None and entry.epoch == epoch and entry.state == "attached"

    def park(self, session: str, epoch: int, now: float) -> bool:
        """A connection is gone; whether the session waits for another now."""
        if not self.current(session, epoch):
            return False
        entry = self._entries[session]
        self._put(replace(entry, state="parked", until=now + entry.window_s))
        return True

    def ending(self, session: str) -> None:
        """No more audio comes."""
        self._put(replace(self._entries[session], state="ending", until=None))

    def final(self, session: str) -> None:
        """The result is there."""
        self._put(replace(self._entries[session], state="final", until=None))

    def failed(self, session: str) -> None:
        """It cannot go on, ever."""
        self._put(replace(self._entries[session], state="failed", until=None))

    def forget(self, session: str) -> None:
        """Not ours any more."""
        self._entries.pop(session, None)

    def expired(self, now: float) -> list[str]:
        """Parked sessions whose time is over: they are to be finished."""
        return [e.id for e in self._entries.values() if e.until is not None and e.until <= now]

    def all(self) -> list[Entry]:
        """Every session."""
        return list(self._entries.values())

    def _put(self, entry: Entry) -> Entry:
        self._entries[entry.id] = entry
        return entry
