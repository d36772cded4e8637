"""Filters carried over a stream give every window what it would have made of its own samples."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import F32, F64, Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.filters import LEVEL, PIECE, PLACES, FilterLayout, Filters, grouped, powers, settle
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.session import Session, SpeakerModel
from speakrs_stream.errors import SessionError
from tests.checks import pieces
from tests.conversations import SHARED, Conversation, Ear, converse, speaker_model

TALK = Conversation.of("A 0.5-5, B 4-9, A 10-13, C 13.5-18", 19.3)


@cache
def bank(taps: int = 31, channels: int = 3) -> F32:
    """Filters (channels, taps), the last of which gives 0 on a constant."""
    rows = np.random.default_rng(3).standard_normal((channels, taps))
    rows[-1] -= rows[-1, ::-1]
    return np.asarray(rows, np.float32)


def layout(stride: int = 10, pool: int = 3, gain: float = -0.4, bias: float = 0.7) -> FilterLayout:
    sums = bank().sum(axis=1)
    sums[-1] = 0
    return FilterLayout(stride, bank().shape[1], pool, gain, bias, 1e-5, sums)


def filtered(samples: Array, stride: int) -> F64:
    """(channels, results) of samples (n,), one filter at a time."""
    rows = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), bank().shape[1])[::stride]
    return np.asarray(bank() @ rows.T, np.float64)


def direct(window: Array, kind: FilterLayout) -> F64:
    """What the network's beginning makes of a window (160000,), as it is written: level, filter, absolute, maximum."""
    exact = np.asarray(window, np.float64)
    level = (exact - exact.mean()) / np.sqrt(exact.var() + kind.epsilon) * kind.gain + kind.bias
    results = np.abs(filtered(level, kind.stride))
    groups = results.shape[1] // kind.pool
    return np.asarray(results[:, : groups * kind.pool].reshape(len(results), groups, kind.pool).max(axis=2))


def dealt(samples: Array, kind: FilterLayout) -> F32:
    """What the filter network gives for samples (n,): (pool, channels, columns)."""
    columns = kind.columns(len(samples))
    length = (columns * kind.pool - 1) * kind.stride + kind.taps
    results = filtered(np.pad(samples, (0, length - len(samples))), kind.stride)
    return np.ascontiguousarray(results.reshape(len(results), columns, kind.pool).transpose(2, 0, 1), np.float32)


def answer(samples: Array, kind: FilterLayout) -> F32:
    """The answer to a question for a chunk."""
    return phases(dealt(samples, kind), kind, kind.pool)


def phases(results: F32, kind: FilterLayout, count: int) -> F32:
    out = np.full((count, kind.rows, results.shape[2]), np.nan, np.float32)
    grouped(kind, results, out)
    assert np.isfinite(out).all()
    return out


def settled(inputs: dict[str, Array], kind: FilterLayout) -> F32:
    out = np.full((len(kind.sums), kind.groups), np.nan, np.float32)
    settle(kind, inputs, out)
    return out


def close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, atol=3e-5 * max(1.0, float(np.abs(expected).max())))


