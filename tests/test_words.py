from __future__ import annotations

import random

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.errors import ConfigError
from speakrs_stream.words import UNKNOWN, LabelledWord, Share, Word, assign_words

S = 16_000
TALK = Diarization(
    "talk",
    20 * S,
    (Turn(Span(0, 4 * S), "A"), Turn(Span(3 * S, 8 * S), "B"), Turn(Span(10 * S, 12 * S), "A")),
    (Turn(Span(0, 4 * S), "A"), Turn(Span(4 * S, 8 * S), "B"), Turn(Span(10 * S, 12 * S), "A")),
    (Speaker("A"), Speaker("B")),
)


def word(start: float, end: float, group: int = 0) -> Word:
    return Word("word", Span(round(start * S), round(end * S)), True, group)


def one(start: float, end: float, max_gap: float = 0.25) -> LabelledWord:
    (labelled,) = assign_words([word(start, end)], TALK, max_gap=max_gap)
    return labelled


def test_the_one_who_has_the_floor_longest() -> None:
    assert one(1, 2) == LabelledWord(word(1, 2), "A", 1.0)
    assert one(3.7, 4.2).speaker == "A"
    assert one(3.9, 4.2).speaker == "B"
    assert one(3.9, 4.2).share == pytest.approx(2 / 3)
    assert one(3.75, 4.25).speaker == "A"  # equal: the earlier turn


def test_who_else_speaks() -> None:
    assert one(2.5, 3.5).also == (Share("B", 0.5),)
    assert one(5, 6).also == ()
    assert one(3.9, 4.2).also == (Share("A", 1_600 / 4_800),)


def test_pauses_go_to_the_nearest_turn_if_it_is_near() -> None:
    assert one(8.1, 8.3).speaker == "B" and one(8.1, 8.3).share == 0
    assert one(9.6, 9.8).speaker == "A"
    assert one(8.3, 9.7).speaker == UNKNOWN
    assert one(8.3, 9.7, max_gap=0.3).speaker == "B"  # equally far: the earlier turn
    assert one(12.25, 13).speaker == "A"
    assert one(12.26, 13).speaker == UNKNOWN
    assert one(8, 8.1, max_gap=0).speaker == "B"


def test_words_of_no_length() -> None:
    assert one(4, 4).speaker == "B"
    assert one(1, 1).share == 1
    assert one(9, 9).speaker == UNKNOWN


def test_words_without_a_time_go_with_their_neighbours() -> None:
    words = [
        Word("a", None, False, 0),
        word(1, 2, 0),
        Word("b", None, False, 0),
        Word("c", None, False, 1),
        Word("d", None, False, 2),
        word(5, 6, 2),
        word(9, 9.1, 3),
        Word("e", None, False, 3),
    ]
    speakers = [labelled.speaker for labelled in assign_words(words, TALK)]
    assert speakers == ["A", "A", "A", UNKNOWN, "B", "B", UNKNOWN, UNKNOWN]


def test_nobody_speaks_and_nothing_is_said() -> None:
    nobody = Diarization("x", 0, (), (), ())
    assert [w.speaker for w in assign_words([word(0, 1), Word("x", None)], nobody)] == [UNKNOWN] * 2
    assert assign_words([], TALK) == []


def test_impossible_gaps_are_refused() -> None:
    for gap in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="max_gap"):
            assign_words([], TALK, max_gap=gap)


def test_as_a_plain_count_of_samples_would_have_it() -> None:
    rng = random.Random(11)
    for _ in range(100):
        turns = []
        for label in "ABC":
            at = 0
            for _ in range(6):
                at += rng.randrange(1, 40)
                end = at + rng.randrange(1, 40)
                turns.append(Turn(Span(at, end), label))
                at = end
        diarization = Diarization.from_turns(turns)
        start = rng.randrange(0, 300)
        span = Span(start, start + rng.randrange(1, 30))
        (labelled,) = assign_words([Word("x", span)], diarization, max_gap=0)
        counts = dict.fromkeys("ABC", 0)
        heard = dict.fromkeys("ABC", 0)
        for sample in range(span.start, span.end):
            for turn in diarization.exclusive:
                counts[turn.speaker] += turn.span.start <= sample < turn.span.end
            for label in "ABC":
                heard[label] += any(t.speaker == label and t.span.start <= sample < t.span.end for t in turns)
        if max(counts.values()):
            assert counts[labelled.speaker] == max(counts.values())
            assert labelled.share == pytest.approx(counts[labelled.speaker] / span.samples)
        assert {s.speaker: s.share for s in labelled.also} == {
            label: pytest.approx(count / span.samples)
            for label, count in heard.items()
            if count and label != labelled.speaker
        }
