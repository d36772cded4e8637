"""Messages as events of the library: the same state, by either fold."""

from __future__ import annotations

from speakrs_clients.mirror import PER_MS, Mirror
from speakrs_clients.records import lines
from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.identifiers import speaker_number, turn_number
from speakrs_server.translation import message_of
from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import Span
from speakrs_stream.core.reducer import Reducer as CoreReducer
from tests.clients.stories import durable, story


def test_the_state_is_that_of_the_messages() -> None:
    for seed in range(200):
        mirror = Mirror()
        for message in story(seed, 40, end=False):
            mirror.push(message)
        state, wire = mirror.state, mirror.reducer
        assert {t.turn for t in state.turns.values() if t.final} == {turn_number(name) for name in wire.final}
        assert {t.turn: t.revision for t in state.turns.values() if not t.final} == {
            turn_number(turn.turn): turn.rev for turn in wire.open.values()
        }
        for speaker in wire.speakers:
            number = speaker_number(speaker)
            assert state.label(number) == wire.label(speaker) and f"S{state.who(number)}" == wire.who(speaker)
        assert (state.watermark, state.processed) == (wire.final_until_ms * 16, wire.processed_until_ms * 16)


def test_its_events_can_be_folded_by_the_library() -> None:
    for seed in range(200):
        mirror, core = Mirror(), CoreReducer()
        for message in story(seed, 40):
            for event in mirror.push(message):
                core.push(event)
        assert core.state == mirror.state


def test_there_and_back() -> None:
    span = Span(1_600, 16_000)
    told: list[Event] = [
        SpeakerCreated(1, 16_000),
        SpeakerCreated(2, 16_000),
        TurnStarted(1, 1, 1, span),
        TurnRevised(1, 2, 1, Span(1_600, 32_000)),
        TurnRelabelled(1, 3, 1, 2, span),
        TurnStarted(2, 1, 1, span),
        TurnRetracted(2, 2),
        TurnFinal(1, 4, 2, span),
        Watermark(1_600, 16_000),
    ]
    mirror, back, seq = Mirror(), [], 0
    for event in told:
        message = message_of(event)
        if durable(message) is not None:
            seq += 1
            message = messages.decode_server(messages.encode(message).replace(b'"seq":0', f'"seq":{seq}'.encode()))
        back += mirror.push(message)
    assert back == told
    assert lines(back, mirror.state)


def test_coming_back_shows_what_changed_meanwhile() -> None:
    told = story(5, 60, end=False)
    board, mirror = Board(), Mirror()
    for message in told:
        board.push(message)
        if durable(message):
            mirror.push(message)
    assert not [turn for turn in mirror.state.turns.values() if not turn.final]
    events = mirror.push(board.snapshot())
    assert {event.turn for event in events if isinstance(event, TurnStarted)} == {
        turn_number(turn.turn) for turn in board.open_turns
    }
    assert isinstance(events[-1], Watermark) and events[-1].until == board.final_until_ms * PER_MS
    assert mirror.push(board.snapshot())[:-1] == []
    gone = messages.Snapshot(as_of=board.seq, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
    assert len(mirror.push(gone)) == 1 and not [t for t in mirror.state.turns.values() if not t.final]
