"""What listeners of one session are told: numbered, written down, and only then shown.

Everything here runs in the event loop's thread. A message is shown once it, and all audio before it, is as safe as was
promised; passing messages take their turn between durable ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.committer import Durability, Submission, Write
from speakrs_server.journal import Journal, event_record
from speakrs_server.messages import ServerMessage, encode
from speakrs_server.outbox import Outbox
from speakrs_server.records import Log, Record

TAIL = 4_096
"""Durable messages kept in memory; older ones are read from the journal."""


@dataclass(slots=True, eq=False)
class Listener:
    """A connection that is told what happens."""

    outbox: Outbox
    """What it is still to be sent."""
    wake: Callable[[], None]
    """Called when there is something new."""


class Teller:
    """The log of messages of one session and everybody who follows it."""

    def __init__(
        self,
        journal: Journal,
        durability: Durability,
        commit: Callable[[Submission], None],
        shown: Callable[[Sequence[ServerMessage]], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """commit: writes, and calls back in this thread; shown: told what listeners have just been given; failed: the
        journal cannot be written."""
        self.board = Board()
        """What listeners know."""
        self.listeners: list[Listener] = []
        """Connections that are told."""
        self.epoch = 1
        """Of the newest connection that feeds the session."""
        self._journal, self._durability = journal, durability
        self._commit, self._shown, self._failed = commit, shown, failed
        self._seq = 0
        self._tail: deque[tuple[int, bytes]] = deque(maxlen=TAIL)

    # -- telling ---------------------------------------------------------------------------------------------

    def tell(self, told: Sequence[tuple[ServerMessage, bool]]) -> None:
        """Say these, in order; the flag says whether a message follows from the audio alone."""
        if not told:
            return
        numbered: list[tuple[ServerMessage, bytes]] = []
        records: list[tuple[Log, Record]] = []
        for message, from_engine in told:
            if not hasattr(message, "seq"):
                numbered.append((message, b""))
                continue
            self._seq += 1
            durable: Any = msgspec.structs.replace(message, seq=self._seq)
            record = event_record(durable, self._seq, from_engine=from_engine, epoch=self.epoch)
            records.append((self._journal.events, record))
            numbered.append((durable, record.payload))
        self.write(records, lambda: self._show(numbered))

    def write(self, records: Sequence[tuple[Log, Record]], then: Callable[[], None] = lambda: None) -> None:
        """Append records behind everything written before, then go on; nothing follows where that fails."""
        writes = []
        for log, record in records:
            segment, data, _ = log.plan(record)
            writes.append(Write(log, segment, data))

        def done(error: OSError | None) -> None:
            if error is None:
                then()
            else:
                self._failed(error)

        self._commit(Submission(tuple(writes), self._durability, done))

    def _show(self, numbered: list[tuple[ServerMessage, bytes]]) -> None:
        for message, data in numbered:
            self.board.push(message)
            if data:
                self._tail.append((self.board.seq, data))
            for listener in self.listeners:
                if not data:
                    listener.outbox.put(message)
                elif isinstance(message, messages.TurnFinal | messages.TurnRetracted):
                    listener.outbox.settled(message.turn)
        self._wake()
        self._shown([message for message, _ in numbered])

    def pass_on(self, message: ServerMessage) -> None:
        """A passing message, at once."""
        for listener in self.listeners:
            listener.outbox.put(message)
        self._wake()

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.wake()

    # -- reading back ----------------------------------------------------------------------------------------

    def in_memory(self, after: int) -> bool:
        """Whether the messages after number `after` are all in memory."""
        return not self._tail or self._tail[0][0] <= after + 1

    def tail(self, after: int, limit: int) -> list[bytes]:
        """Messages after number `after` from memory, in order."""
        first = self._tail[0][0] if self._tail else 0
        start = max(after + 1 - first, 0)
        return [self._tail[at][1] for at in range(start, min(start + limit, len(self._tail)))]

    def remember(self, message: messages.DurableMessage) -> None:
        """A message that was told before a restart."""
        self.board.push(message)
        self._seq = self.board.seq
        self._tail.append((self.board.seq, encode(message)))
