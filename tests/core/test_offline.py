"""One clustering over everything, beside the plain reference and on awkward recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F32, U8, Array
from speakrs_stream.core.clustering.offline import Clustering, cluster
from speakrs_stream.core.clustering.plda import Plda
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig, SpeakerBounds
from speakrs_stream.core.history import History
from speakrs_stream.core.session import frame_matrices, outcome, scripted_history
from tests.checks import same_partition
from tests.conversations import DIMENSION, Conversation
from tests.core.reference import reference
from tests.core.voices import activity, toy_plda, voices

STEP = 16_000
PLDA = toy_plda(DIMENSION)

SCRIPTS = {
    "3 seconds": ("A 0-1.2, B 1.3-3", 3),
    "3 seconds, both at once": ("A 0-3, B 0.5-2.5", 3),
    "one speaker": ("A 0-6, A 7-15", 15.05),
    "two speakers": ("A 0.5-8, B 8.2-13, A 12-15, B 16-26", 26.01),
    "three speakers": ("A 0-8, B 8.3-15, C 15.3-24, A 22-25, B 26-35", 35.3),
    "four, three of them at once": ("A 0-12, B 8-20, C 10-19, D 20-31", 31),
    "just a window": ("A 0-5, B 5-10", 10),
    "a step more": ("A 0-5, B 5-11", 11),
    "nobody": ("", 14),
    "long silence": ("A 0-5, B 25-31", 40),
}


def differences(seg: Array, emb: Array, plda: Plda = PLDA, step: int = STEP) -> dict[str, int]:
    """Cells in which the core, with parity, and the reference differ."""
    expected = reference(seg, emb, plda, step)
    history, count = scripted_history(seg, emb, step)
    config = PipelineConfig(step=step, parity=True)
    clustering = cluster(history, plda, config.clustering)
    matrix, exclusive = frame_matrices(history, count, clustering, config)
    assert matrix.shape == expected.matrix.shape and exclusive.shape[0] == expected.exclusive.shape[0]
    width = exclusive.shape[1]
    assert not expected.exclusive[:, width:].any(), "columns beyond the clusters are for ghosts"
    return {
        "count": int((count.finish() != expected.count).sum()),
        "labels": int((clustering.labels != expected.labels).sum()),
        "matrix": int((matrix != expected.matrix).sum()),
        "exclusive": int((exclusive != expected.exclusive[:, :width]).sum()),
    }


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("step", [16_000, 32_000, 15_360])
def test_scripts_as_the_reference(script: tuple[str, float], step: int) -> None:
    seg, emb = Conversation.of(*script).recorded(step)
    assert set(differences(seg, emb, step=step).values()) == {0}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16), st.integers(1, 4), st.sampled_from([0.15, 0.6]))
def test_windows_that_make_no_sense_as_the_reference(seed: int, windows: int, people: int, spread: float) -> None:
    """Windows that contradict one another, missing embeddings, more active local speakers than clusters."""
    generator = np.random.default_rng(seed)
    seg = activity(seed, windows)
    emb = voices(generator.integers(0, people, 3 * windows), DIMENSION, spread, seed).reshape(windows, 3, DIMENSION)
    # an embedding is missing where nobody else speaks: with others, which cluster is left for it may be a tie
    alone = seg.any(axis=1) & (seg.any(axis=1).sum(axis=1) == 1)[:, None]
    emb[(alone & (generator.random((windows, 3)) < 0.3)) | ~seg.any(axis=1)] = np.nan
    assert set(differences(seg, emb).values()) == {0}


def test_inversions_in_the_agglomerative_start() -> None:
    """Two voices of many shades, as on a telephone: more clusters at first than people, with inversions."""
    seg = np.zeros((60, 589, 3), np.uint8)
    seg[:, :280, 0], seg[:, 300:, 1] = 1, 1
    who = np.tile([0, 1, 0], 60)
    emb = voices(who, DIMENSION, 0.8, seed=12).reshape(60, 3, DIMENSION)
    emb[:, 2] = np.nan
    history, _ = scripted_history(seg, emb, STEP)
    found = cluster(history, PLDA, ClusteringConfig())
    assert found.start is not None and found.start.max() + 1 > 4 and len(found.centroids) == 2
    assert set(differences(seg, emb).values()) == {0}


# -- by hand -----------------------------------------------------------------------------------------------------


def recorded(script: str, seconds: float) -> tuple[U8, F32, History]:
    seg, emb = Conversation.of(script, seconds).recorded(STEP)
    return seg, emb, scripted_history(seg, emb, STEP)[0]


def test_too_little_clean_speech_is_one_speaker() -> None:
    for script, items in (("A 0-1.4, B 1.6-3", 0), ("A 0-1, B 1-3.4", 1)):
        seg, emb, history = recorded(script, 3.6)
        found = cluster(history, PLDA, ClusteringConfig())
        assert len(found.windows) == len(found.locals) == items
        assert found.start is None and found.vbx is None and found.features is None
        assert (found.labels[0] == np.where(seg[0].any(axis=0), 0, UNASSIGNED)).all()
        assert found.centroids.shape == (1, DIMENSION)
        if items:
            np.testing.assert_array_equal(found.centroids[0], emb[0, found.locals[0]])
        else:
            assert np.isnan(found.centroids).all()


def test_ghosts_only_with_parity() -> None:
    """Two talk at once, but there is too little of them to tell them apart: pyannote switches on a second column."""
    seg, emb = Conversation.of("A 0-3, B 0.5-2.5", 3).recorded(STEP)
    history, count = scripted_history(seg, emb, STEP)
    ghosts = outcome(history, count, PLDA, PipelineConfig(parity=True), 50_000)
    plain = outcome(history, count, PLDA, PipelineConfig(), 50_000)
    assert {turn.speaker for turn in ghosts.turns} == {0, 1} and {turn.speaker for turn in plain.turns} == {0}
    assert ghosts.embeddings.shape == (2, DIMENSION) and plain.embeddings.shape == (1, DIMENSION)
    assert ghosts.exclusive == plain.exclusive == plain.turns


def test_the_parts_of_a_clustering() -> None:
    _, emb, history = recorded("A 0-8, B 8.3-15, C 15.3-24", 30)
    found = cluster(history, PLDA, ClusteringConfig())
    assert found.start is not None and found.features is not None and found.vbx is not None
    items = len(found.windows)
    assert found.start.shape == (items,) and found.features.shape == (items, DIMENSION)
    assert found.vbx.gamma.shape[0] == items and found.labels.shape == (len(history), 3)
    assert found.centroids.shape == (3, DIMENSION) and found.centroids.dtype == np.float64
    own = found.labels[found.windows, found.locals]
    for cluster_number, centroid in enumerate(found.centroids):
        mean = emb[found.windows, found.locals][own == cluster_number].mean(axis=0)
        np.testing.assert_allclose(centroid, mean, atol=0.05)
    assert ((found.labels == UNASSIGNED) == (history.active == 0)).all()


def test_the_same_every_time_and_the_history_is_left_alone() -> None:
    _, _, history = recorded("A 0-8, B 8.3-15, C 15.3-24", 30)
    before = {name: rows.copy() for name, rows in history.state().items()}
    first, second = (cluster(history, PLDA, ClusteringConfig()) for _ in range(2))
    assert (first.labels == second.labels).all() and (first.centroids == second.centroids).all()
    for name, rows in history.state().items():
        np.testing.assert_array_equal(rows, before[name])


@pytest.mark.parametrize(
    ("bounds", "speakers"),
    [((1, None), 3), ((3, 3), 3), ((2, 2), 2), ((1, 1), 1), ((5, 5), 5), ((4, None), 4), ((1, 2), 2), ((1, 9), 3)],
)
def test_given_numbers_of_speakers(bounds: tuple[int, int | None], speakers: int) -> None:
    _, _, history = recorded("A 0-8, B 8.3-15, C 15.3-24", 30)
    found = cluster(history, PLDA, ClusteringConfig(), SpeakerBounds(*bounds))
    assert len(found.centroids) == speakers
    assert set(np.unique(found.labels)) <= {UNASSIGNED, *range(speakers)}
    assert ((found.labels == UNASSIGNED) == (history.active == 0)).all()


def test_a_forced_number_lets_two_local_speakers_be_one() -> None:
    seg = np.zeros((6, 589, 3), np.uint8)
    seg[:, :280, 0], seg[:, 300:, 1] = 1, 1
    emb = voices(np.tile([0, 1, 0], 6), DIMENSION).reshape(6, 3, DIMENSION)
    history, _ = scripted_history(seg, emb, STEP)
    assert (cluster(history, PLDA, ClusteringConfig(), SpeakerBounds(1, 1)).labels[:, :2] == 0).all()
    # two clusters were found anyway: nothing is forced, and a window's local speakers stay apart
    apart = cluster(history, PLDA, ClusteringConfig(), SpeakerBounds(2, 2)).labels
    assert (apart[:, 0] != apart[:, 1]).all()


def test_more_speakers_asked_for_than_there_is_speech() -> None:
    _, _, history = recorded("A 0-5, B 5.5-10", 10)
    found = cluster(history, PLDA, ClusteringConfig(), SpeakerBounds(50, 60))
    assert len(found.centroids) == len(found.windows) == 2


def test_a_bounded_start_ends_at_the_same_speakers() -> None:
    _, _, history = recorded(", ".join(f"{'ABCD'[i * i % 4]} {4 * i}-{4 * i + 3.8}" for i in range(40)), 160)
    exact = cluster(history, PLDA, ClusteringConfig())
    bounded = cluster(history, PLDA, ClusteringConfig(exact_items=40, block_items=20))
    assert exact.start is not None and len(exact.windows) > 150
    active = history.active > 0
    assert same_partition(exact.labels[active], bounded.labels[active])


def test_when_no_speaker_survives_the_strongest_is_kept() -> None:
    _, _, history = recorded("A 0-8, B 8.3-15", 20)
    found = cluster(history, PLDA, ClusteringConfig(keep_prior=0.99))
    assert len(found.centroids) == 1


# -- awkward embeddings ------------------------------------------------------------------------------------------


def everybody(rows: F32) -> Clustering:
    """Windows in which one local speaker talks all the time, with the embeddings `rows` (windows, D)."""
    seg = np.zeros((len(rows), 589, 3), np.uint8)
    seg[:, :, 1] = 1
    emb = np.full((len(rows), 3, rows.shape[1]), np.nan, np.float32)
    emb[:, 1] = rows
    history, count = scripted_history(seg, emb, STEP)
    found = outcome(history, count, PLDA, PipelineConfig(), 10**7)
    assert found.turns
    return found.clustering


def test_equal_embeddings() -> None:
    found = everybody(np.repeat(voices(np.array([0])), 12, axis=0))
    assert len(found.centroids) == 1 and (found.labels[:, 1] == 0).all()


def test_embeddings_of_zeros() -> None:
    found = everybody(np.zeros((12, DIMENSION), np.float32))
    assert len(found.centroids) == 1 and (found.labels[:, 1] == 0).all()
    mixed = everybody(np.concatenate([np.zeros((6, DIMENSION), np.float32), voices(np.zeros(6, np.int64))]))
    assert np.isfinite(mixed.centroids).all() and (mixed.labels[:, 1] >= 0).all()


def test_embeddings_that_are_missing_or_infinite_in_some_windows() -> None:
    who = np.arange(24) % 2
    rows = voices(who)
    rows[5] = np.nan
    rows[6, 3] = np.inf
    found = everybody(rows)
    assert len(found.windows) == 22 and len(found.centroids) == 2
    clean = np.delete(np.arange(24), [5, 6])
    assert same_partition(found.labels[clean, 1], who[clean])
    assert (found.labels[5:7, 1] >= 0).all(), "they speak, so they are somebody"


def test_all_embeddings_missing() -> None:
    found = everybody(np.full((6, DIMENSION), np.nan, np.float32))
    assert (found.labels[:, 1] == 0).all() and np.isnan(found.centroids).all()


def test_everybody_talks_all_the_time() -> None:
    seg = np.zeros((8, 589, 3), np.uint8)
    seg[:, :, :2] = 1
    emb = voices(np.tile([0, 1, 2], 8), DIMENSION).reshape(8, 3, DIMENSION)
    history, count = scripted_history(seg, emb, STEP)
    for parity, speakers in ((False, {0}), (True, {0, 1})):
        found = outcome(history, count, PLDA, PipelineConfig(parity=parity), 17 * 16_000)
        assert {turn.speaker for turn in found.turns} == speakers, "nobody is ever alone: one speaker, as pyannote"


# -- golden ------------------------------------------------------------------------------------------------------


def test_golden_chain(shared: Path) -> None:
    folder = shared / "models" / "community-1"
    names = ("mean1", "lda", "mean2", "mu", "tr", "psi")
    plda = Plda(**{name: np.load(folder / f"plda_{name}.npy").astype(np.float64) for name in names})
    golden = np.load(shared / "golden" / "two_speakers.npz")
    seg, emb = golden["segmentation_data"], golden["embeddings_data"]
    history, count = scripted_history(seg, emb, STEP)
    config = PipelineConfig(parity=True)
    found = cluster(history, plda, config.clustering)
    matrix, exclusive = frame_matrices(history, count, found, config)
    assert found.vbx is not None and found.start is not None
    np.testing.assert_array_equal(count.finish(), golden["speaker_counting_data"][:, 0])
    np.testing.assert_array_equal(found.windows, golden["train_chunk_idx"])
    np.testing.assert_array_equal(found.locals, golden["train_speaker_idx"])
    np.testing.assert_array_equal(found.start, golden["ahc_clusters"])
    np.testing.assert_allclose(found.vbx.gamma, golden["vbx_gamma"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.vbx.pi, golden["vbx_pi"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.labels, golden["hard_clusters"])
    np.testing.assert_array_equal(matrix, golden["discrete_diarization_data"])
    assert (exclusive.sum(axis=1) == np.minimum(golden["speaker_counting_data"][:, 0], 1)).all()
    # and the plain reference agrees with pyannote, so that it may stand in for it above
    plain = reference(seg, emb, plda)
    np.testing.assert_array_equal(plain.matrix, golden["discrete_diarization_data"])
    np.testing.assert_array_equal(plain.labels, golden["hard_clusters"])
