"""What the user said of speakers holds in the final result."""

from __future__ import annotations

import numpy as np
import pytest

from speakrs_stream.core.activity import Activity
from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import I64
from speakrs_stream.core.clustering.offline import Clustering
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, SAMPLE_RATE, Span
from speakrs_stream.core.history import History, WindowResult
from speakrs_stream.core.live.conclusion import as_told, taken_for
from speakrs_stream.core.live.constraints import Constraints
from speakrs_stream.core.live.people import People
from speakrs_stream.core.reducer import LiveTurn
from tests.live_conversations import DIMENSION, apart

POINTS = apart(4)
WINDOWS = 30


def meeting(voices: list[int]) -> tuple[History, Clustering, list[LiveTurn]]:
    """One voice a window, ten seconds apart, each found as the cluster and shown as the number after its voice."""
    history = History(DIMENSION)
    labels = np.full((len(voices), 3), UNASSIGNED, np.int64)
    turns = []
    for window, voice in enumerate(voices):
        activity = np.zeros((FRAMES_PER_WINDOW, 3), np.uint8)
        activity[20:570, 1] = 1
        rows = np.full((3, DIMENSION), np.nan, np.float32)
        rows[1] = POINTS[voice] + 0.1 * np.random.default_rng(window).standard_normal(DIMENSION)
        history.push(WindowResult(window, Activity(activity), rows))
        labels[window, 1] = voice
        at = 10 * window * SAMPLE_RATE
        turns.append(LiveTurn(window + 1, 1, voice + 1, Span(at + 6_000, at + 154_000), True))
    windows = np.arange(len(voices))
    centroids = np.stack([POINTS[voice] for voice in sorted(set(voices))])
    return history, Clustering(labels, centroids, windows, np.ones_like(windows)), turns


def everybody(count: int) -> People:
    people = People()
    for voice in range(count):
        people.create(0, POINTS[voice], POINTS[voice])
    return people


def corrected(
    history: History, clustering: Clustering, people: People, told: Constraints, turns: list[LiveTurn]
) -> tuple[I64, Clustering]:
    found = as_told(clustering, history, 10 * SAMPLE_RATE, people, told, turns)
    return found.labels[:, 1], found


def test_a_local_speaker_is_taken_for_whom_most_of_its_speech_is_shown_as() -> None:
    history, _, turns = meeting([0, 1])
    turns[1] = LiveTurn(2, 1, 2, Span(10 * SAMPLE_RATE + 6_000, 14 * SAMPLE_RATE), True)
    assert taken_for(history, 10 * SAMPLE_RATE, turns).tolist() == [[0, 1, 0], [0, 0, 0]]
    assert not taken_for(history, 10 * SAMPLE_RATE, []).any()


def test_with_nothing_said_nothing_changes() -> None:
    history, clustering, turns = meeting([0, 1, 2])
    assert as_told(clustering, history, 10 * SAMPLE_RATE, everybody(3), Constraints(), turns) is clustering


def test_two_that_are_one_person_share_a_cluster() -> None:
    voices = [0, 1, 2] * 10
    history, clustering, turns = meeting(voices)
    people, told = everybody(3), Constraints()
    people.merge(3, 1, told=True)
    told.joined.append((3, 1))
    labels, found = corrected(history, clustering, people, told, turns)
    assert (labels[0::3] == labels[2::3]).all() and set(labels[1::3].tolist()) == {1}
    inside = np.isin(voices, [0, 2])
    mean = history.embeddings[inside, 1].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(found.centroids[labels[0]], mean)
    np.testing.assert_array_equal(found.centroids[1], POINTS[1])


def test_a_merge_that_nobody_ordered_changes_no_cluster() -> None:
    history, clustering, turns = meeting([0, 1, 2] * 10)
    people, told = everybody(3), Constraints()
    people.merge(3, 1)
    told.different(1, 2)
    labels, _ = corrected(history, clustering, people, told, turns)
    assert labels.tolist() == [0, 1, 2] * 10


@pytest.mark.parametrize("unseen", [0, 3])
def test_two_people_in_one_cluster_are_parted(unseen: int) -> None:
    """Windows of which too little was shown go to whom they sound like."""
    voices = [0, 1, 2] * 10
    history, clustering, turns = meeting(voices)
    clustering.labels[clustering.labels == 1] = 0
    told = Constraints()
    told.different(1, 2)
    labels, found = corrected(history, clustering, everybody(3), told, turns[unseen:])
    assert set(labels[0::3].tolist()) == {0} and set(labels[1::3].tolist()) == {3}
    assert set(labels[2::3].tolist()) == {2}
    likeness = found.centroids[[0, 3]] @ POINTS[:2].T / 9
    assert likeness.diagonal().min() > 0.9 and np.abs(likeness[[0, 1], [1, 0]]).max() < 0.2


def test_what_was_rejected_leaves_the_cluster() -> None:
    history, clustering, turns = meeting([0] * 12 + [1] * 6)
    people, told = everybody(2), Constraints()
    people.create(0, POINTS[2], POINTS[2])
    told.reject([3 * 4 + 1, 3 * 5 + 1], 1, 3)
    told.different(1, 3)
    labels, _ = corrected(history, clustering, people, told, turns)
    assert labels.tolist() == [0] * 4 + [2] * 2 + [0] * 6 + [1] * 6, "two windows are somebody else now"


def test_people_that_are_parted_already_stay_as_they_are() -> None:
    history, clustering, turns = meeting([0, 0, 1, 1])
    told = Constraints()
    told.different(1, 2)
    labels, _ = corrected(history, clustering, everybody(2), told, turns)
    assert labels.tolist() == [0, 0, 1, 1]
