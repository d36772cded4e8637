"""Which questions a window's embeddings take, and that sharing a trunk changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.arrays import F32, U8, Array
from speakrs_stream.core.embedding.extraction import EmbeddingLayout, Extraction, Question
from speakrs_stream.core.embedding.fbank import FBANK_PER_WINDOW, HOP, fbank
from speakrs_stream.core.embedding.pooling import pool, resample_centred, resample_nearest
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, WINDOW
from speakrs_stream.errors import ConfigError, SessionError
from tests.conversations import DIMENSION, LAYOUTS, MULTIMASK, PADDED, SHARED, Conversation, Ear

TALK = Conversation.of("A 0-5, B 4-9, A 10-15, B 15-22", 24)
SILENCE = np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)


def speaking(start: int, end: int, local: int = 0) -> U8:
    """Activity of one local speaker in frames start..end."""
    out = SILENCE.copy()
    out[start:end, local] = 1
    return out


def answer(ear: Ear, extraction: Extraction, question: Question) -> Array:
    inputs = extraction.inputs(question)
    match question.model:
        case "trunk":
            return ear.trunk(inputs["fbank"])
        case "flow":
            return ear.flow(inputs["fbank"], inputs["context"])
        case "head":
            return ear.head(inputs["statistics"])
        case _:
            return ear.multimask(inputs["fbank"], inputs["masks"])


def settle(ear: Ear, extraction: Extraction, questions: list[Question]) -> int:
    """Answer everything; how many questions that took."""
    asked = 0
    questions = list(questions)
    while questions:
        question = questions.pop(0)
        questions += extraction.resolve(question, answer(ear, extraction, question))
        asked += 1
    return asked


def alone(layout: EmbeddingLayout, step: int, window: int, activity: U8) -> F32:
    """Embeddings of a window computed from nothing but its own audio, without any of the bookkeeping."""
    ear = Ear(TALK, layout)
    start = window * step
    # the same rounding as in the stream: filter-bank frames are computed in blocks counted from its start
    rows = fbank(TALK.audio[start : start + WINDOW], start // HOP)
    if layout.window_mean:
        rows = np.asarray(rows - rows.mean(axis=0, dtype=np.float64), np.float32)
    masks = Activity(activity).masks()
    out = np.full((3, layout.dimension), np.nan, np.float32)
    if layout.kind == "multimask":
        spoken = masks.any(axis=1)
        out[spoken] = ear.multimask(rows, masks)[spoken]
        return out
    features = ear.trunk(rows)
    weights = (
        resample_nearest(masks, len(features))
        if layout.padded
        else resample_centred(masks, len(features), layout.stride, (layout.receptive_field - 1) // 2)
    )
    for local, statistics in enumerate(pool(features, weights)):
        if weights[local].any():
            out[local] = ear.head(statistics)
    return out


def alike(found: F32, expected: F32, what: str = "") -> None:
    """Embeddings equal but for rounding: sums are taken in other parts, and squares less a squared mean."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-4, err_msg=what)


