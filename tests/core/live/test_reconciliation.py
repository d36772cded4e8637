from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.memory import Items
from speakrs_stream.core.live.people import People, Person
from speakrs_stream.core.live.reclustering import Clusters, means
from speakrs_stream.core.live.reconciliation import LEAST, LIKENESS, reconcile, weights_of

DIMENSION = 5


def scene(seed: int) -> tuple[Clusters, Items, list[Person]]:
    """Clusters and speakers drawn at random: some agree, some do not."""
    generator = np.random.default_rng(seed)
    count, numbers = int(generator.integers(1, 16)), int(generator.integers(0, 5))
    known = People()
    for _ in range(numbers):
        known.create(0, generator.standard_normal(DIMENSION), np.zeros(2))
    speakers = generator.integers(0, numbers + 1, count)
    raw = generator.standard_normal((count, DIMENSION))
    items = Items(raw, raw[:, :2], generator.integers(1, 9, count).astype(float), speakers, np.arange(count))
    labels = np.unique(generator.integers(0, 5, count), return_inverse=True)[1]
    heard = set(speakers.tolist())
    return Clusters(labels, means(items, labels)), items, [p for p in known.living() if p.number in heard]


def shares(clusters: Clusters, items: Items, people: list[Person]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    out = np.zeros((len(clusters.centroids), len(people)))
    for cluster in range(len(out)):
        for column, person in enumerate(people):
            out[cluster, column] = items.weight[(clusters.labels == cluster) & (items.speaker == person.number)].sum()
    return out


@pytest.mark.parametrize("seed", range(200))
def test_the_mapping_is_the_best_there_is(seed: int) -> None:
    clusters, items, people = scene(seed)
    mapping = reconcile(clusters, items, people)
    count = len(clusters.centroids)
    assert set(mapping.person) | set(mapping.spare) == set(range(count)) and not set(mapping.person) & set(
        mapping.spare
    )
    assert len(set(mapping.person.values())) == len(mapping.person), "nobody has two clusters"
    assert set(mapping.person.values()) | set(mapping.lost) == {person.number for person in people}
    assert not set(mapping.person.values()) & set(mapping.lost)
    if not people:
        assert mapping.spare == dict.fromkeys(range(count), 0)
        return

    shared = shares(clusters, items, people)
    likeness = unit(clusters.centroids) @ unit(np.stack([person.raw for person in people])).T
    gain = np.where(shared > 0, np.maximum(shared + LIKENESS * likeness, LEAST), 0.0)
    column = {person.number: index for index, person in enumerate(people)}
    found = sum(gain[cluster, column[number]] for cluster, number in mapping.person.items())
    wide = np.pad(gain, ((0, 0), (0, count)))
    best = max(wide[np.arange(count), order].sum() for order in permutations(range(wide.shape[1]), count))
    assert found == pytest.approx(best)
    assert all(shared[cluster, column[number]] > 0 for cluster, number in mapping.person.items())
    for cluster, home in mapping.spare.items():
        assert home == (people[int(shared[cluster].argmax())].number if shared[cluster].any() else 0)
    for number, into in mapping.lost.items():
        home = int(shared[:, column[number]].argmax())
        assert into == mapping.person[home] != number, "whoever is lost is in the cluster of somebody else"


def test_likeness_alone_takes_nobody_elses_place() -> None:
    """Speaker 1 sounds like cluster 0 but has all of its items in cluster 1: that one stays its own."""
    raw = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    items = Items(raw, raw, np.ones(4), np.array([2, 2, 2, 1]), np.arange(4))
    clusters = Clusters(np.array([0, 0, 1, 1]), np.array([[1.0, 0.0], [0.0, -1.0]]))
    first = Person(1, 0, np.array([1.0, 0.0]), np.zeros(2), 1.0)
    second = Person(2, 0, np.array([-1.0, 0.1]), np.zeros(2), 3.0)
    mapping = reconcile(clusters, items, [first, second])
    assert (mapping.person, mapping.spare, mapping.lost) == ({0: 2, 1: 1}, {}, {})


def test_weights_are_those_of_the_items() -> None:
    clusters, items, _ = scene(3)
    weights = weights_of(clusters, items)
    assert weights.sum() == pytest.approx(items.weight.sum()) and len(weights) == len(clusters.centroids)
