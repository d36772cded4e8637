"""Turns of frame pictures drawn at random, and the stories that single pictures tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
)
from speakrs_stream.core.grid import Span, frame_to_sample
from speakrs_stream.core.live.timeline import Shown
from speakrs_stream.core.live.turns import SAME_SPEAKER, Stretch, TurnTracker, _most_in_common
from speakrs_stream.core.reducer import Reducer

EVERYBODY = [SpeakerCreated(number, 0) for number in range(1, 10)]


def shown(start: int, *rows: str) -> Shown:
    """A picture: one string for each number, `#` for speech: shown(5, "##.", ".##") is 1 and 2 from frame 5 on."""
    matrix = np.array([[char == "#" for char in row] for row in rows], np.uint8).T
    return Shown(start, matrix, np.arange(1, len(rows) + 1))


def span(start: int, end: int) -> Span:
    return Span(frame_to_sample(start), frame_to_sample(end))


def far(frame: int) -> int:
    return frame_to_sample(frame) + 10_000


class Screen:
    """A tracker and what a listener makes of its events."""

    def __init__(self) -> None:
        self.tracker = TurnTracker()
        self.reducer = Reducer()
        for event in EVERYBODY:
            self.reducer.push(event)

    def push(self, picture: Shown, frozen: int, limit: int | None = None) -> list[Event]:
        events: list[Event] = [*self.tracker.push(picture, frozen, far(picture.end) if limit is None else limit)]
        for event in events:
            self.reducer.push(event)
        return events

    def picture(self, frames: int) -> set[tuple[int, int]]:
        """(frame, speaker) of everything shown; a frame belongs to a turn by its middle."""
        return {
            (frame, turn.speaker)
            for turn in self.reducer.state.turns.values()
            for frame in range(frames)
            if turn.span.start <= frame_to_sample(frame) < turn.span.end
        }


@pytest.mark.parametrize("seed", range(200))
def test_what_is_shown_is_the_picture_and_what_is_frozen_stays(seed: int) -> None:
    generator = np.random.default_rng(seed)
    screen, tracker = Screen(), TurnTracker()
    frames, people = 60, int(generator.integers(1, 5))
    truth = np.repeat(generator.integers(0, 2, (20, people)), 3, axis=0).astype(np.uint8)
    end = frozen = 0
    while end < frames:
        end = min(frames, end + int(generator.integers(1, 9)))
        flips = generator.random((end, people)) < generator.choice([0.0, 0.02, 0.1])
        truth[frozen:end] ^= flips[frozen:].astype(np.uint8)
        picture = Shown(frozen, truth[frozen:end].copy(), np.arange(1, people + 1))
        frozen = max(frozen, int(generator.integers(frozen, end)))
        limit = frame_to_sample(end - 1) + 1 + int(generator.integers(0, 300))
        events = screen.push(picture, frozen, limit)
        assert tracker.push(picture, frozen, limit) == events
        again = TurnTracker()
        again.restore(json.loads(json.dumps(tracker.state())))
        tracker = again
        assert screen.picture(end) == {(int(f), int(p) + 1) for f, p in zip(*np.nonzero(truth[:end]), strict=True)}
        for turn in screen.reducer.state.turns.values():
            assert turn.span.end <= limit
            at = frame_to_sample(frozen)
            assert turn.final == (turn.span.end < at) or turn.span.end == at, "at the watermark it may be either"
    screen.push(Shown(frozen, truth[frozen:].copy(), np.arange(1, people + 1)), frames + 1)
    assert all(turn.final for turn in screen.reducer.state.turns.values())


def test_a_turn_grows_under_its_number() -> None:
    screen = Screen()
    assert screen.push(shown(0, "..##"), 0) == [TurnStarted(1, 1, 1, span(2, 4))]
    assert screen.push(shown(0, "..####"), 0) == [TurnRevised(1, 2, 1, span(2, 6))]
    assert screen.push(shown(0, "..####"), 0) == [], "nothing new, nothing said"
    assert screen.push(shown(0, "..####..."), 7) == [TurnFinal(1, 3, 1, span(2, 6))]


def test_an_edge_at_the_limit_moves_with_it() -> None:
    screen = Screen()
    middle = frame_to_sample(3)
    assert screen.push(shown(0, "..##"), 0, middle + 1) == [TurnStarted(1, 1, 1, Span(frame_to_sample(2), middle + 1))]
    assert screen.push(shown(0, "..##"), 0, middle + 9) == [TurnRevised(1, 2, 1, Span(frame_to_sample(2), middle + 9))]


def test_somebody_else_all_along_is_a_new_label_of_the_same_turn() -> None:
    screen = Screen()
    screen.push(shown(0, ".####", "....."), 0)
    assert screen.push(shown(0, "......", ".#####"), 0) == [TurnRelabelled(1, 2, 1, 2, span(1, 6))]


def test_a_turn_that_fell_apart_keeps_its_number_on_the_longer_part() -> None:
    screen = Screen()
    screen.push(shown(0, "##########"), 0)
    assert screen.push(shown(0, "###.######"), 0) == [
        TurnStarted(2, 1, 1, span(0, 3)),
        TurnRevised(1, 2, 1, span(4, 10)),
    ]
    assert screen.push(shown(0, "##########"), 0) == [TurnRetracted(2, 2), TurnRevised(1, 3, 1, span(0, 10))]


def test_what_was_never_there_is_retracted() -> None:
    screen = Screen()
    screen.push(shown(0, ".##."), 0)
    assert screen.push(shown(0, "...."), 0) == [TurnRetracted(1, 2)]


def test_who_speaks_on_at_the_watermark_keeps_the_turn_and_its_beginning() -> None:
    screen = Screen()
    screen.push(shown(0, ".#####"), 3)
    assert screen.push(shown(3, "#####"), 6) == [TurnRevised(1, 2, 1, span(1, 8))]
    assert screen.push(shown(6, "#..."), 9) == [TurnFinal(1, 3, 1, span(1, 7))]


def test_who_turns_out_silent_in_front_of_the_watermark_ends_there() -> None:
    screen = Screen()
    screen.push(shown(0, ".#####", "......"), 3)
    events = screen.push(shown(3, "...", "###"), 3)
    assert events == [TurnFinal(1, 2, 1, span(1, 3)), TurnStarted(2, 1, 2, span(3, 6))]
    assert screen.push(shown(3, "###", "..."), 3) == [TurnRelabelled(2, 2, 2, 1, span(3, 6))]


def test_a_turn_that_ends_at_the_watermark_may_still_go_on() -> None:
    for later, expected in (
        ("##.", [TurnRevised(1, 2, 1, span(0, 5))]),
        (".##", [TurnFinal(1, 2, 1, span(0, 3)), TurnStarted(2, 1, 1, span(4, 6))]),
    ):
        screen = Screen()
        assert screen.push(shown(0, "###"), 3) == [TurnStarted(1, 1, 1, span(0, 3))]
        assert screen.push(shown(3, later), 3) == expected


def test_two_at_once_have_a_turn_each() -> None:
    screen = Screen()
    events = screen.push(shown(0, "####..", "..####"), 0)
    assert events == [TurnStarted(1, 1, 1, span(0, 4)), TurnStarted(2, 1, 2, span(2, 6))]
    swapped = screen.push(shown(0, "..####", "####.."), 0)
    assert [type(event) for event in swapped] == [TurnRelabelled, TurnRelabelled], "same places, other people"


def test_a_turn_that_is_settled_at_once_is_shown_and_final() -> None:
    screen = Screen()
    assert screen.push(shown(0, ".##.."), 4) == [TurnStarted(1, 1, 1, span(1, 3)), TurnFinal(1, 2, 1, span(1, 3))]


@pytest.mark.parametrize("seed", range(300))
def test_old_and_new_stretches_are_paired_so_that_they_share_most(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def drawn() -> list[Stretch]:
        edges = [np.sort(generator.choice(60, 2 * int(generator.integers(1, 4)), replace=False)) for _ in range(3)]
        rows = [(number, *pair) for number, row in enumerate(edges) for pair in row.reshape(-1, 2).tolist()]
        return sorted(Stretch(start, end, number) for number, start, end in rows)

    old, new = drawn(), drawn()
    if seed % 3 == 0:
        new = sorted({*new[:2], *old[1:]})
    gain = np.zeros((len(old), len(new)))
    for row, before in enumerate(old):
        for column, after in enumerate(new):
            common = max(0, min(before.end, after.end) - max(before.start, after.start))
            gain[row, column] = common * (1 + SAME_SPEAKER * (before.speaker == after.speaker))
    pairs = _most_in_common(old, new)
    assert len({first for first, _ in pairs}) == len(pairs) == len({second for _, second in pairs})
    assert all(gain[pair] > 0 for pair in pairs)
    assert sum(gain[pair] for pair in pairs) == gain[linear_sum_assignment(gain, maximize=True)].sum()