WITHOUT_MEAN = {
    "padded, no mean": EmbeddingLayout(kind="split", dimension=DIMENSION, window_mean=False, stride=8),
    "multimask, no mean": EmbeddingLayout(kind="multimask", dimension=DIMENSION, window_mean=False),
}


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), *WITHOUT_MEAN.values()], ids=[*LAYOUTS, *WITHOUT_MEAN])
@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
def test_embeddings_are_those_of_the_window_alone(layout: EmbeddingLayout, step: int) -> None:
    extraction, ear = Extraction(layout, step), Ear(TALK, layout)
    extraction.fbank.push(TALK.audio)
    for window in range((TALK.samples - WINDOW) // step + 1):
        activity = TALK.window(window * step)[0]
        settle(ear, extraction, extraction.push(window, Activity(activity)))
        assert not extraction.pending(window)
        alike(extraction.take(window), alone(layout, step, window, activity))
        extraction.forget(window + 1)


RECEPTIVE_FIELDS = st.sampled_from([1, 5, 25, 97, 99, 121, 225])


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    RECEPTIVE_FIELDS,
    st.sampled_from([1, 2, 4, 10]),
    st.sampled_from([1, 2, 5, 10]),
    st.booleans(),
)
def test_shared_features_with_any_activity_in_any_order(
    seed: int, field: int, stride: int, tenths: int, keep: bool
) -> None:
    """Windows that disagree, are silent, or speak for a few frames; questions answered in any order."""
    generator = np.random.default_rng(seed)
    step = tenths * 16_000
    layout = EmbeddingLayout(kind="split", dimension=DIMENSION, window_mean=False, stride=stride, receptive_field=field)
    extraction, ear = Extraction(layout, step), Ear(TALK, layout)
    extraction.fbank.push(TALK.audio)
    waiting: list[Question] = []
    activities: list[U8] = []
    taken = 0
    windows = (TALK.samples - WINDOW) // step + 1
    while taken < windows:
        if len(activities) < windows and (not waiting or generator.random() < 0.5):
            activity = SILENCE.copy()
            for local in np.flatnonzero(generator.random(3) < 0.4):
                start = int(generator.integers(-50, FRAMES_PER_WINDOW))
                activity[max(start, 0) : max(start, 0) + int(generator.choice([1, 3, 40, 300])), local] = 1
            activities.append(activity)
            waiting += extraction.push(len(activities) - 1, Activity(activity))
        elif waiting:
            question = waiting.pop(int(generator.integers(len(waiting))))
            waiting += extraction.resolve(question, answer(ear, extraction, question))
        while taken < len(activities) and not extraction.pending(taken):
            alike(extraction.take(taken), alone(layout, step, taken, activities[taken]), f"window {taken}")
            taken += 1
            if not keep:
                extraction.forget(taken)


def test_a_window_may_be_the_first_to_ask_for_the_chunk_it_begins_in() -> None:
    extraction, ear = Extraction(SHARED, 16_000), Ear(TALK, SHARED)
    extraction.fbank.push(TALK.audio)
    assert extraction.push(0, Activity(SILENCE)) == []  # disagrees with the next window about the same second
    extraction.take(0)
    extraction.forget(1)
    activity = speaking(0, 200)
    assert settle(ear, extraction, extraction.push(1, Activity(activity))) > 0
    alike(extraction.take(1), alone(SHARED, 16_000, 1, activity))


def test_every_chunk_is_asked_for_once() -> None:
    extraction, ear = Extraction(SHARED, 16_000), Ear(TALK, SHARED)
    extraction.fbank.push(TALK.audio)
    asked: list[Question] = []
    frames = []
    for window in range(15):
        questions = extraction.push(window, Activity(speaking(0, FRAMES_PER_WINDOW)))
        frames += [len(extraction.inputs(question)["fbank"]) for question in questions if question.model == "trunk"]
        asked += questions
        settle(ear, extraction, questions)
        extraction.take(window)
        extraction.forget(window + 1)
    trunks = [question.about for question in asked if question.model == "trunk"]
    assert len(trunks) == len(set(trunks)) == 10 + 14  # the first window's ten seconds, then one a window
    assert set(frames[1:]) == {100 - 4 + 25}, "a second of new features takes a second and the field around it"


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_silence_asks_nothing(layout: EmbeddingLayout) -> None:
    extraction = Extraction(layout, 16_000)
    assert extraction.push(0, Activity(SILENCE)) == []
    assert not extraction.pending(0)
    assert np.isnan(extraction.take(0)).all()


def test_speech_that_reaches_no_feature_gives_no_embedding() -> None:
    # the first feature is centred on filter-bank frame 112, over a second into the window
    layout = EmbeddingLayout(kind="split", dimension=DIMENSION, window_mean=False, stride=4, receptive_field=225)
    extraction = Extraction(layout, 16_000)
    extraction.fbank.push(TALK.audio)
    assert extraction.push(0, Activity(speaking(0, 20))) == []
    assert not extraction.pending(0)
    assert np.isnan(extraction.take(0)).all()
    # a padded trunk of long stride may step over a single frame as well
    padded, ear = Extraction(PADDED, 16_000), Ear(TALK, PADDED)
    padded.fbank.push(TALK.audio)
    assert settle(ear, padded, padded.push(0, Activity(speaking(1, 2)))) == 1  # the trunk, and no head
    assert not padded.pending(0)
    assert np.isnan(padded.take(0)).all()


