"""A session without threads: what is told, when it is shown, and that it is the same after a restart anywhere."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speakrs_server import messages
from speakrs_server.committer import Submission, commit
from speakrs_server.frames import AudioFrame
from speakrs_server.hosted import Hosted, bare, refusal
from speakrs_server.identifiers import new_session
from speakrs_server.journal import Description, Journal, Saved, Store
from speakrs_server.outbox import Outbox
from speakrs_server.recovery import recover
from speakrs_server.results import finish, offline
from speakrs_server.teller import Listener
from speakrs_server.unit import Unit
from speakrs_server.worker import Ask, Finish, Item, Mark, Order, Report, Sound
from speakrs_stream.driver import answer
from tests.server.rig import engine, talk
from tests.server.test_unit import recipe

REQUEST = messages.SessionStart(words=messages.WordsOption(max_wait_ms=0))


class Inline:
    """A server that does everything at once, in the caller's thread; commits when it is told to."""

    def __init__(self) -> None:
        self.unit = Unit(recipe())
        self.waiting: deque[Submission] = deque()
        self.items: deque[Item] = deque()
        self.broken: list[str] = []
        self.hosted: Hosted
        self.over = False
        self.clock = 0.0

    def now(self) -> float:
        return self.clock

    def commit(self, submission: Submission) -> None:
        self.waiting.append(submission)

    def give(self, session: str, item: Item) -> None:
        self.items.append(item)

    def save(self, session: str, journal: Journal, saved: Saved) -> None:
        journal.save(saved)
        self.hosted.snapshot_saved()

    def conclude(self, session: str, unit: Unit) -> None:
        final = offline(session, unit, engine())
        digest, received = self.hosted.journal.audio_digest(), self.hosted.received
        self.hosted.concluded(finish(session, self.hosted.board, final, digest, received).message)

    def broke(self, session: str, code: str, message: str) -> None:
        self.broken.append(code)

    def ended(self, session: str) -> None:
        self.over = True

    def seen(self, message: messages.ServerMessage, latency_ms: int | None) -> None:
        assert message

    def heard(self, anomalies: Mapping[str, int]) -> None:
        assert "clipped" in anomalies

    def work(self) -> None:
        """Hear, and write, until nothing is left."""
        while self.items or self.waiting:
            while self.waiting:
                commit([self.waiting.popleft()])
            if self.items:
                self._hear(self.items.popleft())

    def _hear(self, item: Item) -> None:
        unit, name = self.unit, self.hosted.id
        match item:
            case Sound():
                unit.push(item.payload, item.offset)
            case Order():
                self.hosted.report(Report(name, tuple(unit.command(item.command)), unit.processed))
            case Mark():
                self.hosted.report(Report(name, mark=(item.name, unit.snapshot())))
            case Ask():
                self.hosted.report(Report(name, survey=unit.survey()))
            case Finish():
                unit.finish()
        self.hosted.report(Report(name, tuple(answer(unit, engine().networks)), unit.processed))
        if isinstance(item, Finish):
            events = [*unit.close(), *answer(unit, engine().networks)]
            self.hosted.report(Report(name, tuple(events), unit.position, finished=unit))


def opened(tmp_path: Path) -> Inline:
    store, name = Store(tmp_path), new_session()
    outside = Inline()
    description = Description(
        id=name,
        key="ann",
        created=0.0,
        request=REQUEST,
        max_delay_ms=2000,
        durability="written",
        resume_window_s=300,
        fingerprint="f",
    )
    journal = store.create(name)
    journal.describe(description)
    outside.hosted = Hosted(description, journal, outside)
    outside.hosted.open(
        messages.SessionStarted(
            seq=0,
            protocol="1.0",
            session=name,
            server="test",
            models=messages.Models(bundle="b", sha256="s"),
            audio=REQUEST.audio,
            max_delay_ms=2000,
            durability="written",
            resume=messages.Resume(token="t", window_s=1),
            limits=messages.Limits(
                max_frame_bytes=1, max_frame_ms=1, max_unacked_ms=1, max_rate=1.0, max_session_s=1, idle_s=1.0
            ),
            heartbeat_s=1.0,
        )
    )
    return outside


def again(outside: Inline) -> Inline:
    """The same session after its process was killed: only what is on the disk counts."""
    old = outside.hosted
    old.journal.close()
    fresh = Inline()
    journal = Journal(old.journal.folder)
    journal.open()
    fresh.hosted = Hosted(old.description, journal, fresh)
    saved = next(journal.snapshots(), None)
    fresh.unit = Unit.restore(saved.stream, recipe()) if saved else Unit(recipe())
    fresh.items.extend(recover(fresh.hosted, saved, fresh.unit))
    return fresh


def send(outside: Inline, data: bytes, until: int) -> None:
    for at in range(outside.hosted.received, until, 8_000):
        end = min(at + 8_000, until)
        outside.hosted.sound(AudioFrame(at, end - at, data[2 * at : 2 * end]))


def log_of(outside: Inline) -> list[dict[str, Any]]:
    return [json.loads(data) for data in outside.hosted.journal.told(0, 10**6)]


def comparable(outside: Inline) -> list[dict[str, Any]]:
    found = [bare(message) for message, from_engine in outside.hosted.journal.messages() if from_engine]
    return found


def finished(outside: Inline) -> Inline:
    send(outside, talk(), len(talk()) // 2)
    outside.hosted.end()
    outside.hosted.end()
    outside.work()
    assert outside.over and not outside.broken
    return outside


def test_nothing_is_shown_before_it_is_written(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    box = Outbox(0)
    outside.hosted.listeners.append(Listener(box, lambda: None))
    send(outside, talk(), 100_000)
    assert (outside.hosted.board.seq, outside.hosted.durable, outside.hosted.received) == (0, 0, 100_000)
    outside.work()
    assert outside.hosted.board.seq > 1 and outside.hosted.durable == 100_000
    assert outside.hosted.ack() == messages.AudioAck(received=100_000, durable=100_000, processed=96_000)
    assert box.take(0.0), "turns that may still change were shown"
    tail = outside.hosted.teller.tail(0, 100)
    assert tail == outside.hosted.journal.told(0, 100) and outside.hosted.teller.in_memory(0)
    assert outside.hosted.teller.tail(1, 1) == tail[1:2]


def test_a_journal_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    outside.work()
    outside.hosted.journal.input.broken = True
    send(outside, talk(), 8_000)
    outside.work()
    assert outside.broken == ["storage_full"] and outside.hosted.durable == 0


def test_refusals() -> None:
    error = refusal(messages.TurnReject(turn="t_0001"), "why")
    assert (error.ref, error.fatal) == ("turn.reject", False)
