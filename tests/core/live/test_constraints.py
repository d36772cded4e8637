from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from speakrs_stream.core.live.constraints import Constraints, separate, together
from speakrs_stream.core.live.memory import Items


def items(speakers: list[int]) -> Items:
    count = len(speakers)
    rows = np.zeros((count, 2))
    return Items(rows, rows, np.ones(count), np.array(speakers), np.arange(count))


def test_what_was_said_of_a_number_holds_for_whom_it_merges_into() -> None:
    told = Constraints()
    told.different(1, 2)
    told.different(4, 2)
    assert not Constraints() and told
    told.reject([7, 8], 2, 9)
    told.merged(2, 3)
    assert told.are_apart(1, 3) and told.are_apart(3, 1) and told.are_apart(3, 4)
    assert not told.are_apart(1, 2) and not told.are_apart(1, 4)
    assert told.rejected(7) == told.rejected(8) == {3} and told.rejected(9) == set()
    told.merged(3, 1)  # the user changed his mind: one pair is gone, the other stays
    assert told.apart == {frozenset((1, 4))}


def test_constraints_survive_json() -> None:
    told = Constraints()
    told.different(3, 1)
    told.reject([30, 31], 3, 5)
    told.reject([31], 1, 6)
    told.joined.append((6, 5))
    again = Constraints()
    again.restore(json.loads(json.dumps(told.state())))
    assert again.joined == [(6, 5)] and again.rejections() == told.rejections() == [(30, 3, 5), (31, 1, 6), (31, 3, 6)]
    assert again.apart == told.apart and [again.rejected(key) for key in (30, 31, 32)] == [{3}, {1, 3}, set()]


@pytest.mark.parametrize("seed", range(50))
def test_no_cluster_holds_two_people_that_are_apart(seed: int) -> None:
    generator = np.random.default_rng(seed)
    speakers = generator.integers(0, 6, 20)
    labels = np.unique(generator.integers(0, 4, 20), return_inverse=True)[1]
    pairs = list(combinations(range(1, 6), 2))
    apart = {frozenset(pairs[index]) for index in generator.choice(len(pairs), 4, replace=False)}
    out = separate(labels, items(speakers.tolist()), apart)
    assert sorted(set(out.tolist())) == list(range(int(out.max()) + 1))
    for one, other in combinations(range(20), 2):
        if out[one] == out[other]:
            assert labels[one] == labels[other], "clusters are only cut"
            assert frozenset((int(speakers[one]), int(speakers[other]))) not in apart
        elif labels[one] == labels[other]:
            assert speakers[one] != speakers[other], "a speaker's items in one cluster stay together"


def test_clusters_that_hold_nobody_apart_stay_whole() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    assert separate(labels, items([1, 2, 3, 3, 1]), {frozenset((1, 3))}).tolist() == labels.tolist()
    assert separate(labels, items([1, 2, 3, 3, 1]), set()).tolist() == labels.tolist()


def test_voices_of_one_person_become_one_cluster() -> None:
    labels = np.array([0, 1, 2, 3, 1, 0])
    assert together(labels, [[0, 2]]).tolist() == [0, 1, 0, 2, 1, 0]
    assert together(labels, [[3, 1], [2, 0]]).tolist() == [0, 1, 0, 1, 1, 0]
    assert together(labels, []).tolist() == together(labels, [[], [2]]).tolist() == labels.tolist()