def test_only_active_local_speakers_get_an_embedding() -> None:
    for layout in LAYOUTS.values():
        extraction, ear = Extraction(layout, 16_000), Ear(TALK, layout)
        extraction.fbank.push(TALK.audio)
        questions = extraction.push(0, Activity(speaking(100, 200, 1) | speaking(300, 500, 2)))
        assert extraction.pending(0)
        settle(ear, extraction, questions)
        assert np.isfinite(extraction.take(0)).all(axis=1).tolist() == [False, True, True]


def test_memory_does_not_grow_with_the_stream() -> None:
    sizes = []
    extraction, ear = Extraction(SHARED, 16_000), Ear(TALK, SHARED)
    extraction.fbank.push(TALK.audio[: WINDOW - 16_000])
    for window in range(60):
        extraction.fbank.push(TALK.audio[:16_000])
        settle(ear, extraction, extraction.push(window, Activity(speaking(0, FRAMES_PER_WINDOW))))
        extraction.take(window)
        extraction.forget(window + 1)
        sizes.append(sum(rows.nbytes for rows in extraction.state()[1].values()))
    assert max(sizes[10:]) == sizes[10] < 2 * WINDOW * 4


def test_answers_of_the_wrong_shape_are_refused() -> None:
    for layout, shape in ((SHARED, (7, 80)), (SHARED, (20,)), (PADDED, (124, 80)), (MULTIMASK, (2, DIMENSION))):
        extraction = Extraction(layout, 16_000)
        extraction.fbank.push(TALK.audio)
        question = extraction.push(0, Activity(speaking(0, 200)))[0]
        with pytest.raises(SessionError, match=f"the {question.model} network gave"):
            extraction.resolve(question, np.zeros(shape, np.float32))
    extraction = Extraction(PADDED, 16_000)
    extraction.fbank.push(TALK.audio)
    head = extraction.resolve(extraction.push(0, Activity(speaking(0, 200)))[0], np.ones((125, 80), np.float32))[0]
    with pytest.raises(SessionError, match=rf"\({DIMENSION},\)"):
        extraction.resolve(head, np.zeros(DIMENSION + 1, np.float32))


def test_layouts_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="window's mean"):
        EmbeddingLayout(kind="split", dimension=8, window_mean=True, receptive_field=25)
    with pytest.raises(ConfigError, match="does not fit"):
        EmbeddingLayout(kind="split", dimension=8, window_mean=False, receptive_field=FBANK_PER_WINDOW + 1)
    with pytest.raises(ConfigError, match="multiple of 640 samples"):
        Extraction(SHARED, 16_160)
    Extraction(PADDED, 16_160)  # a trunk of its own for every window takes any step


def test_feature_counts() -> None:
    assert PADDED.features_per_window == 125  # three halvings, each rounded up
    assert SHARED.features_per_window == (998 - 25) // 4 + 1
    assert SHARED.feature_count(24) == 0
    assert SHARED.feature_count(25) == SHARED.feature_count(28) == 1
    assert (SHARED.shared, PADDED.shared, MULTIMASK.shared) == (True, False, False)


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    activity = speaking(0, 300) | speaking(320, 500, 2)
    for layout in LAYOUTS.values():
        ear = Ear(TALK, layout)
        first = Extraction(layout, 16_000)
        first.fbank.push(TALK.audio)
        waiting = first.push(0, Activity(activity))
        while waiting:
            plain, arrays = first.state()
            second = Extraction(layout, 16_000)
            second.restore(plain, {name: rows.copy() for name, rows in arrays.items()})
            assert second.pending(0)
            settle(ear, second, waiting)
            alike(second.take(0), alone(layout, 16_000, 0, activity))
            question = waiting.pop(0)
            waiting += first.resolve(question, answer(ear, first, question))
