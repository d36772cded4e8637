"""One session on this server: what its client sends is written down and heard, what it is told is written down first.

Everything here runs in the event loop's thread. Messages get their number when they are made, and are shown to anybody
only once they, and all audio before them, are as safe as was promised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.committer import Durability, Submission, Write
from speakrs_server.frames import AudioFrame
from speakrs_server.identifiers import turn_id
from speakrs_server.journal import (
    ATTACH,
    AUDIO,
    COMMAND,
    END,
    Description,
    Journal,
    Saved,
    command_record,
    event_record,
)
from speakrs_server.messages import Command, ServerMessage, WordsAdd, decode_client, encode
from speakrs_server.outbox import Outbox
from speakrs_server.records import Cursor, Log, Record
from speakrs_server.translation import message_of
from speakrs_server.unit import Unit
from speakrs_server.words import WordBook
from speakrs_server.worker import Finish, Item, Mark, Order, Report, Sound
from speakrs_stream.audio.pcm import WIDTHS
from speakrs_stream.core.events import TurnStarted
from speakrs_stream.core.grid import SAMPLE_RATE

TAIL = 4_096
"""Durable messages kept in memory; older ones are read from the journal."""
ARRIVALS = 512
"""Pieces of audio whose time of arrival is remembered."""


class Outside(Protocol):
    """What a session needs of the server."""

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        ...

    def commit(self, submission: Submission) -> None:
        """Write; `done` is called in the event loop's thread."""
        ...

    def give(self, session: str, item: Item) -> None:
        """Hand something to the worker."""
        ...

    def save(self, session: str, journal: Journal, saved: Saved) -> None:
        """Write a snapshot, in another thread."""
        ...

    def conclude(self, session: str, unit: Unit) -> None:
        """Make the results, in another thread, and come back with `concluded`."""
        ...

    def broke(self, session: str, code: str, message: str) -> None:
        """The session cannot go on in this process."""
        ...

    def ended(self, session: str) -> None:
        """`session.final` was told."""
        ...

    def seen(self, message: ServerMessage) -> None:
        """A message was shown, for the figures."""
        ...


@dataclass(slots=True, eq=False)
class Listener:
    """A connection that is told what happens."""

    outbox: Outbox
    """What it is still to be sent."""
    wake: Callable[[], None]
    """Called when there is something new."""


