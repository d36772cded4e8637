"""Embeddings from a trunk that carries on: the same however they come about, and near those of the exact way."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, U8
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, Extraction, FlowLayout, Question
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, HOP, fbank
from speakrs_stream.core.embedding.flow import BRIDGE, Flow
from speakrs_stream.core.embedding.pooling import pool, resample_centred
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.errors import ConfigError, SessionError
from tests.conversations import DIMENSION, FLOWING, PADDED, SHARED, Conversation, Ear
from tests.core.test_extraction import SILENCE, answer, settle, speaking

TALK = Conversation.of("A 0-5, B 4-9, A 10-15, B 15-24, A 27-33", 35)
EAR = Ear(TALK, FLOWING)
STRIDE, DELAY, HALF = 8, 1, 12


def flow(step: int = 16_000, keep: bool = False) -> Flow:
    extraction = Flow(FLOWING, step, keep=keep)
    extraction.fbank.push(TALK.audio)
    return extraction


def windows(step: int) -> list[U8]:
    return [TALK.window(start)[0] for start in range(0, TALK.samples - WINDOW + 1, step)]


@cache
def features(step: int) -> F32:
    """Trunk features of the whole recording where nothing is silent, from the definition: one run over everything."""
    unit, rows = step // HOP, fbank(TALK.audio)
    normal = np.zeros_like(rows)
    ends = list(range(FBANK_PER_WINDOW % unit, len(rows) + 1, unit))
    for low, high in zip([0, *ends[:-1]], ends, strict=True):
        end = max(high, FBANK_PER_WINDOW)
        here = slice(low - low % STRIDE, high - high % STRIDE)
        normal[here] = rows[here] - rows[end - FBANK_PER_WINDOW : end].mean(axis=0, dtype=np.float64).astype(np.float32)
    return EAR.trunk(normal)


def reference(step: int, window: int, activity: U8) -> F32:
    """Embeddings of a window from those features."""
    unit = step // HOP
    first = -(-window * unit // STRIDE)
    last = (window * unit + FBANK_PER_WINDOW) // STRIDE - DELAY
    weights = resample_centred(Activity(activity).masks(), last - first, STRIDE, first * STRIDE - window * unit)
    return np.stack([EAR.head(row) for row in pool(features(step)[first:last], weights)])


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360, 8_000, 79_840])
def test_it_is_the_trunk_over_everything(step: int) -> None:
    extraction = flow(step)
    everybody = speaking(0, 200) | speaking(200, 400, 1) | speaking(400, FRAMES_PER_WINDOW, 2)
    for window in range((TALK.samples - WINDOW) // step + 1):
        settle(EAR, extraction, extraction.push(window, Activity(everybody)))
        expected = reference(step, window, everybody)
        np.testing.assert_allclose(extraction.take(window), expected, rtol=1e-4, atol=1e-4)
        extraction.forget(window + 1)


def test_each_second_is_run_once() -> None:
    extraction = flow()
    frames = 0
    for window in range(25):
        questions = extraction.push(window, Activity(speaking(0, FRAMES_PER_WINDOW)))
        while questions:
            question = questions.pop(0)
            inputs = extraction.inputs(question)
            frames += len(inputs["fbank"]) if question.model == "flow" else 0
            questions += extraction.resolve(question, answer(EAR, extraction, question))
        extraction.take(window)
        extraction.forget(window + 1)
    end = FBANK_PER_WINDOW + 24 * 100
    assert frames == end - end % STRIDE


def test_near_the_exact_way() -> None:
    fast, exact = flow(), Extraction(PADDED, 16_000)
    exact.fbank.push(TALK.audio)
    ear, likeness = Ear(TALK, PADDED), []
    for window, activity in enumerate(windows(16_000)):
        settle(EAR, fast, fast.push(window, Activity(activity)))
        settle(ear, exact, exact.push(window, Activity(activity)))
        one, two = fast.take(window), exact.take(window)
        enough = (Activity(activity).masks()[:, :500].sum(axis=1) > 60) & np.isfinite(one).all(axis=1)
        dots = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        likeness += dots[enough].tolist()
    assert len(likeness) > 25
    assert np.median(likeness) > 0.999 and np.quantile(likeness, 0.05) > 0.8


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([16_000, 32_000, 15_360]), st.booleans())
def test_whatever_is_answered_when(seed: int, step: int, keep: bool) -> None:
    """Windows out of order, silent ones, answers in any order: the same to the last bit as one after the other."""
    generator = np.random.default_rng(seed)
    activities = []
    for _ in range((TALK.samples - WINDOW) // step + 1):
        activity = SILENCE.copy()
        if generator.random() < 0.5:
            start = int(generator.integers(0, FRAMES_PER_WINDOW))
            activity[start : start + int(generator.choice([1, 40, 300])), int(generator.integers(3))] = 1
        activities.append(activity)
    plain = flow(step)
    expected = []
    for window, activity in enumerate(activities):
        settle(EAR, plain, plain.push(window, Activity(activity)))
        expected.append(plain.take(window))
        plain.forget(window + 1)
    other, taken = flow(step, keep), 0
    waiting: list[Question] = []
    order = [int(one) for one in np.argsort(np.arange(len(activities)) + generator.uniform(0, 5, len(activities)))]
    pushed: set[int] = set()
    while taken < len(activities):
        if order and (not waiting or generator.random() < 0.5):
            window = order.pop(0)
            pushed.add(window)
            waiting += other.push(window, Activity(activities[window]))
        elif waiting:
            question = waiting.pop(int(generator.integers(len(waiting))))
            waiting += other.resolve(question, answer(EAR, other, question))
        while taken in pushed and not other.pending(taken):
            np.testing.assert_array_equal(other.take(taken), expected[taken], err_msg=f"window {taken}")
            taken += 1
            other.forget(taken)


def chunks(extraction: Flow, activities: list[U8]) -> list[tuple[int, int]]:
    """Chunks asked for, with the number of filter-bank frames, in order."""
    asked = []
    for window, activity in enumerate(activities):
        questions = extraction.push(window, Activity(activity))
        while questions:
            question = questions.pop(0)
            inputs = extraction.inputs(question)
            if question.model == "flow":
                asked.append((question.about[0], len(inputs["fbank"])))
            questions += extraction.resolve(question, answer(EAR, extraction, question))
        extraction.take(window)
        extraction.forget(window + 1)
    return asked


def test_silence_skips_the_trunk() -> None:
    talk = [speaking(0, 50)] + [SILENCE] * 20
    assert [chunk for chunk, _ in chunks(flow(), talk)] == [0]
    assert chunks(flow(), [SILENCE] * 20) == []


def test_short_pauses_are_run_and_long_ones_are_not() -> None:
    second = FRAMES_PER_WINDOW // 10
    short = speaking(0, second - 4) | speaking((BRIDGE + 2) * second, (BRIDGE + 2) * second + 40)
    assert [chunk for chunk, _ in chunks(flow(), [short])] == list(range(BRIDGE + 3))
    long = speaking(0, second - 8) | speaking((BRIDGE + 4) * second, (BRIDGE + 4) * second + 40)
    asked = dict(chunks(flow(), [long]))
    assert BRIDGE + 1 not in asked
    fresh = asked[BRIDGE + 4] if BRIDGE + 3 not in asked else asked[BRIDGE + 3]
    assert fresh in (96 + 24, 104 + 24), "a fresh start begins a receptive field early"


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    activities = windows(16_000)[:14]
    plain = flow()
    expected = []
    for window, activity in enumerate(activities):
        settle(EAR, plain, plain.push(window, Activity(activity)))
        expected.append(plain.take(window))
    going, waiting, taken = flow(), [], 0
    for pushed, window in enumerate((1, 0, *range(2, len(activities)))):
        waiting += going.push(window, Activity(activities[window]))
        for _ in range(3):
            values, arrays = going.state()
            again = Flow(FLOWING, 16_000)
            again.restore(values, {name: rows.copy() for name, rows in arrays.items()})
            going = again
            if waiting:
                question = waiting.pop(0)
                waiting += going.resolve(question, answer(EAR, going, question))
            while taken <= pushed > 0 and not going.pending(taken):
                np.testing.assert_array_equal(going.take(taken), expected[taken])
                taken += 1
                going.forget(taken)
    assert taken > 4


def test_memory_does_not_grow_unless_it_has_to() -> None:
    for keep in (False, True):
        extraction, sizes = Flow(FLOWING, 16_000, keep=keep), []
        extraction.fbank.push(TALK.audio[: WINDOW - 16_000])
        for window in range(60):
            extraction.fbank.push(TALK.audio[:16_000])
            settle(EAR, extraction, extraction.push(window, Activity(speaking(0, FRAMES_PER_WINDOW))))
            extraction.take(window)
            extraction.forget(window + 1)
            sizes.append(sum(rows.nbytes for rows in extraction.state()[1].values()))
        growth = sizes[-1] - sizes[30]
        assert abs(growth - (29 * 100 * 80 * 4 if keep else 0)) <= 80 * 4, "but for a feature more in every other step"


def test_answers_of_the_wrong_shape_are_refused() -> None:
    extraction = flow()
    question = extraction.push(0, Activity(speaking(0, 200)))[0]
    for shape in ((96 // 8 * 80,), (1600,), (2, 1600), (1601,)):
        with pytest.raises(SessionError, match=r"the flow network gave .* where \(12 \* channels \+ 1600,\)"):
            extraction.resolve(question, np.zeros(shape, np.float32))


def test_layouts_and_steps_that_cannot_work_are_refused() -> None:
    for layout in (PADDED, SHARED):
        with pytest.raises(ConfigError, match="cannot be shared"):
            Flow(layout, 16_000)
    with pytest.raises(ConfigError, match="at least 1280 samples"):
        Flow(FLOWING, 160)
    with pytest.raises(ConfigError, match="only a padded trunk"):
        EmbeddingLayout(
            kind="split",
            dimension=DIMENSION,
            window_mean=False,
            stride=4,
            receptive_field=25,
            flow=FlowLayout(1600, 1, 25),
        )
