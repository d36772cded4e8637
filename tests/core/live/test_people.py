from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from speakrs_stream.core.live.memory import Items
from speakrs_stream.core.live.people import MOST_EVIDENCE, LikelihoodRatio, People, Person, spread


def people(count: int) -> People:
    known = People()
    for number in range(count):
        known.create(100 * number, np.eye(5)[number], np.full(2, float(number)))
    return known


def items(speakers: list[int], weights: list[float] | None = None, seed: int = 0) -> Items:
    generator = np.random.default_rng(seed)
    count = len(speakers)
    weight = np.ones(count) if weights is None else np.array(weights)
    return Items(
        generator.standard_normal((count, 5)),
        generator.standard_normal((count, 2)),
        weight,
        np.array(speakers),
        np.arange(count),
    )


def test_numbers_go_up_and_merges_are_followed() -> None:
    known = people(4)
    assert [person.number for person in known.living()] == [1, 2, 3, 4]
    known.merge(4, 3)
    known.merge(3, 1)
    assert [known.who(number) for number in (1, 2, 3, 4)] == [1, 2, 1, 1]
    assert [person.number for person in known.living()] == [1, 2]
    assert known.create(999, np.ones(5), np.ones(2)).number == 5
    assert 4 in known and 6 not in known and known[4].merged_into == 3


def test_prototypes_are_weighted_means_of_what_is_remembered() -> None:
    known = people(3)
    memory = items([1, 3, 1, 0, 9], [1.0, 4.0, 3.0, 2.0, 1.0])
    known.learn(memory)
    np.testing.assert_allclose(known[1].raw, (memory.raw[0] + 3 * memory.raw[2]) / 4)
    np.testing.assert_allclose(known[1].features, (memory.features[0] + 3 * memory.features[2]) / 4)
    assert (known[1].weight, known[2].weight, known[3].weight) == (4.0, 0.0, 4.0)
    np.testing.assert_array_equal(known[2].raw, np.eye(5)[1])


def test_a_person_has_the_voices_that_the_user_gave_it() -> None:
    known = people(5)
    known.merge(2, 1)  # found by the clustering: one voice
    assert [face.number for face in known.faces(1)] == [1]
    known.merge(3, 1, told=True)
    known.learn(items([1, 1]))
    faces = known.faces(1)
    assert [face.number for face in faces] == [1, 1, 3]
    np.testing.assert_array_equal(faces[0].raw, known[1].raw)
    np.testing.assert_array_equal(faces[1].raw, np.eye(5)[0])
    np.testing.assert_array_equal(faces[2].raw, np.eye(5)[2])
    known.merge(4, 1, told=True)
    known.merge(1, 5)
    assert [face.number for face in known.faces(5)] == [5, 1, 3, 4]


def test_people_survive_json() -> None:
    known = people(5)
    known.name(2, "Ann")
    known.merge(4, 2, told=True)
    known.merge(3, 2)
    known.learn(items([1, 2, 2, 5]))
    plain, arrays = known.state()
    again = People()
    again.restore(json.loads(json.dumps(plain)), {name: rows.copy() for name, rows in arrays.items()})
    for number in range(1, 6):
        for ours, theirs in zip(known.faces(number), again.faces(number), strict=True):
            for field in ("number", "born", "weight", "name", "merged_into"):
                assert getattr(ours, field) == getattr(theirs, field)
            np.testing.assert_array_equal(ours.raw, theirs.raw)
            np.testing.assert_array_equal(ours.features, theirs.features)
    assert [person.number for person in again.living()] == [1, 2, 5]
    nobody = People()
    nobody.restore(*People().state())
    assert nobody.living() == []


def test_similarity_is_the_cosine() -> None:
    everybody = people(3)
    known = everybody.faces_of(everybody.living())
    rows = np.array([[2.0, 0, 0, 0, 0], [1.0, 1, 0, 0, 0], [np.nan] * 5, [0.0] * 5])
    found = known.similarity(rows)
    np.testing.assert_allclose(found[:2], [[1, 0, 0], [np.sqrt(0.5), np.sqrt(0.5), 0]], atol=1e-12)
    assert np.isnan(found[2]).all() and (found[3] == 0).all()
    assert known.similarity(rows.reshape(2, 2, 5)).shape == (2, 2, 3)


