"""What a live stream promises, on 200 streams drawn at random.

Pieces of any size, answers in any order and at any time, and a save and restore at any moment lead to the same
events. Folding the events gives the state. Nothing before the watermark changes.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW, Span
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.reducer import StreamState, fold
from speakrs_stream.errors import SessionError, SessionFinished, SnapshotMismatch
from tests.live_conversations import (
    Case,
    Run,
    Script,
    apart,
    beside,
    case,
    chatter,
    flat,
    model,
    picture,
    play,
    run,
    settle,
    talks,
)

STREAMS = 200
SEEDS = range(STREAMS)
TURNS = (TurnStarted, TurnRevised, TurnRelabelled, TurnFinal, TurnRetracted)
SIZES = (1, 7, 160, 270, 1_000, 4_001, 16_000, 30_000, 170_000)


class Player:
    """Plays a stream in an unruly way: odd pieces, late answers in any order, and saved and restored if so asked."""

    def __init__(self, drawn: Case, seed: int, restores: float = 0.0, flushes: Sequence[int] = ()) -> None:
        """restores: how often it is saved and restored; flushes: positions at which everything is to be final."""
        self.case = drawn
        self.flushes = list(flushes)
        self.session = drawn.open()
        self.events: list[Event] = []
        self.restores = 0
        self._chance = restores
        self._random = np.random.default_rng((seed, 5))
        self._waiting: list[Job] = []

    def play(self) -> None:
        audio = self.case.script.audio
        at = 0
        lazy = self._random.random()
        while at < len(audio):
            size = (
                int(self._random.choice(SIZES)) if self._random.random() < 0.5 else int(self._random.integers(50_000))
            )
            size = min([size, *(flush - at for flush in self.flushes if flush > at)])
            self.events += self.session.push(audio[at : at + size])
            at += size
            self._perhaps_restore()
            if at in self.flushes:
                self.events += self.session.flush()
                self._perhaps_restore()
            if self._random.random() > lazy:
                self._answer(int(self._random.integers(6)))
        self._perhaps_restore()
        self.events += self.session.finish()
        self._perhaps_restore()
        while self.session.busy:
            self._answer(1 + int(self._random.integers(6)))
            self._perhaps_restore()
        self._perhaps_restore()

    def _answer(self, count: int) -> None:
        for _ in range(count):
            self._waiting += self.session.jobs()
            if not self._waiting:
                return
            job = self._waiting.pop(int(self._random.integers(len(self._waiting))))
            self.events += self.session.resolve(job.id, self.case.script.answer(job))
            self._perhaps_restore(0.1)

    def _perhaps_restore(self, share: float = 1.0) -> None:
        if self._random.random() < self._chance * share:
            self.session = self.case.restored(self.session)
            self._waiting = []
            self.restores += 1


def same_end(player: Player, wanted: Run) -> None:
    assert player.events == flat(wanted.groups)
    assert player.session.state == wanted.session.state
    assert player.session.processed == wanted.session.processed == wanted.case.script.samples


@pytest.mark.parametrize("seed", SEEDS)
def test_neither_pieces_nor_the_order_of_answers_change_anything(seed: int) -> None:
    player = Player(case(seed), seed)
    player.play()
    same_end(player, run(seed))


def test_a_stream_goes_on_after_a_restore_at_any_moment() -> None:
    restores = 0
    for seed in SEEDS:
        player = Player(case(seed), seed + STREAMS, restores=0.05)
        player.play()
        same_end(player, run(seed))
        restores += player.restores
    assert restores > STREAMS


# -- folding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_folding_the_events_gives_the_state_however_they_are_cut(seed: int) -> None:
    wanted = run(seed)
    events = flat(wanted.groups)
    whole = fold(StreamState(), events)
    assert whole == wanted.session.state
    generator = np.random.default_rng(seed)
    for cut in generator.integers(len(events) + 1, size=3).tolist():
        assert fold(fold(StreamState(), events[:cut]), events[cut:]) == whole


@pytest.mark.parametrize("seed", SEEDS)
def test_turns_end_once_and_numbers_are_never_used_again(seed: int) -> None:
    ends_once(flat(run(seed).groups))


def ends_once(events: Sequence[Event]) -> None:
    revisions: dict[int, list[int]] = {}
    ends: Counter[int] = Counter()
    created: list[int] = []
    gone: set[int] = set()
    for event in events:
        if isinstance(event, TURNS):
            assert not ends[event.turn], "a turn changed after its end"
            revisions.setdefault(event.turn, []).append(event.revision)
            assert isinstance(event, TurnStarted) == (len(revisions[event.turn]) == 1)
            ends[event.turn] += isinstance(event, TurnFinal | TurnRetracted)
        elif isinstance(event, SpeakerCreated):
            created.append(event.speaker)
        elif isinstance(event, SpeakerMerged):
            assert event.speaker in created and event.into in created and event.speaker not in gone
            assert event.into not in gone and event.into != event.speaker
            gone.add(event.speaker)
    assert list(revisions) == list(range(1, len(revisions) + 1))
    assert all(rows[0] == 1 for rows in revisions.values())
    assert all(low < high for rows in revisions.values() for low, high in pairwise(rows))
    assert all(ends[turn] == 1 for turn in revisions)
    assert created == list(range(1, len(created) + 1))


# -- the watermark -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_before_the_watermark_changes(seed: int) -> None:
    holds_behind_the_watermark(run(seed))


def holds_behind_the_watermark(wanted: Run) -> None:
    last = wanted.session.state
    before = StreamState()
    for group in wanted.groups:
        after = fold(before, group)
        assert after.watermark >= before.watermark and after.processed >= before.processed
        assert after.watermark <= after.processed
        assert picture(after, before.watermark, last) == picture(before, before.watermark, last)
        for event in group:
            if isinstance(event, TurnFinal):
                assert event.span.end <= min(after.watermark, after.processed)
            elif isinstance(event, TurnStarted | TurnRevised | TurnRelabelled):
                assert event.span.end <= after.processed
            if isinstance(event, TurnStarted):
                assert event.span.start >= before.watermark
        before = after
    assert before.watermark == before.processed == wanted.case.script.samples


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_final_never_overlaps_itself(seed: int) -> None:
    wanted = run(seed)
    finals = [event for event in flat(wanted.groups) if isinstance(event, TurnFinal)]
    for speaker in {event.speaker for event in finals}:
        spans = sorted(event.span for event in finals if event.speaker == speaker)
        assert all(first.end <= second.start for first, second in pairwise(spans))
    assert all(0 <= event.span.start < event.span.end <= wanted.case.script.samples for event in finals)


# -- everything final, now -----------------------------------------------------------------------------------------


def flush_positions(seed: int, samples: int) -> list[int]:
    """Where a stream is flushed: anywhere, also twice within a frame, and where windows and previews end."""
    generator = np.random.default_rng((seed, 8))
    found = generator.integers(1, samples + 1, size=int(generator.integers(1, 4))).tolist()
    found += [found[0] + int(generator.integers(1, 300))]
    found += (SAMPLE_RATE * generator.integers(1, 21, size=1)).tolist()
    return sorted({at for at in found if at <= samples})


def flushed(drawn: Case, positions: Sequence[int]) -> Run:
    """A stream that is flushed, everything answered at once; each flush and what it leads to is one group."""
    session, script = drawn.open(), drawn.script
    groups = []
    for start, end in pairwise([0, *positions, script.samples]):
        session.push(script.audio[start:end])
        groups += settle(session, script)
        if end in positions:
            groups.append(session.flush() + flat(settle(session, script)))
            state = session.state
            assert state.watermark == state.processed == session.processed == end
            assert all(turn.final and turn.span.end <= end for turn in state.turns.values())
            assert session.flush() == [] and not session.busy, "nothing is left to say"
    groups.append(session.finish())
    return Run(drawn, [*groups, *settle(session, script)], session)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flushed_stream_keeps_every_promise(seed: int) -> None:
    drawn = case(seed)
    positions = flush_positions(seed, drawn.script.samples)
    wanted = flushed(drawn, positions)
    holds_behind_the_watermark(wanted)
    ends_once(flat(wanted.groups))
    assert fold(StreamState(), flat(wanted.groups)) == wanted.session.state
    player = Player(case(seed), seed + STREAMS, 0.03, positions)  # saved and restored with a flush in flight, too
    player.play()
    same_end(player, wanted)
    outcome, plain = wanted.session.outcome(), run(seed).session.outcome()
    assert (outcome.turns, outcome.exclusive) == (plain.turns, plain.exclusive), "the final result knows no flush"


def test_a_flush_ends_turns_where_it_is_and_speech_goes_on_in_new_ones() -> None:
    drawn, session = conversation("A 0.1-5, B 4.5-30, A 9-60", 40)
    hear(session, drawn, 12.3)
    assert session.state.watermark < SAMPLE_RATE
    session.flush()
    assert session.busy and session.state.processed == 12 * SAMPLE_RATE, "a padded window is asked for"
    events = flat(settle(session, drawn.script))
    at = round(12.3 * SAMPLE_RATE)
    ends = [(e.speaker, e.span.end) for e in events if isinstance(e, TurnFinal)]
    assert sorted(ends)[1:] == [(1, at), (2, at)]
    assert events[-1] == Watermark(at, at)
    hear(session, drawn, 27.7)
    later = [turn for turn in session.state.turns.values() if turn.span.start >= at]
    assert sorted((turn.speaker, turn.span.start) for turn in later) == [(1, at), (2, at)], "without a gap"


def test_a_flush_where_a_window_ends_asks_for_nothing() -> None:
    for seconds in (4, 10, 13):
        drawn, session = conversation("A 0.1-60", 40)
        hear(session, drawn, seconds)
        events = session.flush()
        end = seconds * SAMPLE_RATE
        assert not session.busy and [e.span.end for e in events if isinstance(e, TurnFinal)] == [end]
        assert session.state.watermark == end


def test_a_flush_waits_for_what_was_asked_before_and_holds_up_what_comes_after() -> None:
    drawn, session = conversation("A 0.1-60", 40)
    audio = drawn.script.audio
    session.push(audio[: 12 * SAMPLE_RATE + 99])
    session.flush()
    session.push(audio[12 * SAMPLE_RATE + 99 : 16 * SAMPLE_RATE])
    asked = session.jobs()
    looks = [job for job in asked if job.about[0] < 0]
    assert {job.about[0] for job in looks} == {-(12 * SAMPLE_RATE + 99)}
    for job in asked:
        if job not in looks:
            session.resolve(job.id, drawn.script.answer(job))
    while jobs := session.jobs():
        for job in jobs:
            session.resolve(job.id, drawn.script.answer(job))
    assert session.processed == 12 * SAMPLE_RATE, "what comes after a flush waits for it"
    for job in looks:
        session.resolve(job.id, drawn.script.answer(job))
    settle(session, drawn.script)
    assert session.processed == 16 * SAMPLE_RATE and session.state.watermark >= 12 * SAMPLE_RATE + 99


def test_a_flush_of_nothing_says_nothing_and_a_finished_stream_refuses_one() -> None:
    drawn, session = conversation("A 0-3", 3)
    assert session.flush() == [] and not session.busy
    hear(session, drawn, 3)
    session.finish()
    with pytest.raises(SessionFinished, match="is final"):
        session.flush()


def test_what_the_user_said_last_is_heard_by_a_flush() -> None:
    drawn, session = under_one_number()
    hear(session, drawn, 46)
    late = next(turn for turn in session.state.turns.values() if turn.span.start > 30 * SAMPLE_RATE)
    session.reject(late.turn)
    events = session.flush()
    assert [(e.turn, e.speaker) for e in events if isinstance(e, TurnFinal)] == [(late.turn, 2)]


# -- what the user says --------------------------------------------------------------------------------------------


def commanded(seed: int, restores: bool) -> tuple[list[list[Event]], LiveSession]:
    """A stream in which the user says something, sensible or not, about every other second."""
    drawn = case(seed, shortest=8.0, longest=20.0)
    generator = np.random.default_rng((seed, 6))
    session, groups = drawn.open(), []
    audio = drawn.script.audio
    for start in range(0, len(audio), SAMPLE_RATE):
        session.push(audio[start : start + SAMPLE_RATE])
        groups += settle(session, drawn.script)
        if restores:
            session = drawn.restored(session)
        if generator.random() < 0.5:
            groups.append(command(session, drawn, generator))
    groups.append(session.finish())
    groups += settle(session, drawn.script)
    groups.append(command(session, drawn, generator))
    return groups, session


def command(session: LiveSession, drawn: Case, generator: np.random.Generator) -> list[Event]:
    one, other = (int(generator.integers(0, 6)) for _ in range(2))
    turn = int(generator.integers(1, session.state.last_turn + 3))
    low = int(generator.integers(1, 4))
    voice = drawn.script.points[one % len(drawn.script.points)]
    commands: list[Callable[[], list[Event]]] = [
        lambda: session.same(one, other),
        lambda: session.different(one, other),
        lambda: session.reject(turn),
        lambda: session.rename(one, f"name {other}"),
        lambda: session.hint(SpeakerBounds(low, low + other if other < 4 else None)),
        lambda: session.enrol(f"voice {one}", voice),
    ]
    try:
        return commands[int(generator.integers(len(commands)))]()
    except SessionError:
        return []


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_user_says_the_promises_hold(seed: int) -> None:
    groups, session = commanded(seed, restores=False)
    events = flat(groups)
    last = session.state
    assert fold(StreamState(), events) == last
    before = StreamState()
    for group in groups:
        after = fold(before, group)
        assert picture(after, before.watermark, last) == picture(before, before.watermark, last)
        before = after
    assert before.watermark == session.samples and all(turn.final for turn in before.turns.values())
    outcome = session.outcome(session.identity.bounds)
    plain = session.main.outcome(session.identity.bounds)
    assert session.identity.told or outcome.turns == plain.turns
    assert {turn.span.end <= session.samples for turn in outcome.turns} <= {True}
    again, restored = commanded(seed, restores=True)
    assert flat(again) == events and restored.state == last
    assert restored.outcome(restored.identity.bounds).turns == outcome.turns


def conversation(text: str, seconds: float, voices: int = 3, **live: Any) -> tuple[Case, LiveSession]:
    """A scripted stream that has been played to its end but not finished."""
    script = Script(talks(text), round(seconds * SAMPLE_RATE), apart(voices), spread=0.15, edge=0.0)
    drawn = Case(script, PipelineConfig(), LiveConfig(**live), "multimask", 0)
    return drawn, drawn.open()


def hear(session: LiveSession, drawn: Case, seconds: float) -> list[Event]:
    """The next stretch of the recording, answered at once."""
    at = session.samples
    session.push(drawn.script.audio[at : at + round(seconds * SAMPLE_RATE)])
    return flat(settle(session, drawn.script))


def test_unknown_speakers_and_turns_are_refused() -> None:
    drawn, session = conversation("A 0-30, B 5-14, A 16-20", 20)
    hear(session, drawn, 20)
    commands: list[Callable[[], object]] = [
        lambda: session.rename(3, "Eve"),
        lambda: session.rename(0, "Eve"),
        lambda: session.rename(-2, "Eve"),
        lambda: session.same(1, 3),
        lambda: session.same(3, 1),
        lambda: session.different(2, 9),
        lambda: session.different(1, 1),
        lambda: session.reject(0),
        lambda: session.reject(77),
    ]
    before = session.snapshot("x")
    for wrong in commands:
        with pytest.raises(SessionError):
            wrong()
    assert session.snapshot("x") == before


def test_commands_about_a_merged_speaker_are_about_whom_it_became() -> None:
    drawn, session = conversation("A 0-9, B 9-18, A 18-30", 30)
    hear(session, drawn, 20)
    assert session.same(2, 1) == [SpeakerMerged(2, 1)] and session.same(2, 1) == session.same(1, 2) == []
    assert session.rename(2, "Ann") == [SpeakerNamed(1, "Ann")]
    assert session.state.label(2) == session.state.label(1) == "Ann"
    with pytest.raises(SessionError, match="are one speaker"):
        session.different(2, 1)
    later = hear(session, drawn, 10)
    assert not [event for event in later if isinstance(event, SpeakerCreated | SpeakerMerged)]
    assert {session.state.who(turn.speaker) for turn in session.state.turns.values()} == {1}


def test_the_user_may_speak_after_the_end_and_before_the_beginning() -> None:
    drawn, session = conversation("A 0-9, B 9-18", 18)
    session.hint(SpeakerBounds(2, 2))
    assert session.enrol("Bob", drawn.script.points[1]) == []
    with pytest.raises(SessionError):
        session.rename(1, "Ann")
    events = hear(session, drawn, 18)
    assert SpeakerNamed(2, "Bob") in events
    session.finish()
    settle(session, drawn.script)
    assert session.rename(1, "Ann") == [SpeakerNamed(1, "Ann")]
    assert session.same(1, 2) == [SpeakerMerged(1, 2)]
    assert session.reject(1) == [SpeakerCreated(3, 18 * SAMPLE_RATE)]
    assert [session.state.label(number) for number in (1, 2, 3)] == ["Bob", "Bob", "S3"]


def under_one_number() -> tuple[Case, LiveSession]:
    """Two like voices, never in one window, that the settings keep under one number until the user speaks up."""
    text = "A 0-9, A 9.5-12, B 23-27, B 40-49, A 60-70, B 81-90"
    drawn, session = conversation(text, 90, 2, newcomer_score=-(10**9), cluster_items=10**6)
    drawn.script.points[1] = beside(drawn.script.points[0], drawn.script.points[1], 0.5)
    return drawn, session


def speakers(session: LiveSession) -> dict[int, int]:
    """Second in which each turn begins -> its speaker."""
    return {round(turn.span.start / SAMPLE_RATE): turn.speaker for turn in session.state.turns.values()}


def test_a_rejected_turn_is_relabelled_where_it_may_still_change() -> None:
    drawn, session = under_one_number()
    hear(session, drawn, 46)
    assert set(speakers(session).values()) == {1}
    late = next(turn for turn in session.state.turns.values() if turn.span.start > 30 * SAMPLE_RATE)
    assert not late.final
    assert session.reject(late.turn) == [SpeakerCreated(2, session.processed)]
    events = hear(session, drawn, 2)
    assert [event.turn for event in events if isinstance(event, TurnRelabelled)] == [late.turn]
    hear(session, drawn, 42)
    assert speakers(session) == {0: 1, 10: 1, 23: 1, 40: 2, 60: 1, 81: 2}, "what was final stays"


def test_a_final_turn_that_is_rejected_stays_and_its_voice_is_known_from_then_on() -> None:
    drawn, session = under_one_number()
    hear(session, drawn, 58)
    early = next(turn for turn in session.state.turns.values() if round(turn.span.start / SAMPLE_RATE) == 23)
    assert early.final
    assert session.reject(early.turn) == [SpeakerCreated(2, session.processed)]
    hear(session, drawn, 32)
    assert session.state.turns[early.turn] == early
    assert speakers(session)[23] == speakers(session)[60] == 1 and speakers(session)[81] == 2


def test_a_turn_of_which_too_little_is_known_cannot_be_rejected() -> None:
    drawn, session = conversation("A 0.2-30", 30)
    hear(session, drawn, 5)
    with pytest.raises(SessionError, match="too little is known"):
        session.reject(1)
    hear(session, drawn, 10)
    assert session.reject(1)[0] == SpeakerCreated(2, session.processed)


def final(session: LiveSession, drawn: Case) -> list[tuple[int, int]]:
    """Second in which each turn of the final result begins, and its speaker."""
    session.finish()
    settle(session, drawn.script)
    return [(round(turn.span.start / SAMPLE_RATE), turn.speaker) for turn in session.outcome().turns]


def test_the_final_result_does_as_it_was_told() -> None:
    text = "A 0.1-9, B 9.5-20, A 21-30, B 31-40"
    drawn, session = conversation(text, 40)
    hear(session, drawn, 40)
    assert final(session, drawn) == [(0, 0), (10, 1), (21, 0), (31, 1)]
    drawn, session = conversation(text, 40)
    hear(session, drawn, 40)
    session.same(2, 1)
    restored = drawn.restored(session)
    assert final(session, drawn) == final(restored, drawn) == [(0, 0), (10, 0), (21, 0), (31, 0)]


def test_a_rejected_turn_is_somebody_else_in_the_final_result_too() -> None:
    drawn, session = under_one_number()
    drawn.script.points[1] = beside(drawn.script.points[0], drawn.script.points[1], 0.97)
    hear(session, drawn, 58)
    early = next(turn for turn in session.state.turns.values() if round(turn.span.start / SAMPLE_RATE) == 23)
    session.reject(early.turn)
    hear(session, drawn, 32)
    restored = drawn.restored(session)
    found = dict(final(session, drawn))
    assert {turn.speaker for turn in session.main.outcome().turns} == {0}, "by their voices they are one person"
    assert found[23] != found[0] == found[10] == found[60] and found == dict(final(restored, drawn))


@pytest.mark.parametrize("seed", range(40))
def test_turns_too_short_and_pauses_too_short_are_not_shown(seed: int) -> None:
    drawn = case(seed)
    generator = np.random.default_rng((seed, 9))
    drawn.config = replace(drawn.config, min_on=int(generator.integers(0, 40)), min_off=int(generator.integers(0, 60)))
    positions = flush_positions(seed, drawn.script.samples)[:2]
    wanted = flushed(drawn, positions)
    holds_behind_the_watermark(wanted)
    ends_once(flat(wanted.groups))
    player = Player(drawn, seed, 0.02, positions)
    player.play()
    same_end(player, wanted)


def test_one_voice_is_shown_as_it_is_in_the_end_pauses_filled_and_scraps_dropped() -> None:
    text = "A 0.5-3, A 3.2-5, A 7-7.1, A 9-9.3, A 9.5-9.6, A 14-26, A 26.1-33, A 33.9-34"
    for min_on, min_off in ((0, 0), (10, 0), (0, 20), (10, 20), (30, 60)):
        script = Script(talks(text), 40 * SAMPLE_RATE, apart(1), edge=0.0)
        drawn = Case(script, PipelineConfig(min_on=min_on, min_off=min_off), LiveConfig(), "multimask", 0)
        session = drawn.open()
        play(session, script)
        live = sorted(turn.span for turn in session.state.turns.values())
        assert live == [turn.span for turn in session.outcome().turns]


# -- questions and answers -----------------------------------------------------------------------------------------


def test_answers_that_nobody_asked_for_are_refused() -> None:
    drawn, session = conversation("A 0-20", 12)
    session.push(drawn.script.audio)
    jobs = session.jobs()
    assert len(jobs) == 3 + 9 and len({job.id for job in jobs}) == 12 and session.jobs() == [] and session.busy
    session.resolve(jobs[0].id, drawn.script.answer(jobs[0]))
    for wrong in (jobs[0].id, 99, -1):
        with pytest.raises(SessionError, match="never asked or is already answered"):
            session.resolve(wrong, drawn.script.answer(jobs[0]))
    restored = drawn.restored(session)
    assert not {job.id for job in restored.jobs()} & {job.id for job in jobs}, "late answers must not be taken for new"
    with pytest.raises(SessionError):
        restored.resolve(jobs[1].id, drawn.script.answer(jobs[1]))


def test_after_the_end_nothing_more_is_taken() -> None:
    drawn, session = conversation("A 0-3", 3)
    hear(session, drawn, 3)
    assert not session.finished
    session.finish()
    assert session.finished and session.finish() == []
    with pytest.raises(SessionFinished):
        session.push(drawn.script.audio)
    with pytest.raises(SessionError, match="an answer to every job"):
        session.outcome()
    settle(session, drawn.script)
    assert session.finish() == [] and not session.busy and session.outcome().samples == 3 * SAMPLE_RATE
    assert drawn.restored(session).finish() == []


@pytest.mark.parametrize("samples", [0, 1, 800, 16_000, 159_999, 160_000, 160_001])
def test_short_streams_end_well(samples: int) -> None:
    drawn, session = conversation("A 0-8, A 8.5-20", samples / SAMPLE_RATE)
    groups = play(session, drawn.script, 5_000)
    state = fold(StreamState(), flat(groups))
    assert state == session.state
    assert state.watermark == state.processed == session.samples == samples
    outcome = session.outcome()
    assert all(turn.span.end <= samples for turn in outcome.turns)
    live = {(turn.span.start, turn.span.end) for turn in state.turns.values()}
    assert {(turn.span.start, turn.span.end) for turn in outcome.turns} == live


# -- from the first second -----------------------------------------------------------------------------------------


def test_the_first_seconds_are_shown_step_by_step() -> None:
    for step in (SAMPLE_RATE, 32_000, 48_640):
        script = Script(talks("A 0.1-30"), 20 * SAMPLE_RATE, apart(1), step=step, edge=0.0)
        drawn = Case(script, PipelineConfig(step=step), LiveConfig(), "multimask", 0)
        groups = play(drawn.open(), script, 1_000)
        marks = [event.processed for event in flat(groups) if isinstance(event, Watermark)]
        assert marks[: WINDOW // step] == list(range(step, WINDOW + 1, step))[: WINDOW // step]
        assert flat(groups)[:2] == [SpeakerCreated(1, step), TurnStarted(1, 1, 1, Span(1_845, step))]


def test_with_one_window_at_a_time_the_first_is_shown_after_ten_seconds() -> None:
    script = Script(talks("A 0.1-30"), 40 * SAMPLE_RATE, apart(1), step=WINDOW, edge=0.0)
    drawn = Case(script, PipelineConfig(step=WINDOW), LiveConfig(), "multimask", 0)
    marks = [e.processed for e in flat(play(drawn.open(), script)) if isinstance(e, Watermark)]
    assert marks == [WINDOW, 2 * WINDOW, 3 * WINDOW, 4 * WINDOW, 4 * WINDOW]


def resident() -> int:
    """Bytes of memory this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much memory there is")
