from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import LiveSpeaker, LiveTurn, Reducer, StreamState, fold
from speakrs_stream.errors import SessionError
from tests.live_conversations import flat, run

START: list[Event] = [SpeakerCreated(1, 10), SpeakerCreated(2, 20), SpeakerCreated(3, 20)]
TALK: list[Event] = [
    *START,
    TurnStarted(1, 1, 1, Span(0, 50)),
    TurnStarted(2, 1, 2, Span(40, 90)),
    TurnRevised(1, 2, 1, Span(0, 55)),
    TurnRelabelled(2, 2, 2, 3, Span(40, 91)),
    Watermark(0, 100),
    TurnFinal(1, 3, 1, Span(0, 60)),
    TurnStarted(3, 1, 2, Span(80, 100)),
    TurnRetracted(3, 2),
    SpeakerNamed(3, "Ann"),
    SpeakerSplit(1, (1, 2)),
    SpeakerMerged(2, 1),
    Watermark(70, 100),
]


def reduced(events: Iterable[Event]) -> Reducer:
    reducer = Reducer()
    for event in events:
        reducer.push(event)
    return reducer


def test_what_the_events_say_is_what_is_shown() -> None:
    state = fold(StreamState(), TALK)
    assert dict(state.turns) == {1: LiveTurn(1, 3, 1, Span(0, 60), True), 2: LiveTurn(2, 2, 3, Span(40, 91), False)}
    assert dict(state.speakers) == {1: LiveSpeaker(1), 2: LiveSpeaker(2, None, 1), 3: LiveSpeaker(3, "Ann")}
    assert (state.watermark, state.processed, state.last_turn) == (70, 100, 3)


def test_merges_are_followed_to_the_end() -> None:
    state = fold(StreamState(), [*START, SpeakerMerged(3, 2), SpeakerMerged(2, 1), SpeakerNamed(1, "Bob")])
    assert [state.who(number) for number in (1, 2, 3)] == [1, 1, 1]
    assert [state.label(number) for number in (1, 2, 3)] == ["Bob", "Bob", "Bob"]
    assert state.who(9) == 9 and state.label(9) == "S9"
    reducer = reduced([*START, SpeakerMerged(3, 2), SpeakerMerged(2, 1)])
    assert reducer.living() == 1


@pytest.mark.parametrize("cut", range(len(TALK) + 1))
def test_any_cut_folds_to_the_same(cut: int) -> None:
    assert fold(fold(StreamState(), TALK[:cut]), TALK[cut:]) == fold(StreamState(), TALK)
    assert reduced(TALK[:cut]).state == fold(StreamState(), TALK[:cut])


def test_a_state_never_changes_under_its_holder() -> None:
    reducer = reduced(TALK[:6])
    early = reducer.state
    wanted = fold(StreamState(), TALK[:6])
    for event in TALK[6:]:
        reducer.push(event)
    assert early == wanted
    with pytest.raises(TypeError):
        early.turns[1] = early.turns[2]  # type: ignore[index]


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (TurnStarted(2, 1, 1, Span(0, 1)), "used before"),
        (TurnStarted(3, 1, 1, Span(0, 1)), "used before"),
        (TurnStarted(4, 1, 9, Span(0, 1)), "speaker 9 was never created"),
        (TurnRevised(1, 9, 1, Span(0, 1)), "cannot change"),
        (TurnRevised(3, 9, 2, Span(0, 1)), "cannot change"),
        (TurnRevised(8, 1, 1, Span(0, 1)), "cannot change"),
        (TurnRevised(2, 2, 3, Span(0, 1)), "from revision 2 to 2"),
        (TurnRevised(2, 3, 1, Span(0, 1)), "was shown as speaker 3, not 1"),
        (TurnRelabelled(2, 3, 2, 1, Span(0, 1)), "was shown as speaker 3, not 2"),
        (TurnRelabelled(2, 3, 3, 9, Span(0, 1)), "speaker 9 was never created"),
        (TurnFinal(1, 4, 1, Span(0, 60)), "cannot change"),
        (TurnFinal(2, 1, 3, Span(40, 91)), "from revision 2 to 1"),
        (TurnFinal(2, 3, 9, Span(40, 91)), "speaker 9 was never created"),
        (TurnRetracted(1, 4), "cannot change"),
        (TurnRetracted(3, 3), "cannot change"),
        (SpeakerCreated(3, 0), "created before"),
        (SpeakerNamed(9, "Eve"), "speaker 9 was never created"),
        (SpeakerSplit(9, (9, 1)), "speaker 9 was never created"),
        (SpeakerMerged(9, 1), "speaker 9 was never created"),
        (SpeakerMerged(3, 9), "speaker 9 was never created"),
        (SpeakerMerged(3, 3), "cannot be merged"),
        (SpeakerMerged(2, 3), "cannot be merged"),
        (SpeakerMerged(1, 2), "cannot be merged"),
        (Watermark(69, 100), "backwards"),
        (Watermark(70, 99), "backwards"),
    ],
)
def test_what_cannot_follow_is_refused_and_changes_nothing(event: Event, complaint: str) -> None:
    reducer = reduced(TALK)
    before = reducer.state
    with pytest.raises(SessionError, match=complaint):
        reducer.push(event)
    assert reducer.state == before


def test_latest_turns_are_those_that_end_after_a_sample() -> None:
    for seed in range(0, 60, 3):
        state = run(seed).session.state
        reducer = Reducer(state)
        for since in np.random.default_rng(seed).integers(0, run(seed).case.script.samples + 2, 5).tolist():
            wanted = {turn.turn for turn in state.turns.values() if turn.span.end > since}
            latest = reducer.latest(since)
            assert {turn.turn for turn, _ in latest} == wanted
            assert all(state.turns[turn.turn] == turn and state.who(turn.speaker) == who for turn, who in latest)


def test_latest_turns_of_a_long_stream() -> None:
    reducer = reduced(START[:1])
    step = 30 * SAMPLE_RATE
    for turn in range(1, 2_001):
        span = Span(turn * step, turn * step + SAMPLE_RATE)
        reducer.push(TurnStarted(turn, 1, 1, span))
        reducer.push(TurnRevised(turn, 2, 1, span))
        reducer.push(TurnFinal(turn, 3, 1, span))
    found = [turn.turn for turn, _ in reducer.latest(1_990 * step)]
    assert sorted(found) == list(range(1_990, 2_001))
    assert reducer.latest(2_001 * step) == []


def test_plain_values_survive_json() -> None:
    for seed in range(5):
        events = flat(run(seed).groups)
        for cut in (0, len(events) // 3, len(events)):
            reducer = reduced(events[:cut])
            again = Reducer.of(json.loads(json.dumps(reducer.plain())))
            assert again.state == reducer.state
            for event in events[cut:]:
                again.push(event)
            assert again.state == run(seed).session.state