def test_faces_of_people_lie_side_by_side_and_are_never_out_of_date() -> None:
    known = people(5)
    known.merge(3, 1, told=True)
    faces = known.faces_of(known.living(), doubled={1, 2})
    assert [face.number for face in faces.every] == [1, 1, 3, 2, 2, 4, 5]
    assert faces.numbers == [1, 1, 1, 2, 2, 4, 5]
    assert faces.columns == {1: slice(0, 3), 2: slice(3, 5), 4: slice(5, 6), 5: slice(6, 7)}
    assert faces.again.tolist() == [False] * 4 + [True, False, False]
    assert known.faces_of(known.living(), doubled={2, 1}) is faces
    assert known.faces_of(known.living()).every != faces.every

    changes: list[Callable[[], object]] = [
        lambda: known.move(2, np.ones(5)),
        lambda: known.name(2, "Ann"),
        lambda: known.learn(items([2])),
        lambda: known.merge(4, 2),
        lambda: known.create(9, np.ones(5), np.ones(2)),
    ]
    for change in changes:
        before = known.faces_of(known.living())
        change()
        after = known.faces_of(known.living())
        assert after is not before and after.every == [f for p in known.living() for f in known.faces(p.number)]
        np.testing.assert_allclose(np.linalg.norm(after.directions, axis=1), 1)


@pytest.mark.parametrize("within", [1.0, 2.5])
@pytest.mark.parametrize("count", [1, 3])
def test_the_ratio_is_that_of_the_model(within: float, count: int) -> None:
    """Against the joint densities of all items: one speaker's, and a speaker's beside a stranger's."""
    generator = np.random.default_rng(count)
    phi = np.array([9.0, 4.0, 0.5])
    said = generator.standard_normal((count, 3)) * np.sqrt(phi)
    new = generator.standard_normal((2, 3)) * np.sqrt(phi)
    known_person = Person(1, 0, np.ones(1), said.mean(axis=0), float(count))
    found = LikelihoodRatio([known_person], phi, within)(new)
    for row, x in enumerate(new):
        total = 0.0
        for axis, between in enumerate(phi):
            covariance = within * np.eye(count + 1) + between
            values = np.append(said[:, axis], x[axis])
            together = multivariate_normal(np.zeros(count + 1), covariance).logpdf(values)
            known = multivariate_normal(np.zeros(count), covariance[:count, :count]).logpdf(said[:, axis])
            alone = multivariate_normal(0.0, within + between).logpdf(x[axis])
            total += float(together) - float(known) - float(alone)
        assert found[row, 0] == pytest.approx(total)


def test_evidence_is_counted_up_to_a_limit() -> None:
    known = [Person(n, 0, np.ones(1), np.ones(2), w) for n, w in enumerate((0.0, 1.0, MOST_EVIDENCE, 1_000.0))]
    [[none, few, most, more]] = LikelihoodRatio(known, np.array([5.0, 2.0]))(np.ones((1, 2))).tolist()
    assert none == few < most == more


def test_spread_is_found_and_drawn_towards_one() -> None:
    generator = np.random.default_rng(1)
    centres = 10 * generator.standard_normal((4, 40))
    who = np.repeat([1, 2, 3, 4], 50)
    for true in (1.1, 3.0):
        rows = centres[who - 1] + np.sqrt(true) * generator.standard_normal((200, 40))
        memory = Items(rows, rows, np.ones(200), who, np.arange(200))
        assert spread(memory) == pytest.approx(true, rel=0.15)
        few = memory.take(slice(0, 5))
        assert abs(np.log(spread(few))) < abs(np.log(spread(memory))) + 0.1
        by_hand = [rows[who == n] - rows[who == n].mean(axis=0) for n in (1, 2, 3, 4)]
        median = np.median(np.concatenate([((50 / 49 * part) ** 2).mean(axis=1) for part in by_hand]))
        assert spread(memory) == pytest.approx(float(median) ** (200 / 210))
        strangers = replace(memory, speaker=np.zeros(200, np.int64))
        assert spread(strangers) == 1.0
    narrow = centres[who - 1] + 0.5 * generator.standard_normal((200, 40))
    assert spread(replace(memory, features=narrow)) == 1.0, "never below what the model expects"
    assert spread(memory.take(slice(0, 3))) == 1.0