@dataclass(slots=True, eq=False)
class Hosted:
    """A session."""

    description: Description
    """What it is."""
    journal: Journal
    """What is kept of it."""
    outside: Outside
    """The server."""
    epoch: int = 1
    """Of the newest connection."""
    received: int = 0
    """Sample at the client's rate up to which audio was received."""
    durable: int = 0
    """The same for audio that is as safe as was promised."""
    processed: int = 0
    """The same for audio that has been shown."""
    board: Board = field(default_factory=Board)
    """What listeners know."""
    listeners: list[Listener] = field(default_factory=list)
    """Connections that are told."""
    ending: bool = False
    """Whether no more audio comes."""
    _seq: int = 0
    _told: int = 0  # messages so far that follow from the audio alone
    _expected: deque[ServerMessage] = field(default_factory=deque)  # those that were told before a restart
    _tail: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=TAIL))
    _arrivals: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=ARRIVALS))
    _words: WordBook | None = None
    _saved: int = 0
    _saving: bool = False
    _over: bool = False

    def __post_init__(self) -> None:
        words = self.description.request.words
        self._words = WordBook(words.max_wait_ms) if words.enabled else None

    # -- facts -----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its name."""
        return self.description.id

    @property
    def audio(self) -> messages.AudioFormat:
        """What its client sends."""
        return self.description.request.audio

    @property
    def durability(self) -> Durability:
        """What an acknowledgement promises."""
        return self.description.durability  # type: ignore[return-value]

    def ms(self, samples: int) -> int:
        """Samples at the client's rate in milliseconds."""
        return samples * 1000 // self.audio.sample_rate

    @property
    def unworked_ms(self) -> int:
        """Audio received and not worked on, beyond the second that a window needs anyway."""
        return max(self.ms(self.received - self.processed) - 1000, 0)

    def ack(self) -> messages.AudioAck:
        """How far the audio is."""
        durable = self.received if self.durability == "none" else self.durable
        return messages.AudioAck(received=self.received, durable=durable, processed=self.processed)

    # -- what the client sends -------------------------------------------------------------------------------

    def open(self, started: messages.SessionStarted) -> None:
        """A new session: its first message."""
        self._tell([(started, False)])

    def attach(self, epoch: int) -> None:
        """A newer connection took over."""
        self.epoch = epoch
        if not self._over:
            self._write([(self.journal.input, Record(ATTACH, 0, self.received, epoch, b""))])

    def sound(self, frame: AudioFrame) -> None:
        """Audio that was checked."""
        record = Record(AUDIO, 0, frame.offset, self.epoch, frame.payload)
        self.received = end = frame.offset + frame.samples
        self._arrivals.append((end, self.outside.now()))

        def written() -> None:
            self.durable = max(self.durable, end)

        self._write([(self.journal.input, record)], written)
        self.outside.give(self.id, Sound(frame.payload, frame.offset))

    def command(self, command: Command | WordsAdd) -> str | None:
        """Something the client asks; why it is refused, None where it is not (yet)."""
        if isinstance(command, WordsAdd):
            if self._words is None:
                return "this session was opened without words"
            self._write([(self.journal.input, command_record(command, self.received, self.epoch))])
            refused = self._words.add(command, self.outside.now())
            self._settle_words()
            return f"{refused} words refused: too many wait" if refused else None
        self._write([(self.journal.input, command_record(command, self.received, self.epoch))])
        self.outside.give(self.id, Order(command))
        return None

    def end(self) -> None:
        """No more audio comes."""
        if self.ending:
            return
        self.ending = True
        self._write([(self.journal.input, Record(END, 0, self.received, self.epoch, b""))])
        self._tell([(messages.SessionFinalizing(seq=0, left_ms=self.unworked_ms), False)])
        self.outside.give(self.id, Finish())

    # -- what the worker reports -----------------------------------------------------------------------------

    def report(self, report: Report) -> None:
        """Something was heard."""
        if report.processed is not None:
            self.processed = max(self.processed, report.processed)
        if report.events:
            self._heard([message_of(event, self._latency) for event in report.events])
        if report.refused is not None:
            command, why = report.refused
            self._pass(refusal(command, why))
        if report.mark is not None:
            cursor, stream = report.mark
            position, place, epoch = cursor
            saved = Saved(stream, place, position, self._told, epoch)
            self._write([], lambda: self.outside.save(self.id, self.journal, saved))
        if report.finished is not None:
            unit = report.finished
            for warning in unit.quality:
                self._pass(messages.Warn(code="audio", message=warning))
            self._write([], lambda: self._concluding(unit))
        if report.fault is not None:
            self.outside.broke(self.id, *report.fault)

    def _heard(self, told: list[ServerMessage]) -> None:
        fresh: list[tuple[ServerMessage, bool]] = []
        for message in told:
            if isinstance(message, messages.TurnProvisional):
                fresh.append((message, False))
                continue
            self._told += 1
            if not self._expected:
                fresh.append((message, True))
            elif bare(message) != bare(self._expected.popleft()):
                self.outside.broke(self.id, "engine_failed", "what is heard now differs from what was told before")
                return
        self._tell(fresh)

    def _latency(self, sample: int) -> int | None:
        """Milliseconds since a sample at 16 kHz was received; None where that is not remembered."""
        wanted = sample * self.audio.sample_rate // SAMPLE_RATE
        for end, at in self._arrivals:
            if end >= wanted:
                return round((self.outside.now() - at) * 1000)
        return None

    def want_snapshot(self, interval_s: int) -> None:
        """Ask for a snapshot when enough was heard since the last; rarer as the session, and so the snapshot, grows."""
        due = max(interval_s * self.audio.sample_rate, self.processed // 20)
        if self.ending or self._saving or self.processed - self._saved < due:
            return
        self._saved, self._saving = self.processed, True
        self.outside.give(self.id, Mark((self.received, self.journal.input.end, self.epoch)))

    def snapshot_saved(self) -> None:
        """The snapshot is on the disk."""
        self._saving = False

    # -- the end ---------------------------------------------------------------------------------------------

    def _concluding(self, unit: Unit) -> None:
        if self._words is not None and (labelled := self._words.settle(self.board, ended=True)):
            self._tell([(messages.WordsLabelled(seq=0, status="final", words=labelled), False)])
        self._write([], lambda: self.outside.conclude(self.id, unit))

    def concluded(self, final: messages.SessionFinal) -> None:
        """The results are on the disk."""
        self._tell([(final, False)])

    # -- telling ---------------------------------------------------------------------------------------------

    def _tell(self, told: list[tuple[ServerMessage, bool]]) -> None:
        if not told:
            return
        numbered: list[tuple[ServerMessage, bytes]] = []
        records: list[tuple[Log, Record]] = []
        for message, from_engine in told:
            if not hasattr(message, "seq") or (isinstance(message, messages.WordsLabelled) and message.seq is None):
                numbered.append((message, b""))
                continue
            self._seq += 1
            durable: Any = msgspec.structs.replace(message, seq=self._seq)
            record = event_record(durable, self._seq, from_engine=from_engine, epoch=self.epoch)
            records.append((self.journal.events, record))
            numbered.append((durable, record.payload))
        self._write(records, lambda: self._show(numbered))

    def _write(self, records: list[tuple[Log, Record]], then: Callable[[], None] = lambda: None) -> None:
        writes = []
        for log, record in records:
            segment, data, _ = log.plan(record)
            writes.append(Write(log, segment, data))

        def done(error: OSError | None) -> None:
            if error is None:
                then()
            else:
                self.outside.broke(self.id, "storage_full", f"the journal cannot be written: {error.strerror or error}")

        self.outside.commit(Submission(tuple(writes), self.durability, done))

    def _show(self, numbered: list[tuple[ServerMessage, bytes]]) -> None:
        merged = moved = 0
        for message, data in numbered:
            self.board.push(message)
            self.outside.seen(message)
            if data:
                self._tail.append((self.board.seq, data))
            for listener in self.listeners:
                if not data:
                    listener.outbox.put(message)
                elif isinstance(message, messages.TurnFinal | messages.TurnRetracted):
                    listener.outbox.settled(message.turn)
            if isinstance(message, messages.SpeakerMerged):
                merged = message.seq
            moved |= isinstance(message, messages.WatermarkMoved)
        self._wake()
        if merged and self._words is not None and (changed := self._words.relabel(self.board)):
            self._tell([(messages.WordsRelabelled(seq=0, words=changed, cause=merged), False)])
        if moved:
            self._settle_words()
        if self.board.ended and not self._over:
            self._over = True
            self.outside.ended(self.id)

    def _settle_words(self) -> None:
        if self._words is not None and (labelled := self._words.settle(self.board)):
            self._tell([(messages.WordsLabelled(seq=0, status="final", words=labelled), False)])

    def tick(self) -> None:
        """Words that have waited long enough are told provisionally."""
        if self._words is not None and (late := self._words.overdue(self.board, self.outside.now())):
            self._pass(messages.WordsLabelled(status="provisional", words=late))

    def _pass(self, message: ServerMessage) -> None:
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

    # -- after a restart -------------------------------------------------------------------------------------

    def recover(self, saved: Saved | None, unit: Unit) -> list[Item]:
        """Fold what was told, and give what has to be heard again, in order.

        saved: the snapshot that `unit` was restored from; None for a new unit
        """
        after = saved.told if saved else 0
        engine, over_at = 0, None
        for message, from_engine in self.journal.messages():
            self.board.push(message)
            self._tail.append((self.board.seq, encode(message)))
            if isinstance(message, messages.WordsLabelled) and self._words is not None:
                self._words.remember(message.words)
            if isinstance(message, messages.SessionFinalizing):
                self.ending = True
            if isinstance(message, messages.SessionFinal):
                over_at = message.samples
            if from_engine:
                engine += 1
                if engine > after:
                    self._expected.append(message)
        self._seq, self._told = self.board.seq, after
        over = {getattr(message, "turn", "") for message in self._expected}
        for turn in unit.session.state.turns.values():
            shown = TurnStarted(turn.turn, turn.revision, turn.speaker, turn.span)
            if not turn.final and turn_id(turn.turn) not in over:
                self.board.push(message_of(shown))
        self._over = self.board.ended
        self.epoch = saved.epoch if saved else 1
        self.received = self.processed = self._saved = saved.position if saved else 0
        items = self._again(saved.cursor if saved else None)
        if over_at is not None:  # the audio may be gone by now
            self.received = self.processed = over_at
        self.durable = self.received
        if self.ending and not any(isinstance(item, Finish) for item in items):
            items.append(Finish())
        self._recover_words()
        return items

    def _again(self, cursor: Cursor | None) -> list[Item]:
        width = WIDTHS[self.audio.encoding] * self.audio.channels
        items: list[Item] = []
        for record, _ in self.journal.input.records(cursor):
            self.epoch = max(self.epoch, record.epoch)
            match record.kind:
                case _ if record.kind == AUDIO:
                    items.append(Sound(record.payload, record.position))
                    self.received = record.position + len(record.payload) // width
                case _ if record.kind == COMMAND:
                    command = decode_client(record.payload)
                    if not isinstance(command, WordsAdd):
                        items.append(Order(command))  # type: ignore[arg-type]
                case _ if record.kind == END:
                    self.ending = True
                    items.append(Finish())
        return items

    def _recover_words(self) -> None:
        if self._words is None or self._over:
            return
        for record, _ in self.journal.input.records():
            if record.kind == COMMAND and isinstance(command := decode_client(record.payload), WordsAdd):
                self._words.add(command, self.outside.now())


def bare(message: ServerMessage) -> dict[str, Any]:
    """A message without what depends on when it was told."""
    value = messages.plain(message)
    return {name: item for name, item in value.items() if name not in ("seq", "latency_ms")}


def refusal(command: Any, why: str) -> messages.Error:
    """What a client hears about a message that cannot be done."""
    return messages.Error(code="bad_message", message=why, fatal=False, retryable=False, ref=messages.type_of(command))
