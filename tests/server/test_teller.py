"""What listeners are told: numbered in order, kept in memory as far as there is room, read back in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speakrs_server import messages, teller
from speakrs_server.committer import Submission, commit
from speakrs_server.identifiers import new_session
from speakrs_server.journal import Store
from speakrs_server.messages import ServerMessage
from speakrs_server.outbox import Outbox
from speakrs_server.teller import Listener, Teller


def created(number: int) -> messages.SpeakerCreated:
    return messages.SpeakerCreated(seq=0, speaker=f"S{number}", at_ms=number)


def test_durable_and_passing_messages_keep_their_order(tmp_path: Path) -> None:
    journal, shown = Store(tmp_path).create(new_session()), list[ServerMessage]()
    told = Teller(journal, "written", lambda submission: commit([submission]), shown.extend, lambda error: None)
    box, woken = Outbox(0), []
    told.listeners.append(Listener(box, lambda: woken.append(1)))
    turn = messages.TurnProvisional(turn="t_0001", rev=1, speaker="S1", start_ms=0, end_ms=10)
    told.tell([(created(1), True), (turn, False), (messages.Pong(id=1), False)])
    told.tell([])
    assert [getattr(message, "seq", None) for message in shown] == [1, None, None]
    assert told.board.open_turns[0].turn == "t_0001" and woken
    assert len(box.take(0.0)) == 2, "durable messages are read from the log, not from the outbox"
    told.tell([(messages.TurnRetracted(seq=0, turn="t_0001", rev=2), True)])
    assert told.tail(0, 10) == journal.told(0, 10) and told.tail(1, 1) == journal.told(1, 1)
    journal.close()


def test_old_messages_are_in_the_journal_alone(tmp_path: Path) -> None:
    journal = Store(tmp_path).create(new_session())
    told = Teller(journal, "written", lambda submission: commit([submission]), lambda shown: None, lambda error: None)
    for number in range(1, teller.TAIL + 11):
        told.tell([(created(number), True)])
    assert not told.in_memory(9) and told.in_memory(10)
    assert len(journal.told(0, 10)) == 10
    journal.close()


def test_nothing_follows_where_writing_fails(tmp_path: Path) -> None:
    journal, shown, failed = Store(tmp_path).create(new_session()), list[ServerMessage](), list[OSError]()

    def fails(submission: Submission) -> None:
        submission.done(OSError(28, "No space left on device"))

    def show(messages: Sequence[ServerMessage]) -> None:
        shown.extend(messages)

    Teller(journal, "written", fails, show, failed.append).tell([(created(1), True)])
    assert not shown and failed[0].errno == 28
    journal.close()
