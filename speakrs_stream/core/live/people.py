"""Who is known in this stream: permanent numbers, prototypes, and how well a voice fits each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speakrs_stream.core.arrays import F64, Array
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.live.memory import Items

MOST_EVIDENCE = 5.0
"""Items a speaker's model counts as at most: neighbouring windows share their audio, so evidence is not independent."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One number of the stream."""

    number: int
    """1, 2, 3 …, never reused."""
    born: int
    """Sample up to which the stream had been heard when it appeared."""
    raw: F64
    """(D,) mean raw embedding, of the first evidence or of everything remembered."""
    features: F64
    """(d,) the same in PLDA space."""
    weight: float
    """Embeddings remembered; 0 while there is only the first evidence."""
    name: str | None = None
    """From an enrolled voice or the user."""
    merged_into: int | None = None
    """The number that took its place."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The voices of some people, one after the other."""

    every: list[Person]
    """Whoever has several voices is there several times."""
    again: Array
    """(voices,) whether a voice is there for the second time."""
    columns: dict[int, slice]
    """Number -> where its voices are."""
    numbers: list[int]
    """Whose each voice is."""
    directions: F64
    """(voices, D) unit vectors."""

    def similarity(self, embeddings: Array) -> F64:
        """Cosine similarity of raw embeddings (..., D) to each voice: (..., voices); NaN where an embedding is NaN."""
        return np.asarray(unit(np.asarray(embeddings, np.float64)) @ self.directions.T)


