"""Words go to who has the floor, by the rule that whole recordings follow."""

from __future__ import annotations

import random

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.labelling import TimedWord, label
from speakrs_server.messages import LabelledWord, ServerMessage, Share
from speakrs_stream.core.grid import Span
from speakrs_stream.words import UNKNOWN, Word, assign_words
from tests.server.test_board import STORY, final, told


def one(start: int, end: int, board: Board, *, ahead: bool = False) -> LabelledWord:
    return label([TimedWord("w", start, end)], board, ahead=ahead)[0]


def test_the_rule() -> None:
    board = told(STORY[:9])
    assert one(100, 400, board) == LabelledWord(id="w", speaker="S1", start_ms=100, end_ms=400, share=1.0)
    assert one(900, 1200, board).speaker == "S2"
    assert one(900, 1200, board).also == (Share(speaker="S1", share=0.333),)
    assert one(500, 500, board).speaker == "S1"
    assert one(2100, 2200, board).speaker == "S2", "nobody speaks, but somebody within a quarter second"
    assert one(2600, 2700, board) == LabelledWord(id="w", speaker="UU", start_ms=2600, end_ms=2700)
    assert label([], board) == ()


def test_whoever_speaks_at_the_edge_is_taken_to_go_on() -> None:
    board = told([*STORY[:2], messages.TurnProvisional(turn="t_0001", rev=1, speaker="S1", start_ms=0, end_ms=900)])
    board.push(messages.WatermarkMoved(seq=9, final_until_ms=0, processed_until_ms=1000))
    assert one(1500, 1700, board).speaker == "UU"
    assert one(1500, 1700, board, ahead=True).speaker == "S1"
    board.push(messages.WatermarkMoved(seq=10, final_until_ms=0, processed_until_ms=2000))
    assert one(2500, 2700, board, ahead=True).speaker == "UU", "that turn ended before what was heard"


def story(turns: int, seed: int) -> list[ServerMessage]:
    """A long conversation of five people who interrupt each other."""
    rng, at, told_so_far = random.Random(seed), 0, list[ServerMessage]()
    told_so_far += [messages.SpeakerCreated(seq=n, speaker=f"S{n}", at_ms=0) for n in range(1, 6)]
    spans = []
    for n in range(turns):
        length = rng.randint(200, 6000)
        spans.append((at, at + length, f"S{rng.randint(1, 5)}", f"t_{n:04}"))
        at = max(at + length + rng.randint(-1200, 900), at + 50)
    for n, (start, end, speaker, turn) in enumerate(sorted(spans, key=lambda span: span[1])):
        told_so_far.append(final(10 + n, turn, speaker, start, end))
    return told_so_far


def test_ten_thousand_words_are_as_over_the_whole_recording() -> None:
    board = told(story(900, 4))
    length = max(turn.end_ms for turn in story(900, 4) if isinstance(turn, messages.TurnFinal))
    rng = random.Random(5)
    starts = sorted(rng.randrange(length) for _ in range(10_000))
    words = [TimedWord(str(n), start, start + rng.randrange(600)) for n, start in enumerate(starts)]
    ours = [found for at in range(0, 10_000, 7) for found in label(words[at : at + 7], board)]
    spoken = [Word("", Span(16 * word.start_ms, 16 * word.end_ms)) for word in words]
    whole = assign_words(spoken, board.live("meeting", length))
    theirs = ["UU" if found.speaker == UNKNOWN else found.speaker for found in whole]
    assert len({found.speaker for found in ours}) >= 5
    assert sum(a.speaker == b for a, b in zip(ours, theirs, strict=True)) == 10_000