@settings(deadline=None, max_examples=8)
@given(
    step=st.sampled_from([16_000, 32_000, 15_360, 1_600, 8_000, 159_000]),
    stride=st.sampled_from([5, 10, 20]),
    pool=st.integers(1, 4),
    gain=st.sampled_from([1.0, -0.01, 3.0]),
    bias=st.sampled_from([0.0, 0.3, -2.0]),
    heard=st.sampled_from([(1e-6, 0.0), (1e-3, 0.05), (0.1, 0.0), (0.1, -0.4), (1.0, 0.3)]),
    first=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_every_window_gets_what_its_own_samples_give(
    step: int, stride: int, pool: int, gain: float, bias: float, heard: tuple[float, float], first: int, seed: int
) -> None:
    kind, rng = layout(stride, pool, gain, bias), np.random.default_rng(seed)
    windows = 3
    loud, offset = heard
    sound = np.asarray(loud * rng.standard_normal((first + windows) * step + WINDOW) + offset, np.float32)
    filters = Filters(kind, step)
    for window in range(first, first + windows):
        samples = sound[window * step : window * step + WINDOW]
        chunks = filters.begin(window, samples)
        rng.shuffle(chunks)
        waits = [window] * bool(chunks)
        for chunk in chunks:
            assert not filters.ready(window)
            start, end = filters.samples(chunk)
            assert end <= window * step + WINDOW, "a chunk may need no sound after the window"
            results = answer(sound[start:end], kind)
            assert results.shape == filters.shape(chunk)
            ready = filters.have(chunk, results)
        assert filters.ready(window) and (ready if chunks else []) == waits
        close(settled(filters.inputs(window), kind), direct(samples, kind))
        filters.forget(window + 1)


@settings(deadline=None, max_examples=60)
@given(
    pool=st.integers(1, 4),
    columns=st.integers(2, 40),
    plain=st.integers(0, 3),
    constant=st.sampled_from([0.0, 1e-9, -0.3, 1.0, -7e4]),
    loud=st.sampled_from([1e-30, 1e-3, 1.0, 1e6]),
    seed=st.integers(0, 999),
)
def test_what_is_kept_of_a_group_gives_its_largest_result_to_the_last_bit(
    pool: int, columns: int, plain: int, constant: float, loud: float, seed: int
) -> None:
    """Wherever a window begins, and whatever is added to results before their largest absolute one is taken."""
    rng, channels = np.random.default_rng(seed), 5
    sums = rng.standard_normal(channels).astype(np.float32)
    sums[channels - plain :] = 0
    kind = FilterLayout(10, 31, pool, 1.0, 0.0, 1e-5, sums)
    results = (loud * rng.standard_normal((channels, pool * columns))).astype(np.float32)
    rows = np.ascontiguousarray(results.reshape(channels, columns, pool).transpose(2, 0, 1))
    gain, shift = level = np.array([0.37, constant], np.float32)
    shifted = np.abs(results + (sums * shift)[:, None])
    for first in range(min(2 * pool, pool * (columns - 1) + 1)):
        count = (pool * columns - first) // pool
        groups = shifted[:, first : first + count * pool].reshape(channels, count, pool)
        for piece in (phases(rows, kind, pool), phases(rows, kind, 1))[: 1 + (first % pool == 0)]:
            out = np.full((channels, count), np.nan, np.float32)
            settle(kind, {LEVEL: level, PLACES: np.array([[first, count]]), f"{PIECE}0": piece}, out)
            np.testing.assert_array_equal(out, groups.max(axis=2) * gain)


def test_a_second_of_new_sound_is_asked_for_once() -> None:
    filters, silence = Filters(layout(), 16_000), np.zeros(WINDOW, np.float32)
    assert filters.begin(0, silence) == list(range(10))
    assert filters.begin(1, silence) == [10] and filters.begin(2, silence) == [11]
    spans = [filters.samples(chunk) for chunk in range(3, 6)]
    assert [end - start for start, end in spans] == [16_000 + layout().field - 10] * 3
    assert all(later[0] - sooner[0] == 16_000 for sooner, later in pairwise(spans))


def test_steps_that_are_no_whole_number_of_results_share_nothing() -> None:
    kind = layout()
    assert kind.fits(16_000) and kind.fits(32_000)
    assert not kind.fits(16_005) and not kind.fits(2 * WINDOW)


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360, 1_600])
def test_a_level_does_not_depend_on_which_window_was_the_first(step: int) -> None:
    """To the last bit: a restored session begins in the middle."""
    sound = np.random.default_rng(1).standard_normal(WINDOW + 6 * step).astype(np.float32) * np.float32(0.1)
    whole, later = Filters(layout(), step), Filters(layout(), step)
    for window in range(6):
        samples = sound[window * step : window * step + WINDOW]
        whole.begin(window, samples)
        if window >= 3:
            later.begin(window, samples.copy())
            assert whole._levels[window].tobytes() == later._levels[window].tobytes()
        whole.forget(window)


@pytest.mark.parametrize("sound", [0.0, 0.25])
def test_silence_and_a_constant_have_a_level(sound: float) -> None:
    kind, window = layout(), np.full(WINDOW, sound, np.float32)
    close(settled_whole(window, kind), direct(window, kind))


def settled_whole(window: F32, kind: FilterLayout) -> F32:
    piece = phases(dealt(window, kind), kind, 1)
    inputs = {LEVEL: kind.level(powers(window, WINDOW)), PLACES: np.array([[0, kind.groups]]), f"{PIECE}0": piece}
    return settled(inputs, kind)


