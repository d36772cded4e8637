"""The fold of messages: the rules of its docstring, and that being away for a while changes nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from speakrs_clients.reducer import Reducer, ShownWord
from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.messages import KnownSpeaker, LabelledWord, OpenTurn, RelabelledWord, ServerMessage
from speakrs_stream.errors import SessionError
from tests.clients.stories import durable, interrupted, story


def folded(told: list[ServerMessage], start: Reducer | None = None) -> Reducer:
    reducer = start or Reducer()
    for message in told:
        reducer.push(message)
    return reducer


def settled(reducer: Reducer) -> dict[str, Any]:
    """The state without provisional labels of words, which are not told again."""
    plain = reducer.plain()
    plain["words"] = {name: word for name, word in plain["words"].items() if word["final"]}
    return plain


@pytest.mark.parametrize("end", [True, False])
def test_being_away_changes_nothing(end: bool) -> None:
    for seed in range(400):
        told = story(seed, 50, end=end)
        chance = random.Random(seed)
        assert settled(folded(interrupted(told, chance))) == settled(folded(told)), seed
        assert settled(folded(told)) == folded(told).plain() or not end


def test_the_server_folds_to_the_same() -> None:
    for seed in range(300):
        told = story(seed, 50, end=False)
        board, reducer = Board(), folded(told)
        for message in told:
            board.push(message)
        snapshot = board.snapshot()
        assert {turn.turn: turn for turn in snapshot.open_turns} == reducer.open
        assert {known.speaker: known for known in snapshot.speakers} == reducer.speakers
        assert (snapshot.as_of, snapshot.final_until_ms) == (reducer.seq, reducer.final_until_ms)


def test_hearing_again_changes_nothing_and_a_lost_message_is_noticed() -> None:
    told = [message for message in story(3) if durable(message)]
    reducer = folded(told)
    before = reducer.plain()
    assert not any(reducer.push(message) for message in told)
    assert reducer.plain() == before
    with pytest.raises(SessionError, match="message 2 follows message 0"):
        Reducer().push(told[1])
    assert Reducer(seq=1).push(told[1])


def shown(turn: str, rev: int, speaker: str = "S1", end: int = 900) -> messages.TurnProvisional:
    return messages.TurnProvisional(turn=turn, rev=rev, speaker=speaker, start_ms=0, end_ms=end)


def test_a_turn_only_goes_forward() -> None:
    reducer = folded([shown("t_0001", 2), shown("t_0002", 1)])
    assert not reducer.push(shown("t_0001", 2, end=950)) and not reducer.push(shown("t_0001", 1))
    assert reducer.push(messages.TurnFinal(seq=1, turn="t_0001", rev=5, speaker="S1", start_ms=0, end_ms=800))
    assert reducer.push(messages.TurnRetracted(seq=2, turn="t_0002", rev=3))
    assert not reducer.push(shown("t_0001", 9)) and not reducer.push(shown("t_0002", 9))
    assert reducer.final["t_0001"].end_ms == 800 and not reducer.open


def test_a_snapshot_replaces_what_is_open() -> None:
    reducer = folded([shown("t_0001", 1), shown("t_0002", 7), shown("t_0003", 1)])
    reducer.push(messages.TurnRetracted(seq=1, turn="t_0003", rev=2))
    known = tuple(
        OpenTurn(turn=turn, rev=3, speaker="S1", start_ms=0, end_ms=1) for turn in ("t_0002", "t_0003", "t_0004")
    )
    speakers = (KnownSpeaker(speaker="S1", name="old"), KnownSpeaker(speaker="S2"))
    reducer.push(messages.SpeakerNamed(seq=2, speaker="S1", name="new"))
    reducer.push(
        messages.Snapshot(as_of=1, open_turns=known, speakers=speakers, final_until_ms=5, processed_until_ms=9)
    )
    assert {turn: value.rev for turn, value in reducer.open.items()} == {"t_0002": 7, "t_0004": 3}
    assert reducer.label("S1") == "new" and set(reducer.speakers) == {"S1", "S2"}
    assert (reducer.seq, reducer.final_until_ms, reducer.processed_until_ms) == (2, 5, 9)


def test_merges_names_and_words() -> None:
    reducer = folded(
        [
            messages.SpeakerCreated(seq=1, speaker="S1", at_ms=0),
            messages.SpeakerCreated(seq=2, speaker="S2", at_ms=0),
            messages.SpeakerMerged(seq=3, speaker="S2", into="S1"),
            messages.SpeakerNamed(seq=4, speaker="S1", name="Ann"),
            messages.WordsLabelled(status="provisional", words=(LabelledWord(id="a", speaker="S2"),)),
            messages.WordsLabelled(seq=5, status="final", words=(LabelledWord(id="b", speaker="S2"),)),
            messages.WordsLabelled(status="provisional", words=(LabelledWord(id="b", speaker="UU"),)),
            messages.WordsRelabelled(seq=6, words=(RelabelledWord(id="b", speaker="S1"),), cause=3),
        ]
    )
    assert reducer.label("S2") == "Ann" and reducer.label("S7") == "S7"
    assert reducer.words == {"a": ShownWord("S2", False), "b": ShownWord("S1", True)}


def test_what_shows_nothing_is_no_news() -> None:
    reducer = Reducer()
    assert not reducer.push(messages.Pong(id=1)) and reducer.plain() == Reducer().plain()
    assert reducer.push(messages.SessionFinalizing(seq=1, left_ms=0)) and reducer.seq == 1


def test_words_that_a_recognizer_takes_back_vanish() -> None:
    def labelled(status: str, *names: str, seq: int | None = None) -> messages.WordsLabelled:
        words = tuple(LabelledWord(id=name, speaker="S1", text=name.upper(), start_ms=1, end_ms=2) for name in names)
        kind = "final" if status == "final" else "provisional"
        return messages.WordsLabelled(status=kind, batch="u0", words=words, seq=seq)  # type: ignore[arg-type]

    reducer = Reducer()
    reducer.push(labelled("provisional", "a", "b", "c"))
    reducer.push(labelled("provisional", "a", "b"))
    assert reducer.words["b"] == ShownWord("S1", False, "B", 1, 2) and "c" not in reducer.words
    reducer.push(labelled("final", "a", seq=1))
    reducer.push(labelled("provisional", "a"))
    assert set(reducer.words) == {"a"} and reducer.words["a"].final
    reducer.push(labelled("provisional", "d"))
    reducer.push(messages.WordsRelabelled(seq=2, words=(RelabelledWord(id="a", speaker="S2"),), cause=1))
    assert reducer.words["a"] == ShownWord("S2", True, "A", 1, 2)
    assert not reducer.push(messages.Pong(id=1)) and set(reducer.words) == {"a", "d"}
