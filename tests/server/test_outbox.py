"""Outboxes keep the newest of each kind and never grow."""

from __future__ import annotations

import json

from speakrs_server import messages
from speakrs_server.outbox import MOST_SINGLE, Outbox


def shown(turn: str, rev: int) -> messages.TurnProvisional:
    return messages.TurnProvisional(turn=turn, rev=rev, speaker="S1", start_ms=0, end_ms=rev)


def revisions(taken: list[bytes]) -> list[tuple[str, int]]:
    found = [messages.decode_server(data) for data in taken]
    return [(m.turn, m.rev) for m in found if isinstance(m, messages.TurnProvisional)]


def test_the_latest_of_each_turn() -> None:
    box = Outbox(0)
    for turn, rev in (("t_0001", 1), ("t_0002", 1), ("t_0001", 2)):
        box.put(shown(turn, rev))
    assert revisions(box.take(0.0)) == [("t_0002", 1), ("t_0001", 2)]
    assert box.take(0.0) == [] and box.deadline() is None


def test_what_is_settled_is_no_news() -> None:
    box = Outbox(0)
    box.put(shown("t_0001", 1))
    box.settled("t_0001")
    box.settled("t_0002")
    assert box.take(0.0) == []


def test_provisional_updates_keep_their_distance() -> None:
    box = Outbox(0, interval_s=1.0)
    box.put(shown("t_0001", 1))
    assert len(box.take(10.0)) == 1
    box.put(shown("t_0001", 2))
    assert box.deadline() == 11.0
    assert box.take(10.5) == []
    box.put(messages.Pong(id=1))
    assert box.deadline() == float("-inf")
    assert len(box.take(10.6)) == 1
    assert revisions(box.take(11.0)) == [("t_0001", 2)]


def test_who_wants_none_gets_none() -> None:
    box = Outbox(0, provisional=False)
    box.put(shown("t_0001", 1))
    assert box.deadline() is None


def test_it_never_grows() -> None:
    box = Outbox(0)
    for number in range(1000):
        box.put(messages.Pong(id=number))
        box.put(messages.AudioAck(received=number, durable=0, processed=0))
    taken = [messages.decode_server(data) for data in box.take(0.0)]
    assert len(taken) == MOST_SINGLE
    assert messages.AudioAck(received=999, durable=0, processed=0) in taken and messages.Pong(id=999) in taken


def words(batch: str, *texts: str) -> messages.WordsLabelled:
    said = tuple(messages.LabelledWord(id=text, speaker="S1", text=text) for text in texts)
    return messages.WordsLabelled(status="provisional", batch=batch, words=said)


def test_of_words_the_newest_of_each_batch_counts() -> None:
    box = Outbox(0, interval_s=1.0)
    for message in (words("a", "wreck"), words("b", "x"), words("a", "recognize")):
        box.put(message)
    taken = box.take(1.0)
    assert [(m["batch"], m["words"][0]["text"]) for m in map(json.loads, taken)] == [("b", "x"), ("a", "recognize")]
    box.put(words("a"))
    assert box.take(1.5) == [] and box.deadline() == 2.0
    assert len(box.take(2.0)) == 1 and box.deadline() is None
    for n in range(MOST_SINGLE + 9):
        box.put(words(str(n), "w"))
    assert len(box.take(9.0)) == MOST_SINGLE
    quiet = Outbox(0, provisional=False)
    quiet.put(words("a", "x"))
    assert quiet.take(9.0) == []
