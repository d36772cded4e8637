"""What waits to be read: everything that is numbered, of the rest the newest."""

from __future__ import annotations

from speakrs_clients.inbox import Inbox
from speakrs_clients.reducer import Reducer
from speakrs_clients.stream_events import ConnectionLost, Event
from speakrs_server import messages
from tests.clients.stories import durable, story


def read(inbox: Inbox) -> list[Event]:
    out = []
    while (event := inbox.take()) is not None:
        out.append(event)
    return out


def shown(turn: str, rev: int) -> messages.TurnProvisional:
    return messages.TurnProvisional(turn=turn, rev=rev, speaker="S1", start_ms=0, end_ms=1)


def test_only_the_newest_of_a_turn_is_kept() -> None:
    inbox = Inbox()
    lost = ConnectionLost("x", 0.1, 1)
    final = messages.TurnFinal(seq=1, turn="t_0001", rev=9, speaker="S1", start_ms=0, end_ms=1)
    for event in (shown("t_0001", 1), shown("t_0002", 1), lost, shown("t_0002", 2), lost, final):
        inbox.put(event)
    assert len(inbox) == 4 and read(inbox) == [lost, shown("t_0002", 2), lost, final]
    assert inbox.take() is None


def test_a_snapshot_takes_the_place_of_what_was_shown() -> None:
    inbox = Inbox()
    snapshot = messages.Snapshot(as_of=0, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
    for event in (shown("t_0001", 1), snapshot, shown("t_0002", 1), snapshot, shown("t_0003", 1)):
        inbox.put(event)
    assert read(inbox) == [snapshot, shown("t_0003", 1)]


def test_reading_late_comes_to_the_same() -> None:
    for seed in range(50):
        told = story(seed)
        inbox, late, all_of_it = Inbox(), Reducer(), Reducer()
        for message in told:
            inbox.put(message)
            all_of_it.push(message)
        events = read(inbox)
        assert [durable(e) for e in events if durable(e)] == [durable(m) for m in told if durable(m)]
        for event in events:
            late.push(event)  # type: ignore[arg-type]
        assert late.plain() == all_of_it.plain()
