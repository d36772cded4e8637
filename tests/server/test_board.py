"""The fold of messages, and that any cut of them leads to the same."""

from __future__ import annotations

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.messages import KnownSpeaker, ServerMessage
from speakrs_stream.formats import render


def final(seq: int, turn: str, speaker: str, start: int, end: int) -> messages.TurnFinal:
    return messages.TurnFinal(seq=seq, turn=turn, rev=9, speaker=speaker, start_ms=start, end_ms=end)


STORY: list[ServerMessage] = [
    messages.SpeakerCreated(seq=1, speaker="S1", at_ms=0),
    messages.SpeakerCreated(seq=2, speaker="S2", at_ms=0),
    messages.TurnProvisional(turn="t_0001", rev=1, speaker="S1", start_ms=0, end_ms=900),
    messages.TurnProvisional(turn="t_0002", rev=1, speaker="S2", start_ms=1000, end_ms=2000),
    messages.TurnProvisional(turn="t_0003", rev=1, speaker="S2", start_ms=3000, end_ms=3500),
    final(3, "t_0001", "S1", 0, 1000),
    final(4, "t_0002", "S2", 1000, 2000),
    messages.TurnRetracted(seq=5, turn="t_0003", rev=2),
    messages.WatermarkMoved(seq=6, final_until_ms=2000, processed_until_ms=4000),
    messages.SpeakerNamed(seq=7, speaker="S1", name="Ann"),
    messages.SpeakerMerged(seq=8, speaker="S2", into="S1"),
    messages.TurnProvisional(turn="t_0004", rev=1, speaker="S2", start_ms=4000, end_ms=4500),
    messages.Pong(id=1),
]


def told(story: list[ServerMessage]) -> Board:
    board = Board()
    for message in story:
        board.push(message)
    return board


def test_the_fold() -> None:
    board = told(STORY)
    snapshot = board.snapshot()
    assert (snapshot.as_of, snapshot.final_until_ms, snapshot.processed_until_ms) == (8, 2000, 4000)
    assert [turn.turn for turn in snapshot.open_turns] == ["t_0004"] == [turn.turn for turn in board.open_turns]
    assert snapshot.speakers == (
        KnownSpeaker(speaker="S1", name="Ann"),
        KnownSpeaker(speaker="S2", merged_into="S1"),
    )
    assert board.who("S2") == "S1" and board.who("S9") == "S9"
    assert not board.ended


def test_the_live_result_is_the_fold_of_the_finals() -> None:
    live = told(STORY).live("rec", 5000)
    assert render(live, "rttm") == (
        "SPEAKER rec 1 0.000 1.000 <NA> <NA> S1 <NA> <NA>\nSPEAKER rec 1 1.000 1.000 <NA> <NA> S1 <NA> <NA>\n"
    )
    assert live.speakers[0].name == "Ann"
    assert [(a.id, a.speech_ms, a.name) for a in told(STORY).airtime(live)] == [("S1", 2000, "Ann")]


def test_who_is_near() -> None:
    board = told(STORY)
    assert board.near(950, 1050) == [(0, 1000, "S1"), (1000, 2000, "S1")]
    assert board.near(4100, 4200) == [(4000, 4500, "S1")]
    assert board.near(2500, 2600) == []