class People:
    """Every number ever given out."""

    def __init__(self) -> None:
        self._all: dict[int, Person] = {}
        self._voices: list[Person] = []  # people as they were when the user said that they are somebody else too
        self._living: list[Person] = []  # empty where it must be found anew
        self._known: dict[tuple[tuple[int, ...], frozenset[int]], Faces] = {}  # answers of `faces_of` that still hold

    def __getitem__(self, number: int) -> Person:
        return self._all[number]

    def __contains__(self, number: int) -> bool:
        return number in self._all

    def __len__(self) -> int:
        return len(self._all)

    def create(self, born: int, raw: F64, features: F64) -> Person:
        """A new number."""
        person = Person(len(self._all) + 1, born, np.asarray(raw, np.float64), features, 0.0)
        self._put(person)
        return person

    def _put(self, person: Person) -> None:
        self._all[person.number] = person
        self._living = []
        self._known.clear()

    def who(self, number: int) -> int:
        """The number that stands for `number` after all merges."""
        while (into := self._all[number].merged_into) is not None:
            number = into
        return number

    def merge(self, number: int, into: int, *, told: bool = False) -> None:
        """Give `number` up in favour of `into`; told: the user said so, and one person may have two voices."""
        if told:
            kept = {voice.number for voice in self._voices}
            self._voices += [self._all[one] for one in (into, number) if one not in kept]
        self._put(replace(self._all[number], merged_into=into))

    def absorbers(self) -> set[int]:
        """Numbers that others were merged into."""
        return {person.merged_into for person in self._all.values() if person.merged_into is not None}

    def faces(self, number: int) -> list[Person]:
        """A number as it is known now, and the voices that it has because the user said so."""
        return [self._all[number], *(voice for voice in self._voices if self.who(voice.number) == number)]

    def faces_of(self, people: Sequence[Person], doubled: Collection[int] = ()) -> Faces:
        """The voices of people as they are known now, at least one; those in `doubled` with one voice have it twice."""
        key = tuple(person.number for person in people), frozenset(doubled)
        if key not in self._known:
            self._known[key] = self._faces_of(people, doubled)
        return self._known[key]

    def _faces_of(self, people: Sequence[Person], doubled: Collection[int]) -> Faces:
        every: list[Person] = []
        again: list[bool] = []
        columns = {}
        for person in people:
            faces = self.faces(person.number)
            twice = len(faces) == 1 and person.number in doubled
            columns[person.number] = slice(len(every), len(every) + len(faces) + twice)
            every += [*faces, person] if twice else faces
            again += [False] * len(faces) + [True] * twice
        numbers = [number for number, where in columns.items() for _ in range(where.start, where.stop)]
        directions = unit(np.stack([person.raw for person in every]))
        return Faces(every, np.array(again), columns, numbers, directions)

    def move(self, number: int, raw: F64) -> None:
        """Replace a number's prototype."""
        self._put(replace(self._all[number], raw=raw))

    def name(self, number: int, name: str) -> None:
        """Give a number a name."""
        self._put(replace(self._all[number], name=name))

    def living(self) -> list[Person]:
        """Everybody not merged away, by number; not to be changed."""
        if not self._living:
            self._living = [person for person in self._all.values() if person.merged_into is None]
        return self._living

    def learn(self, items: Items) -> None:
        """Take prototypes from what is remembered of each."""
        numbers, speaker = np.unique(items.speaker, return_inverse=True)
        inside = (speaker == np.arange(len(numbers))[:, None]) * items.weight
        weight = inside.sum(axis=1)
        inside /= weight[:, None]
        raw, features = inside @ items.raw, inside @ items.features
        for row, number in enumerate(numbers.tolist()):
            if number in self._all:
                known = replace(self._all[number], raw=raw[row], features=features[row], weight=float(weight[row]))
                self._put(known)

    def state(self) -> tuple[list[list[object]], dict[str, Array]]:
        """Plain values and arrays for a snapshot: everybody by number, then the further voices."""
        rows = [*self._all.values(), *self._voices]
        plain: list[list[object]] = [[p.number, p.born, p.weight, p.name, p.merged_into] for p in rows]
        if not rows:
            return plain, {}
        return plain, {"raw": np.stack([p.raw for p in rows]), "features": np.stack([p.features for p in rows])}

    def restore(self, plain: list[list[object]], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        for row, (number, born, weight, name, into) in enumerate(plain):
            assert isinstance(number, int) and isinstance(born, int) and isinstance(weight, float)
            person = Person(
                number,
                born,
                arrays["raw"][row],
                arrays["features"][row],
                weight,
                name if isinstance(name, str) else None,
                into if isinstance(into, int) else None,
            )
            if number in self._all:
                self._voices.append(person)
            else:
                self._put(person)


class LikelihoodRatio:
    """Log-likelihood ratio of "this speaker" against "somebody else", made once for some people.

    Ioffe, "Probabilistic linear discriminant analysis", ECCV 2006: in units in which `within` is 1, a speaker's latent
    vector has posterior precision 1/phi + w, so the next item is drawn from N(w mean / (1/phi + w), I + 1/(1/phi + w)),
    and that of an unknown speaker from N(0, I + phi).
    """

    def __init__(self, people: list[Person], phi: F64, within: float = 1.0) -> None:
        """phi: (d,) between-class variances; within: variance of items around their speaker."""
        self.people = people
        self.within = within
        mean = np.stack([person.features for person in people]) / np.sqrt(within)
        w = np.clip([person.weight for person in people], 1.0, MOST_EVIDENCE)[:, None]
        between = phi / within
        precision = 1.0 / between + w
        expected, variance = w * mean / precision, 1.0 + 1.0 / precision
        self._square = ((1.0 / (1.0 + between) - 1.0 / variance) / (2 * within)).T
        self._linear = (expected / variance / np.sqrt(within)).T
        self._constant = 0.5 * (np.log(1.0 + between).sum() - (np.log(variance) + expected**2 / variance).sum(axis=1))

    def __call__(self, features: F64) -> F64:
        """Items (n, d) in PLDA space -> (n, people)."""
        return np.asarray(self._constant + (features**2) @ self._square + features @ self._linear)


EXPECTED_ITEMS = 10.0
"""Items that the model's own within-class variance counts as when it is estimated anew."""


def spread(items: Items) -> float:
    """Variance of items around their speaker's mean in PLDA space: the median over items, drawn towards 1, at least 1.

    Rooms and microphones that the PLDA was not fitted on spread a voice wider than its model says. Speakers with
    fewer than four rows are left out; each mean is taken without the item.
    """
    speaker, rows = items.speaker, items.features
    count = np.bincount(speaker, minlength=1)
    count[0] = 0
    used = count[speaker] >= 4
    if not used.any():
        return 1.0
    numbers = np.flatnonzero(count >= 4)
    speaker = np.searchsorted(numbers, speaker[used])
    rows, size = rows[used], count[numbers].astype(np.float64)
    means = ((speaker == np.arange(len(numbers))[:, None]) @ rows) / size[:, None]
    apart = rows - means[speaker]
    apart *= apart
    square = apart.mean(axis=1) * (size / (size - 1))[speaker] ** 2
    share = len(rows) / (len(rows) + EXPECTED_ITEMS)
    return float(np.exp(share * np.log(max(float(np.median(square)), 1.0))))
