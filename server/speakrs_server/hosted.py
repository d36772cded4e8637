"""One session on this server: what its client sends is written down and heard, what it is told is written down first.

Everything here runs in the event loop's thread. Messages get their number when they are made, and are shown to anybody
only once they, and all audio before them, are as safe as was promised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from speakrs_server import messages
from speakrs_server.board import PER_MS, Board
from speakrs_server.channels import Numbering, Survey
from speakrs_server.committer import Durability, Submission
from speakrs_server.frames import AudioFrame
from speakrs_server.journal import ATTACH, AUDIO, END, Caption, Description, Journal, Saved, command_record
from speakrs_server.messages import Command, ServerMessage, WordsAdd
from speakrs_server.records import Record
from speakrs_server.reseeding import Reseeded, reseed
from speakrs_server.teller import Listener, Teller
from speakrs_server.translation import UNNUMBERED, message_of
from speakrs_server.unit import Unit
from speakrs_server.word_desk import WordDesk
from speakrs_server.worker import Finish, Item, Mark, Order, Report, Sound
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE

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

    def heard(self, anomalies: Mapping[str, int]) -> None:
        """What was odd about the sound of a session that is over: kind -> samples."""
        ...

    def seen(self, message: ServerMessage, latency_ms: int | None) -> None:
        """A message was shown, for the figures; latency_ms: since the end of a new turn, or one that is final."""
        ...


@dataclass(slots=True, eq=False)
class Hosted:
    """A session."""

    description: Description
    """What it is."""
    journal: Journal
    """What is kept of it."""
    outside: Outside
    """The server."""
    received: int = 0
    """Sample at the client's rate up to which audio was received."""
    durable: int = 0
    """The same for audio that is as safe as was promised."""
    processed: int = 0
    """The same for audio that has been shown."""
    ending: bool = False
    """Whether no more audio comes."""
    told: int = 0
    """Messages so far that follow from the audio alone."""
    expected: deque[ServerMessage] = field(default_factory=deque)
    """Of those, the ones that were told before a restart and have not been heard again."""
    logged: int = 0
    """Of those, the ones that the journal had at a restart."""
    drifted: bool = False
    """Whether what is heard again differs from what was told."""
    reseeded: Reseeded | None = None
    """How what is heard becomes what is told, where they differ."""
    saved: int = 0
    """Sample at the client's rate of the newest snapshot."""
    confirmed: int = 1
    """Newest connection that sent sound or commands: its client has its token, and older ones are worth nothing."""
    over: bool = False
    """Whether the session is over."""
    words: WordDesk | None = None
    """Words and who says them; None for sessions without."""
    caption: Caption = field(default_factory=Caption)
    """How far the server's own recognizer was when this process took the session."""
    notes: tuple[messages.Warn, ...] = ()
    """What a new session's client should know."""
    recognizing: bool = False
    """Whether that recognizer still listens: the end waits for its words."""
    teller: Teller = field(init=False)
    """What listeners are told."""
    _arrivals: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=ARRIVALS))
    _saving: bool = False
    _heard_out: Unit | None = None  # where everything was heard and words are waited for
    _numbering: Numbering = field(init=False)

    def __post_init__(self) -> None:
        self.teller = Teller(self.journal, self.durability, self.outside.commit, self._shown, self._failed)
        audio = self.audio
        self._numbering = Numbering(audio.channels if audio.channel_mode == "separate" else 1)
        words = self.description.request.words
        if words is not None and words.enabled:
            self.words = WordDesk(words, self.teller, self.journal, self.outside.now)

    # -- facts -----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its name."""
        return self.description.id

    @property
    def board(self) -> Board:
        """What listeners know."""
        return self.teller.board

    @property
    def listeners(self) -> list[Listener]:
        """Connections that are told."""
        return self.teller.listeners

    @property
    def epoch(self) -> int:
        """Of the newest connection."""
        return self.teller.epoch

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
        """A new session: its first message, and what else its client should know."""
        told: list[ServerMessage] = [started, *self.notes]
        self.teller.tell([(message, False) for message in told])

    def attach(self, epoch: int) -> None:
        """A newer connection took over."""
        self.teller.epoch = epoch
        if not self.over:
            self.teller.write([(self.journal.input, Record(ATTACH, 0, self.received, epoch, b""))])

    def sound(self, frame: AudioFrame) -> None:
        """Audio that was checked."""
        self.confirmed = self.epoch
        record = Record(AUDIO, 0, frame.offset, self.epoch, frame.payload)
        self.received = end = frame.offset + frame.samples
        self._arrivals.append((end, self.outside.now()))

        def written() -> None:
            self.durable = max(self.durable, end)

        self.teller.write([(self.journal.input, record)], written)
        self.outside.give(self.id, Sound(frame.payload, frame.offset))

    def command(self, command: Command | WordsAdd) -> str | None:
        """Something the client asks; why it is refused, None where it is not (yet)."""
        self.confirmed = self.epoch
        if isinstance(command, WordsAdd):
            if self.words is None:
                return "this session was opened without words"
            return self.words.take(command, self.received)
        self.teller.write([(self.journal.input, command_record(command, self.received, self.epoch))])
        self.outside.give(self.id, Order(command))
        return None

    def end(self) -> None:
        """No more audio comes."""
        if self.ending:
            return
        self.ending = True
        self.teller.write([(self.journal.input, Record(END, 0, self.received, self.epoch, b""))])
        self.teller.tell([(messages.SessionFinalizing(seq=0, left_ms=self.unworked_ms), False)])
        self.outside.give(self.id, Finish())

    # -- what the worker reports -----------------------------------------------------------------------------

    def report(self, report: Report) -> None:
        """Something was heard."""
        if report.processed is not None:
            self.processed = max(self.processed, report.processed)
        if report.events:
            self._heard([told for event in report.events for told in self._messages(event, report.commanded)])
        if report.refused is not None:
            command, why = report.refused
            self.teller.pass_on(refusal(command, why))
        if report.mark is not None:
            cursor, stream = report.mark
            position, place, epoch, confirmed = cursor
            plain = self.reseeded.plain() if self.reseeded else None
            saved = Saved(stream, place, position, self.told, epoch, plain, confirmed)
            self._saving = not self.drifted
            if self._saving:
                self.teller.write([], lambda: self.outside.save(self.id, self.journal, saved))
        if report.survey is not None and (self.drifted or (self.expected and not self.ending)):
            self._reseed(report.survey)
        if report.finished is not None:
            unit = report.finished
            if self.drifted or self.expected:
                self._reseed(unit.survey())
            self.outside.heard(unit.anomalies)
            for warning in unit.quality:
                self.teller.pass_on(messages.Warn(code="audio", message=warning))
            self.teller.write([], lambda: self._concluding(unit))
        if report.fault is not None:
            self.outside.broke(self.id, *report.fault)

    def _messages(self, event: Event, commanded: bool) -> Iterator[ServerMessage]:
        """What is told about an event. commanded: whether the client asked for it."""
        message = message_of(event, self._latency, self._numbering)
        yield message
        if isinstance(message, messages.SpeakerNamed) and not commanded:
            for voice in self.description.request.speakers.known:
                if message.name == (voice.name or voice.enrolment):
                    yield messages.SpeakerIdentified(
                        seq=UNNUMBERED, speaker=message.speaker, name=message.name, enrolment=voice.enrolment
                    )
                    return

    def _heard(self, told: list[ServerMessage]) -> None:
        fresh: list[tuple[ServerMessage, bool]] = []
        for heard in told:
            message = self.reseeded.message(heard) if self.reseeded else heard
            if message is None or self.drifted:
                continue
            if isinstance(message, messages.TurnProvisional):
                fresh.append((message, False))
                continue
            self.told += 1
            if not self.expected:
                fresh.append((message, True))
            elif bare(message) != bare(self.expected.popleft()):
                self.drifted = True
        if not self.drifted:
            self.teller.tell(fresh)

    def _reseed(self, survey: Survey) -> None:
        """Everything was heard again, and differs from what was told: go on from what was told."""
        self.reseeded, told = reseed(self.board, survey, self._numbering)
        self.drifted, self.told = False, self.logged
        self.expected.clear()
        self.teller.tell([(message, False) for message in told])
        self.teller.pass_on(messages.Warn(code="reheard", message="some audio was heard otherwise after a restart"))
        self._ask_for_snapshot()

    def _age(self, message: ServerMessage) -> int | None:
        if isinstance(message, messages.TurnProvisional) and message.rev == 1:
            return self._latency(message.end_ms * PER_MS)
        return message.latency_ms if isinstance(message, messages.TurnFinal) else None

    def _latency(self, sample: int) -> int | None:
        """Milliseconds since a sample at 16 kHz was received; None where that is not remembered."""
        wanted = sample * self.audio.sample_rate // SAMPLE_RATE
        arrived = None
        for end, at in reversed(self._arrivals):  # what is asked for came lately
            if end < wanted:
                break
            arrived = at
        return None if arrived is None else round((self.outside.now() - arrived) * 1000)

    def want_snapshot(self, interval_s: int) -> None:
        """Ask for a snapshot when enough was heard since the last; rarer as the session, and so the snapshot, grows."""
        due = max(interval_s * self.audio.sample_rate, self.processed // 20)
        if self.ending or self._saving or self.processed - self.saved < due:
            return
        self._ask_for_snapshot()

    def _ask_for_snapshot(self) -> None:
        self.saved, self._saving = self.processed, True
        self.outside.give(self.id, Mark((self.received, self.journal.input.end, self.epoch, self.confirmed)))

    def snapshot_saved(self) -> None:
        """The snapshot is on the disk."""
        self._saving = False

    # -- the end ---------------------------------------------------------------------------------------------

    def recognized(self) -> None:
        """The server's own recognizer said everything, or gave up."""
        self.recognizing = False
        if (unit := self._heard_out) is not None:
            self.teller.write([], lambda: self._concluding(unit))

    def _concluding(self, unit: Unit) -> None:
        if self.recognizing:
            self._heard_out = unit
            return
        if self.words is not None:
            self.words.conclude()
        self.teller.write([], lambda: self.outside.conclude(self.id, unit))

    def concluded(self, final: messages.SessionFinal) -> None:
        """The results are on the disk."""
        self.teller.tell([(final, False)])

    # -- what was told ---------------------------------------------------------------------------------------

    def _shown(self, told: Sequence[ServerMessage]) -> None:
        for message in told:
            self.outside.seen(message, self._age(message))
        if self.words is not None:
            self.words.heard(told)
        if self.board.ended and not self.over:
            self.over = True
            self.outside.ended(self.id)

    def _failed(self, error: OSError) -> None:
        self.outside.broke(self.id, "storage_full", f"the journal cannot be written: {error.strerror or error}")

    def tick(self) -> None:
        """Time went by: words that have waited long enough are shown."""
        if self.words is not None:
            self.words.tick()


def bare(message: ServerMessage) -> dict[str, Any]:
    """A message without what depends on when it was told."""
    value = messages.plain(message)
    return {name: item for name, item in value.items() if name not in ("seq", "latency_ms")}


def refusal(command: Any, why: str) -> messages.Error:
    """What a client hears about a message that cannot be done."""
    return messages.Error(code="bad_message", message=why, fatal=False, retryable=False, ref=messages.type_of(command))