def test_twelve_hours_grow_by_what_was_heard_only() -> None:
    """Eight people, twelve hours, windows ten seconds apart: snapshots grow by windows, frame counts and turns only.

    Memory grows by a little more: arrays double in size when they are full, and a snapshot is made of copies.
    """
    hour, step, dimension = 3600 * SAMPLE_RATE, WINDOW, 256
    script = Script(
        chatter(np.random.default_rng(12), 12 * 3600.0, 8), 12 * hour, apart(8, dimension), step=step, spread=0.3
    )
    session = LiveSession(PipelineConfig(step=step), LiveConfig(), model("multimask", dimension))
    silence = np.zeros(WINDOW, np.float32)
    memory, rest = [], []
    while session.samples < script.samples:
        session.push(silence)
        settle(session, script)
        if session.samples % hour == 0:
            script.forget()
            gc.collect()
            memory.append(resident())
            history = sum(rows.nbytes for rows in session.main.history.state().values())
            counts = sum(rows.nbytes for rows in session.main.count.state()[1].values())
            rest.append(len(session.snapshot("x")) - history - counts)
    assert history <= 12 * 1.5e6 and counts <= 12 * 0.45e6 and len(session.identity.memory) <= 256 + 128
    assert max(memory[1:]) - memory[1] <= 10 * 10e6, "the budget is 15 MB an hour at one window a second"
    turns = len(session.state.turns)
    assert rest[-1] - rest[1] <= 100 * turns, "besides voices, windows and counts, a snapshot grows by its turns"
    living = [speaker for speaker in session.state.speakers.values() if speaker.merged_into is None]
    assert len(living) == 8 and session.state.watermark > script.samples - 30 * SAMPLE_RATE


# -- saving --------------------------------------------------------------------------------------------------------


def test_other_settings_or_another_bundle_cannot_restore() -> None:
    drawn, session = conversation("A 0-8, B 8-20", 12)
    hear(session, drawn, 12)
    data = session.snapshot("bundle")
    right = (drawn.config, drawn.live, model(), "bundle")
    assert LiveSession.restore(data, *right).state == session.state
    for wrong in (
        (PipelineConfig(step=32_000), drawn.live, model(), "bundle"),
        (PipelineConfig(min_on=3), drawn.live, model(), "bundle"),
        (drawn.config, LiveConfig(patience=4), model(), "bundle"),
        (drawn.config, drawn.live, model(), "other"),
    ):
        with pytest.raises(SnapshotMismatch):
            LiveSession.restore(data, *wrong)
    generator = np.random.default_rng(1)
    for place in generator.integers(0, len(data), 40).tolist():
        broken = bytearray(data)
        broken[place] ^= 1 << int(generator.integers(8))
        for bad in (bytes(broken), data[:place]):
            with pytest.raises(SnapshotMismatch):
                LiveSession.restore(bad, *right)