# -- a session that carries them ---------------------------------------------------------------------------------


class FilteringEar(Ear):
    """Runs filters too, and checks that a window was made of its own sound before it answers."""

    def __init__(self, step: int) -> None:
        super().__init__(TALK, SHARED)
        self.step, self.kind = step, layout()
        self.asked: list[tuple[str, int]] = []

    def answer(self, job: Job) -> Array:
        """The answer to one job."""
        self.asked.append((job.model, job.about[1]))
        if job.model == "filters":
            return answer(job.inputs["samples"], self.kind)
        if job.model != "segmentation" or "samples" in job.inputs:
            return super().answer(job)
        window = self.sound(job.about[1])
        close(settled(dict(job.inputs), self.kind), direct(window, self.kind))
        return self.segmentation(window)

    def sound(self, window: int) -> F32:
        start = window * self.step
        heard = self.conversation.audio[start : start + WINDOW]
        return np.pad(heard, (0, WINDOW - len(heard)))


def model(filters: FilterLayout | None) -> SpeakerModel:
    plain = speaker_model(SHARED)
    return SpeakerModel(plain.layout, plain.plda, filters)


def heard(session: Session) -> tuple[object, ...]:
    outcome = session.outcome()
    return outcome.turns, outcome.embeddings.tobytes(), session.history.embeddings.tobytes()


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
def test_a_session_hears_the_same_with_filters_carried(step: int) -> None:
    config = PipelineConfig(step=step)
    plain, carrying, ear = Session(config, model(None)), Session(config, model(layout())), FilteringEar(step)
    converse(plain, Ear(TALK, SHARED))
    converse(carrying, ear, [7_777])
    assert heard(carrying) == heard(plain)
    chunks = [number for kind, number in ear.asked if kind == "filters"]
    assert chunks == list(range(len(chunks))), "each chunk once"


def test_a_saved_session_filters_again_what_it_needs() -> None:
    """Saved and restored before every push, whatever was answered; nothing filtered is in what is saved."""
    rng, ear, config = np.random.default_rng(2), FilteringEar(16_000), PipelineConfig()
    session = Session(config, model(layout()))
    for piece in pieces(TALK.audio, [23_456]):
        plain, arrays = session.state()
        assert sum(rows.nbytes for rows in arrays.values()) < 2_500_000
        session = Session(config, model(layout()))
        session.restore(plain, arrays)
        session.push(piece)
        waiting = session.jobs()
        for _ in range(int(rng.integers(2 * len(waiting) + 1))):
            if waiting:
                job = waiting.pop(int(rng.integers(len(waiting))))
                session.resolve(job.id, ear.answer(job))
                waiting += session.jobs()
    session.ask_again()
    session.finish()
    while jobs := session.jobs():
        for job in jobs:
            session.resolve(job.id, ear.answer(job))
    whole = Session(config, model(layout()))
    converse(whole, ear)
    assert heard(session) == heard(whole)


def test_less_than_a_window_is_asked_whole() -> None:
    session = Session(PipelineConfig(), model(layout()))
    session.push(TALK.audio[:48_000])
    session.finish()
    (job,) = session.jobs()
    assert job.model == "segmentation" and job.inputs["samples"].shape == (WINDOW,)
    again = Session(PipelineConfig(), model(layout()))
    again.restore(*session.state())
    assert again.jobs()[0].inputs.keys() == {"samples"}


def test_results_of_another_shape_are_refused() -> None:
    session = Session(PipelineConfig(), model(layout()))
    session.push(TALK.audio[:WINDOW])
    job, *_ = session.jobs()
    with pytest.raises(SessionError, match=r"the filters gave \(3, 3, 5\) where \(3, 5, 5\d\d\) was expected"):
        session.resolve(job.id, np.zeros((3, 3, 5), np.float32))


def test_memory_does_not_grow() -> None:
    config, ear = PipelineConfig(), FilteringEar(16_000)
    session = Session(config, model(layout()))
    for piece in pieces(TALK.audio, [16_000]):
        session.push(piece)
        while jobs := session.jobs():
            for job in jobs:
                session.resolve(job.id, ear.answer(job))
        assert session._filters is not None and len(session._filters._chunks) <= 9
        assert len(session._audio.all()) < WINDOW
