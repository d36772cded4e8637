"""Exact embeddings for the result of a stream that was heard with fast ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.embedding.flow import Flow
from speakrs_stream.core.embedding.refinement import AHEAD
from speakrs_stream.core.session import Outcome, Session
from speakrs_stream.errors import ConfigError, SessionError
from tests.conversations import FLOWING, PADDED, SHARED, Conversation, Ear, answer_all, converse, speaker_model

TALK = Conversation.of("A 0.5-5, B 4-9, A 10-13, C 13.5-20, B 19-24, A 24.5-28, C 33-36, B 36-45", 46.3)
EAR = Ear(TALK, FLOWING)
EXACT, FAST, REFINED = (PipelineConfig(embedding=name) for name in ("exact", "fast", "refined"))


def facts(outcome: Outcome) -> tuple[object, ...]:
    return outcome.turns, outcome.exclusive, outcome.embeddings.tobytes()


def heard(config: PipelineConfig, sizes: tuple[int, ...] = (16_000,)) -> Session:
    """A session that has heard everything, up to its result."""
    session = Session(config, speaker_model(FLOWING))
    at, number = 0, 0
    while at < TALK.samples:
        size = sizes[number % len(sizes)]
        session.push(TALK.audio[at : at + size])
        answer_all(session, EAR)
        at, number = at + size, number + 1
    session.finish()
    answer_all(session, EAR)
    return session


def embeddings(session: Session) -> Array:
    return session.history.embeddings.copy()


def test_a_refined_result_is_the_exact_one_to_the_last_bit() -> None:
    exact = heard(EXACT)
    padded = Session(EXACT, speaker_model(PADDED))
    assert facts(converse(padded, Ear(TALK, PADDED))) == facts(exact.outcome())
    refined = heard(REFINED, (5_000, 70_000))
    assert not np.array_equal(embeddings(refined), embeddings(exact), equal_nan=True)
    refined.refine()
    answer_all(refined, EAR, np.random.default_rng(1))
    np.testing.assert_array_equal(embeddings(refined), embeddings(exact))
    assert facts(refined.outcome()) == facts(exact.outcome())
    refined.refine()
    assert not refined.jobs()


@settings(deadline=None, max_examples=8)
@given(st.lists(st.sampled_from([1, 160, 4_001, 16_000, 70_000, 400_000]), min_size=1, max_size=4))
def test_fast_results_do_not_depend_on_how_audio_came(sizes: list[int]) -> None:
    if min(sizes) < 4_000:
        sizes = [*sizes, 70_000]
    expected = heard(FAST)
    found = heard(FAST, tuple(sizes))
    np.testing.assert_array_equal(embeddings(found), embeddings(expected))
    assert facts(found.outcome()) == facts(expected.outcome())


def test_fast_and_exact_hear_the_same_people() -> None:
    fast, exact = heard(FAST).outcome(), heard(EXACT).outcome()
    assert fast.turns == exact.turns


def test_fast_memory_is_bounded_and_refined_keeps_the_filter_bank() -> None:
    sizes = {name: sum(rows.nbytes for rows in heard(config).state()[1].values()) for name, config in CONFIGS.items()}
    assert sizes["refined"] - sizes["fast"] > 20 * 100 * 80 * 4


CONFIGS = {"fast": FAST, "refined": REFINED}


def test_few_windows_are_asked_about_at_once() -> None:
    session = heard(REFINED)
    session.refine()
    most = 0
    while jobs := session.jobs():
        most = max(most, sum(job.model == "trunk" for job in jobs))
        for job in jobs:
            session.resolve(job.id, EAR.answer(job))
    assert 1 < most <= AHEAD


def test_a_snapshot_on_the_way_goes_on_to_the_same_result() -> None:
    expected = heard(EXACT)
    session = heard(REFINED)
    session.refine()
    for _ in range(30):
        plain, arrays = session.state()
        session = Session(REFINED, speaker_model(FLOWING))
        session.restore(plain, {name: rows.copy() for name, rows in arrays.items()})
        for job in session.jobs()[:2]:
            session.resolve(job.id, EAR.answer(job))
        session.ask_again()
    answer_all(session, EAR)
    np.testing.assert_array_equal(embeddings(session), embeddings(expected))
    assert facts(session.outcome()) == facts(expected.outcome())


def test_misuse_is_refused() -> None:
    session = heard(REFINED)
    with pytest.raises(SessionError, match=r"needs refine\(\)"):
        session.outcome()
    early = Session(REFINED, speaker_model(FLOWING))
    early.push(TALK.audio)
    with pytest.raises(SessionError, match=r"need finish\(\)"):
        early.refine()
    with pytest.raises(ConfigError, match="cannot be shared"):
        Session(FAST, speaker_model(PADDED))
    with pytest.raises(ConfigError, match="one of exact, fast, refined"):
        PipelineConfig(embedding="good")  # type: ignore[arg-type]


def test_where_windows_share_exactly_there_is_nothing_to_refine() -> None:
    for config in (EXACT, FAST, REFINED):
        session = Session(config, speaker_model(SHARED))
        assert not isinstance(session._extraction, Flow)
        outcome = converse(session, Ear(TALK, SHARED))
        session.refine()
        assert not session.jobs()
        assert facts(session.outcome()) == facts(outcome)


def test_nothing_at_all() -> None:
    session = Session(replace(REFINED, step=32_000), speaker_model(FLOWING))
    session.finish()
    session.refine()
    assert not session.jobs() and session.outcome().turns == []
