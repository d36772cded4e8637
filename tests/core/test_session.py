"""A session without networks: windows, chopping, order of answers, memory, snapshots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW, total_frames
from speakrs_stream.core.history import WindowResult
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.session import Outcome, Session, scripted_history, window_count
from speakrs_stream.errors import SessionError, SessionFinished
from tests.checks import pieces
from tests.conversations import (
    DIMENSION,
    LAYOUTS,
    MULTIMASK,
    PADDED,
    SHARED,
    Conversation,
    Ear,
    answer_all,
    converse,
    log_probabilities,
    speaker_model,
)

TALK = Conversation.of("A 0.5-5, B 4-9, A 10-13, C 13.5-20, B 19-24, A 24.5-28", 29.3)
FRAME_SECONDS = 270 / 16_000


def new_session(layout: EmbeddingLayout, step: int = SAMPLE_RATE, parity: bool = False) -> Session:
    return Session(PipelineConfig(step=step, parity=parity), speaker_model(layout))


def facts(session: Session, outcome: Outcome) -> tuple[object, ...]:
    """Everything that must not depend on how the audio came: to the last bit."""
    return (
        outcome.turns,
        outcome.exclusive,
        outcome.samples,
        outcome.embeddings.tobytes(),
        session.history.embeddings.tobytes(),
        session.history.activations(0, len(session.history)).tobytes(),
        session.count.finish().tobytes(),
    )


def expected(layout: EmbeddingLayout, step: int = SAMPLE_RATE, talk: Conversation = TALK) -> tuple[object, ...]:
    session = new_session(layout, step)
    return facts(session, converse(session, Ear(talk, layout)))


# -- what it finds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
def test_turns_follow_the_script(layout: EmbeddingLayout, step: int) -> None:
    session = new_session(layout, step)
    outcome = converse(session, Ear(TALK, layout))
    said = [(u.span.start / SAMPLE_RATE, u.span.end / SAMPLE_RATE, "ABC".index(u.voice)) for u in TALK.utterances]
    found = [(turn.span.start / SAMPLE_RATE, turn.span.end / SAMPLE_RATE, turn.speaker) for turn in outcome.turns]
    assert [speaker for *_, speaker in found] == [speaker for *_, speaker in said]
    for (start, end, _), (spoken_from, spoken_to, _) in zip(found, said, strict=True):
        assert abs(start - spoken_from) <= 2 * FRAME_SECONDS and abs(end - spoken_to) <= 2 * FRAME_SECONDS
    assert outcome.samples == session.samples == TALK.samples
    assert outcome.embeddings.shape == (3, DIMENSION) and np.isfinite(outcome.embeddings).all()


def test_exclusive_turns_never_overlap_and_cover_the_same_time() -> None:
    session = new_session(SHARED)
    outcome = converse(session, Ear(TALK, SHARED))
    ends = 0
    for turn in outcome.exclusive:
        assert turn.span.start >= ends
        ends = turn.span.end
    spoken, alone = np.zeros(TALK.samples, bool), np.zeros(TALK.samples, bool)
    for turn in outcome.turns:
        spoken[turn.span.start : turn.span.end] = True
    for turn in outcome.exclusive:
        alone[turn.span.start : turn.span.end] = True
    assert (spoken == alone).all()


def test_speakers_are_numbered_as_they_are_heard_or_by_cluster_with_parity() -> None:
    talk = Conversation.of("C 0-6, A 6.5-13, B 13.5-20", 20)
    plain, parity = new_session(SHARED), new_session(SHARED, parity=True)
    for session in (plain, parity):
        converse(session, Ear(talk, SHARED))
    assert [turn.speaker for turn in plain.outcome().turns] == [0, 1, 2]
    clustered = parity.outcome()
    columns = {}
    for turn in clustered.turns:
        middle = (turn.span.start + turn.span.end) // 2
        window = max(0, min(middle // SAMPLE_RATE - 5, len(parity.history) - 1))
        local = int(parity.history.activations(window, window + 1)[0][(middle - window * SAMPLE_RATE) // 270].argmax())
        columns[turn.speaker] = int(clustered.clustering.labels[window, local])
    assert columns == {0: 0, 1: 1, 2: 2}


# -- how it asks -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(st.data())
@pytest.mark.parametrize("name", LAYOUTS)
def test_chopping_order_and_batches_change_nothing(name: str, data: st.DataObject) -> None:
    """Pieces of any size; answers at once, later, or all at the end; in any order."""
    layout = LAYOUTS[name]
    size = st.sampled_from([0, 1, 159, 160, 4_001, 16_000, 70_000, 300_000])
    sizes = data.draw(st.lists(size, min_size=1, max_size=6).filter(lambda drawn: sum(drawn) > 1_000))
    order = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    patience = data.draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]), label="share of pushes after which nobody answers")
    session, ear = new_session(layout), Ear(TALK, layout)
    waiting: list[Job] = []
    settled: list[WindowResult] = []
    for piece in pieces(TALK.audio, sizes):
        session.push(piece)
        if order.random() < patience:
            continue
        waiting += session.jobs()
        for _ in range(int(order.integers(len(waiting) + 1))):
            job = waiting.pop(int(order.integers(len(waiting))))
            settled += session.resolve(job.id, ear.answer(job))
            waiting += session.jobs()
    session.finish()
    waiting += session.jobs()
    while waiting:  # in batches: all that is known is answered before anything new is asked for
        order.shuffle(waiting)
        for job, answer in [(job, ear.answer(job)) for job in waiting]:
            settled += session.resolve(job.id, answer)
        waiting = session.jobs()
    assert not session.busy
    assert [window.index for window in settled] == list(range(window_count(TALK.samples, SAMPLE_RATE)))
    assert facts(session, session.outcome()) == expected(layout)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_jobs_are_what_the_networks_take(layout: EmbeddingLayout) -> None:
    session, ear = new_session(layout), Ear(TALK, layout)
    session.push(TALK.audio)
    session.finish()
    waiting, models = session.jobs(), set()
    assert {job.model for job in waiting} == {"segmentation"}
    while waiting:
        job = waiting.pop(0)
        models.add(job.model)
        shapes = {name: rows.shape for name, rows in job.inputs.items()}
        match job.model:
            case "segmentation":
                assert shapes == {"samples": (WINDOW,)} and job.about[0] == 0
            case "trunk":
                assert shapes.keys() == {"fbank"} and shapes["fbank"][1] == 80
            case "head":
                assert shapes == {"statistics": (160,)}
            case "multimask":
                assert shapes == {"fbank": (998, 80), "masks": (3, 589)}
                np.testing.assert_allclose(job.inputs["fbank"].mean(axis=0), 0, atol=1e-4)
        assert all(rows.dtype == np.float32 for rows in job.inputs.values())
        session.resolve(job.id, ear.answer(job))
        waiting += session.jobs()
    assert models == ({"segmentation", "multimask"} if layout is MULTIMASK else {"segmentation", "trunk", "head"})


LENGTHS = [0, 1, 399, 159_999, 160_000, 160_001, 175_999, 176_000, 176_001, 191_999, 192_000, 192_001, 320_000]


@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
@pytest.mark.parametrize("length", LENGTHS)
def test_windows_by_pyannotes_rule(length: int, step: int) -> None:
    """Whole windows; one padded one where audio is left over, or where there is less than a window."""
    whole = len(range(0, length - WINDOW + 1, step))
    padded = length < WINDOW or (length - WINDOW) % step > 0
    windows = 0 if length == 0 else whole + padded
    assert window_count(length, step) == windows
    audio = (1e-3 * np.random.default_rng(length).standard_normal(length)).astype(np.float32)
    session = new_session(PADDED, step)
    session.push(audio)
    assert len(session.jobs()) == whole, "whole windows are asked for at once"
    session.finish()
    asked = session.jobs()
    assert len(asked) == windows - whole
    if asked:
        part = audio[whole * step :]
        assert (asked[0].inputs["samples"] == np.concatenate([part, np.zeros(WINDOW - len(part), np.float32)])).all()


def test_a_long_step_leaves_gaps_but_no_trouble() -> None:
    session = new_session(PADDED, WINDOW)
    outcome = converse(session, Ear(TALK, PADDED))
    assert len(session.history) == 3 and outcome.turns


# -- short, silent and strange -----------------------------------------------------------------------------------


def test_nothing_at_all() -> None:
    for parity in (False, True):
        session = new_session(SHARED, parity=parity)
        session.push(np.zeros(0, np.float32))
        session.finish()
        session.finish()  # once more does nothing
        assert not session.busy and session.jobs() == []
        outcome = session.outcome()
        assert (outcome.turns, outcome.exclusive, outcome.samples, len(outcome.embeddings)) == ([], [], 0, 0)


@pytest.mark.parametrize("seconds", [0.05, 3.0, 10.0, 14.2])
def test_silence(seconds: float) -> None:
    silence = Conversation([], round(seconds * SAMPLE_RATE))
    session = new_session(SHARED)
    outcome = converse(session, Ear(silence, SHARED))
    assert outcome.turns == outcome.exclusive == [] and outcome.embeddings.shape == (0, DIMENSION)
    assert len(session.history) == window_count(silence.samples, SAMPLE_RATE)
    assert not session.history.active.any()


def test_three_seconds_are_one_padded_window_and_one_speaker() -> None:
    """Too little clean speech of anybody to tell voices apart: pyannote, too, hears one person in such a file."""
    talk = Conversation.of("A 0-1.4, B 1.6-3", 3.2)
    session = new_session(SHARED)
    outcome = converse(session, Ear(talk, SHARED))
    assert len(session.history) == 1
    assert {turn.speaker for turn in outcome.turns} == {0}
    assert outcome.clustering.vbx is None and np.isnan(outcome.embeddings).all()
    both = Conversation.of("A 0-3, B 0.5-2.5", 3.2)
    for parity, speakers in ((False, 1), (True, 2)):  # the second is pyannote's ghost
        session = new_session(SHARED, parity=parity)
        outcome = converse(session, Ear(both, SHARED))
        assert {turn.speaker for turn in outcome.turns} == set(range(speakers)) and len(outcome.embeddings) == speakers


def test_turns_end_with_the_audio_unless_parity() -> None:
    """A network that still hears speech in the padding."""

    class Echoing(Ear):
        def segmentation(self, samples: F32) -> F32:
            activity = self.conversation.window(self.find(samples)[0])[0].copy()
            heard = np.flatnonzero(activity.any(axis=1))
            if len(heard):
                activity[heard[-1] : heard[-1] + 40] = activity[heard[-1]]
            return log_probabilities(activity)

    talk = Conversation.of("A 0-6, B 7-12.34", 12.34)
    plain, parity = new_session(SHARED), new_session(SHARED, parity=True)
    for session in (plain, parity):
        converse(session, Echoing(talk, SHARED))
    assert plain.outcome().turns[-1].span.end == talk.samples
    assert parity.outcome().turns[-1].span.end > talk.samples + 4_000
    assert plain.outcome().turns[:-1] == parity.outcome().turns[:-1]


def test_wrong_numbers_in_the_audio_harm_only_their_own_windows() -> None:
    """NaN samples reach the networks; what comes back as NaN takes no part in clustering."""
    audio = TALK.audio.copy()
    audio[40_000:40_010] = np.nan

    class Careful(Ear):
        def segmentation(self, samples: F32) -> F32:
            gone: Array = np.isnan(samples)  # every window that holds them holds them all
            clean = samples.copy()
            clean[gone] = TALK.audio[40_000:40_010][: gone.sum()]
            return super().segmentation(clean)

    session = new_session(PADDED)
    session.push(audio)
    session.finish()
    with np.errstate(invalid="ignore"):
        answer_all(session, Careful(TALK, PADDED))
    good = new_session(PADDED)
    converse(good, Ear(TALK, PADDED))
    finite: Array = np.asarray(np.isfinite(session.history.embeddings).all(axis=2))
    assert not finite[:3].any(), "the windows that begin before the bad samples"
    np.testing.assert_array_equal(session.history.embeddings[3:], good.history.embeddings[3:])
    assert {turn.speaker for turn in session.outcome().turns} == {0, 1, 2}


@pytest.mark.parametrize("high", [1, 2, 3, 300])
def test_bounds(high: int) -> None:
    session = new_session(SHARED)
    converse(session, Ear(TALK, SHARED))
    found = session.outcome(SpeakerBounds(1, high))
    assert {turn.speaker for turn in found.turns} == set(range(min(high, 3)))
    if high == 1:
        assert found.turns == found.exclusive, "with one person there is nobody to talk over"
    if high >= 3:
        assert found.turns == session.outcome().turns
    assert len(session.outcome(SpeakerBounds(5)).clustering.centroids) == 5


# -- misuse ------------------------------------------------------------------------------------------------------


def test_misuse_is_refused() -> None:
    session, ear = new_session(SHARED), Ear(TALK, SHARED)
    with pytest.raises(SessionError, match=r"\(n,\)"):
        session.push(np.zeros((2, 100), np.float32))
    session.push(TALK.audio[:200_000])
    with pytest.raises(SessionError, match="needs finish"):
        session.outcome()
    session.finish()
    with pytest.raises(SessionError, match="every job"):
        session.outcome()
    with pytest.raises(SessionFinished):
        session.push(TALK.audio[200_000:])
    job, *others = session.jobs()
    with pytest.raises(SessionError, match="never asked"):
        session.resolve(10_000, np.zeros((589, 7), np.float32))
    with pytest.raises(SessionError, match=r"\(589, 8\)"):
        session.resolve(job.id, np.zeros((589, 8), np.float32))
    session.resolve(job.id, ear.answer(job))  # the question was still open
    with pytest.raises(SessionError, match="already answered"):
        session.resolve(job.id, ear.answer(job))
    trunk, *more = session.jobs()
    with pytest.raises(SessionError, match="trunk"):
        session.resolve(trunk.id, np.zeros((1, 80), np.float32))
    for other in [trunk, *more, *others]:
        session.resolve(other.id, ear.answer(other))
    answer_all(session, ear)
    session.outcome()


def test_a_live_session_keeps_the_question_open_too() -> None:
    live, ear = LiveSession(PipelineConfig(), LiveConfig(), speaker_model(SHARED)), Ear(TALK, SHARED)
    live.push(TALK.audio[:16_000])  # a first look at one second
    live.push(TALK.audio[16_000:WINDOW])
    for job in live.jobs():
        with pytest.raises(SessionError, match="expected"):
            live.resolve(job.id, np.zeros((2, 2), np.float32))
        live.resolve(job.id, ear.answer(job))
        with pytest.raises(SessionError, match="already answered"):
            live.resolve(job.id, ear.answer(job))


def test_pushed_samples_are_copied() -> None:
    buffer = np.empty(16_000, np.float32)
    session, ear = new_session(SHARED), Ear(TALK, SHARED)
    for piece in pieces(TALK.audio, [16_000]):
        buffer[: len(piece)] = piece
        session.push(buffer[: len(piece)])
        buffer[:] = 9
    session.finish()
    answer_all(session, ear)
    assert facts(session, session.outcome()) == expected(SHARED)


def test_doubles_are_taken_too() -> None:
    session = new_session(SHARED)
    session.push(TALK.audio.astype(np.float64))
    session.finish()
    answer_all(session, Ear(TALK, SHARED))
    assert facts(session, session.outcome()) == expected(SHARED)


# -- memory and snapshots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_only_the_history_grows(layout: EmbeddingLayout) -> None:
    talk = Conversation.of(", ".join(f"{'AB'[turn % 2]} {5 * turn}-{5 * turn + 4}" for turn in range(12)), 60)
    session, ear = new_session(layout), Ear(talk, layout)
    kept = []
    for piece in pieces(talk.audio, [8_000]):
        session.push(piece)
        answer_all(session, ear)
        _, arrays = session.state()
        kept.append(sum(r.nbytes for n, r in arrays.items() if not n.startswith(("history.", "count."))))
        assert len(arrays["audio"]) < WINDOW and len(arrays["extraction.fbank.frames"]) <= 1_030
    first_minute_half = kept[20:60]
    assert max(kept[60:]) <= max(first_minute_half), "nothing but the history may grow"
    window = sum(r.nbytes for n, r in session.state()[1].items() if n.startswith("history.")) / len(session.history)
    assert window <= 221 + 3 * DIMENSION * 4


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_snapshot_anywhere_goes_on_to_the_same_outcome(layout: EmbeddingLayout) -> None:
    """Saved and restored before every push, with questions in flight that are asked again."""
    generator, ear = np.random.default_rng(5), Ear(TALK, layout)
    session = new_session(layout)
    waiting: list[Job] = []
    for piece in pieces(TALK.audio, [23_456]):
        again = new_session(layout)
        again.restore(*session.state())
        session, waiting = again, again.jobs()
        session.push(piece)
        waiting += session.jobs()
        for _ in range(int(generator.integers(len(waiting) + 1))):
            job = waiting.pop(int(generator.integers(len(waiting))))
            session.resolve(job.id, ear.answer(job))
            waiting += session.jobs()
    again = new_session(layout)
    again.restore(*session.state())
    again.finish()
    finished = new_session(layout)
    finished.restore(*again.state())
    answer_all(finished, ear)
    assert facts(finished, finished.outcome()) == expected(layout)


def test_features_pooled_by_a_network_give_the_same() -> None:
    layout = replace(SHARED, pooled=True)
    asked: set[str] = set()

    class Pooling(Ear):
        def answer(self, job: Job) -> Array:
            asked.add(job.model)
            return super().answer(job)

    here, session = new_session(SHARED), new_session(layout)
    wanted, outcome = converse(here, Ear(TALK, SHARED)), converse(session, Pooling(TALK, layout))
    assert (outcome.turns, outcome.exclusive) == (wanted.turns, wanted.exclusive)
    np.testing.assert_allclose(session.history.embeddings, here.history.embeddings, rtol=1e-4, atol=1e-4)
    assert asked == {"segmentation", "trunk", "pooled"}
    half = new_session(layout)
    half.push(TALK.audio)
    while jobs := [job for job in half.jobs() if job.model != "pooled"]:
        for job in jobs:
            half.resolve(job.id, Ear(TALK, layout).answer(job))
    assert {question[1] for question in half.state()[0]["in_flight"]} == {"pooled"}
    again = new_session(layout)
    again.restore(*half.state())
    again.finish()
    answer_all(again, Ear(TALK, layout))
    assert facts(again, again.outcome()) == facts(session, outcome)


# -- recorded outputs --------------------------------------------------------------------------------------------


def test_recorded_windows_are_checked() -> None:
    rows = np.zeros((1, 3, 4), np.float32)
    with pytest.raises(SessionError, match="expected \\(589, 3\\)"):
        scripted_history(np.zeros((1, 588, 3)), rows, SAMPLE_RATE)
    history, count = scripted_history(np.ones((1, 589, 3), np.float32), rows, SAMPLE_RATE)
    assert len(history) == count.windows == 1 and len(count.finish()) == total_frames(1, SAMPLE_RATE)


def test_golden_turns(shared: Path) -> None:
    """Recorded network outputs to the very lines of the expected RTTM."""
    from speakrs_stream.core.clustering.plda import Plda
    from speakrs_stream.core.session import outcome

    folder = shared / "models" / "community-1"
    names = ("mean1", "lda", "mean2", "mu", "tr", "psi")
    plda = Plda(**{name: np.load(folder / f"plda_{name}.npy").astype(np.float64) for name in names})
    golden = np.load(shared / "golden" / "two_speakers.npz")
    history, count = scripted_history(golden["segmentation_data"], golden["embeddings_data"], SAMPLE_RATE)
    found = outcome(history, count, plda, PipelineConfig(parity=True), 416_247)
    lines = [line.split() for line in (shared / "golden" / "two_speakers.rttm").read_text().splitlines()]
    assert len(found.turns) == len(lines) == 7
    for turn, line in zip(found.turns, lines, strict=True):
        # positions are whole samples; the recorded times have another half sample
        assert turn.span.start / SAMPLE_RATE == pytest.approx(float(line[3]), abs=1 / SAMPLE_RATE)
        assert turn.span.seconds == pytest.approx(float(line[4]), abs=1 / SAMPLE_RATE)
        assert f"SPEAKER_{turn.speaker:02d}" == line[7]
