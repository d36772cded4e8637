"""Which known speaker each local speaker of each window is, and when a new one begins.

Between re-clusterings a window's speakers go to the nearest known ones (different ones within a window, with an
advantage for whoever was shown there before); a voice unlike everybody is a newcomer at once. A re-clustering of
everything remembered then corrects the numbers' prototypes, admits other newcomers, and merges numbers that turn out
to be one person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F32, F64, I64, Array, below
from speakrs_stream.core.clustering import assignment
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.events import SpeakerCreated, SpeakerEvent, SpeakerMerged, SpeakerNamed, SpeakerSplit
from speakrs_stream.core.grid import FRAMES_PER_WINDOW
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.constraints import Constraints, separate, together
from speakrs_stream.core.live.memory import Items, Memory
from speakrs_stream.core.live.people import LikelihoodRatio, People, Person, spread
from speakrs_stream.core.live.reclustering import Clusters, means, recluster
from speakrs_stream.core.live.reconciliation import Mapping, reconcile, weights_of
from speakrs_stream.core.powerset import LOCAL_SPEAKERS

LEFT_OVER_FRAMES = 60
"""Clean frames (1 s) from which a local speaker for whom no known speaker is left becomes a new one."""

STRANGER_FRAMES = 118
"""Clean frames (2 s) from which a voice unlike everybody known is somebody new."""

TWICE = 0.5
"""What it takes from the score of a speaker to be a second local speaker of the same window."""

REJECTED = -10.0
"""Score of a speaker that the user said it is not: below any other, so that only who is left over gets it."""


CALM = 64
"""Embeddings remembered for which `recluster` samples are waited between re-clusterings, while no split or merge waits.

The more there are, the less do those of a few seconds more move, and the longer does a re-clustering take: waiting in
proportion keeps its cost for a second of sound about the same however long a stream is.
"""


class Shares(NamedTuple):
    """On how much of the speech of a window's local speakers each number is shown."""

    numbers: list[int]
    """Whoever is shown anywhere."""
    share: F32
    """(3, numbers) 0 to 1."""


NOBODY = Shares([], np.zeros((LOCAL_SPEAKERS, 0), np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One window as identity sees it."""

    window: int
    """Its number; below 0 for a preview made before the first whole window."""
    processed: int
    """Sample up to which the stream has been heard."""
    embeddings: Array
    """(3, D), NaN for a local speaker without one."""
    active: Array
    """(3,) frames of speech."""
    clean: Array
    """(3,) frames of speech alone."""
    shown: Shares = NOBODY
    """Who is shown on its speech already."""


class _Voice(NamedTuple):
    """A local speaker of one window that has a voice print."""

    local: int
    active: int
    """Frames of speech."""
    clean: int
    """Frames of speech alone."""
    raw: F64
    """(D,)"""
    features: F64
    """(d,) the same in PLDA space."""


class Identity:
    """The stream's speakers."""

    def __init__(self, live: LiveConfig, clustering: ClusteringConfig, plda: Plda) -> None:
        self.live = live
        self.clustering = clustering
        self.plda = plda
        self.bounds = SpeakerBounds()
        self.people = People()
        self.memory = Memory(plda.lda.shape[0], plda.dimension, live.recent_items, live.group_items)
        self.voices: dict[str, F64] = {}
        self.told = Constraints()
        """What the user said."""
        self.reclusterings = 0
        self.within = 1.0
        """Variance of items around their speaker in PLDA space, as seen in this stream; 1 is what the model expects."""
        self._patience: dict[tuple[str, int, int], int] = {}
        self._last_recluster = 0
        self._due = False
        self._ratio: LikelihoodRatio | None = None  # of those asked for last: they seldom change

    # -- windows ---------------------------------------------------------------------------------------------

    def push(self, heard: Heard) -> tuple[I64, list[SpeakerEvent], bool]:
        """Numbers (3,) of a window's local speakers, what changed, and whether older windows should be asked again."""
        events: list[SpeakerEvent] = []
        told = self._due  # the user said something since the last window
        voices = self._voices(heard)
        if voices and not self.people.living():
            first = max(voices, key=lambda voice: voice.active)
            events += self._admit(heard.processed, first.raw, first.features)
        trained = [voice for voice in voices if voice.clean >= self.clustering.min_clean_ratio * FRAMES_PER_WINDOW]
        strangers = self._strangers(trained) if heard.window >= 0 else []
        labels = self._newcomer(heard, voices, strangers, self.assign([heard])[0], events)
        if heard.window >= 0:
            for voice in trained:
                number = max(int(labels[voice.local]), 0)
                self.memory.push(voice.raw, voice.features, number, LOCAL_SPEAKERS * heard.window + voice.local)
        changed = bool(events) or told
        if len(self.memory) and (self._is_due(heard) or strangers):
            events += self._recluster(heard.processed)
            labels = self.assign([heard])[0]
            changed = True
        return labels, events, changed

    def assign(self, windows: list[Heard], stay: float | None = None) -> I64:
        """Numbers (windows, 3) of local speakers as things are known now; UNASSIGNED for silence.

        windows: heard up to the same sample, with shares of the same numbers; stay: advantage of who is shown, None for
        that of a new window
        """
        stay = self.live.stay if stay is None else stay
        active = np.array([heard.active for heard in windows]).reshape(-1, LOCAL_SPEAKERS) > 0
        people = self._candidates_for(windows[0].processed) if windows else []
        if not people or not active.any():
            return np.full(active.shape, UNASSIGNED, np.int64)
        # A column for each voice: two local speakers of one window may be two voices of one person, or one voice that
        # was taken for two before, or there may be nobody else by the user's word.
        processed = windows[0].processed
        doubled = self.people.absorbers() if self._room(processed) else {person.number for person in people}
        faces = self.people.faces_of(people, doubled)
        score = faces.similarity(np.array([heard.embeddings for heard in windows], np.float64))
        known = np.isfinite(score)
        if not known.all():
            score[~known] = 0.0
        if doubled:
            score -= TWICE * faces.again
        place = {number: index for index, number in enumerate(windows[0].shown.numbers)}
        columns = [column for column, number in enumerate(faces.numbers) if number in place]
        if columns:
            share = np.array([heard.shown.share for heard in windows])
            score[..., columns] += stay * share[..., [place[faces.numbers[column]] for column in columns]]
        banned = self._banned(windows, faces.columns, score.shape) if self.told.rejects else None
        if banned is not None:
            score[banned] = REJECTED
        chosen = assignment.best(score, active)
        labels = np.array([*faces.numbers, UNASSIGNED, UNASSIGNED])[chosen]  # `chosen` is UNASSIGNED, -2, for nobody
        if banned is not None:
            row, local = np.nonzero(chosen >= 0)
            rejected = banned[row, local, chosen[row, local]]
            labels[row[rejected], local[rejected]] = UNASSIGNED
        return labels

    def _banned(self, windows: list[Heard], column: dict[int, slice], shape: tuple[int, ...]) -> Array:
        """(windows, 3, columns) where the user said that a local speaker is somebody else."""
        banned = np.zeros(shape, np.bool_)
        for row, heard in enumerate(windows):
            for local in range(LOCAL_SPEAKERS):
                for number in self.told.rejected(LOCAL_SPEAKERS * heard.window + local):
                    if number in column:
                        banned[row, local, column[number]] = True
        return banned

    def _candidates_for(self, processed: int) -> list[Person]:
        """People a voice may belong to: not those who never said two clean seconds and are not new any more."""
        return self._known(processed) or self.people.living()[:1]

    def _known(self, processed: int) -> list[Person]:
        living = self.people.living()
        return [p for p in living if p.weight > 0 or processed - p.born <= self.live.newborn or p.name]

    # -- newcomers -------------------------------------------------------------------------------------------

    def _voices(self, heard: Heard) -> list[_Voice]:
        """Local speakers that have a voice print: an embedding of length zero, which points nowhere, is none."""
        rows = heard.embeddings.astype(np.float64)
        square = np.einsum("nd,nd->n", rows, rows).tolist()
        found = [local for local, length in enumerate(square) if 0 < length < math.inf]  # not for NaN, either
        if not found:
            return []
        active, clean = heard.active.tolist(), heard.clean.tolist()
        features = self.plda.transform(rows[found])
        return [_Voice(local, active[local], clean[local], rows[local], features[i]) for i, local in enumerate(found)]

    def _strangers(self, voices: list[_Voice]) -> list[_Voice]:
        """Those, clean enough to cluster, that fit nobody known: a reason to cluster again at once."""
        if not voices:
            return []
        fit = self._fit([voice.features for voice in voices], self.people.living())
        return [voice for voice, best in zip(voices, fit, strict=True) if best < self.live.newcomer_score]

    def _fit(self, features: Sequence[F64], people: list[Person]) -> list[float]:
        """Log-likelihood ratio of each of some items (d,) for the person it fits best."""
        faces = self.people.faces_of(people).every
        ratio = self._ratio
        if ratio is None or ratio.people != faces or ratio.within != self.within:
            ratio = self._ratio = LikelihoodRatio(faces, self.plda.phi, self.within)
        found: list[float] = np.maximum.reduce(ratio(np.array(features)), axis=1).tolist()
        return found

    def _newcomer(
        self, heard: Heard, voices: list[_Voice], strangers: list[_Voice], labels: I64, events: list[SpeakerEvent]
    ) -> I64:
        """A stranger unlike everybody is new at once; beside all known ones, so is who has said a second alone."""
        if not self._room(heard.processed):
            return labels
        new = [voice for voice in strangers if voice.clean >= STRANGER_FRAMES]
        if new:
            known = self.people.faces_of(self.people.living())
            likest = known.similarity(np.array([voice.raw for voice in new])).max(axis=1).tolist()
            new = [voice for voice, like in zip(new, likest, strict=True) if like < self.live.newcomer_similarity]
        if not new:
            free = [voice for voice in voices if labels[voice.local] == UNASSIGNED]
            new = [voice for voice in free if voice.clean >= LEFT_OVER_FRAMES]
            if not new:
                return labels
        first = max(new, key=lambda voice: voice.clean)
        # Where re-clustering found such a one to be somebody known before, only a voice unlike theirs is new.
        absorbers = self.people.absorbers()
        before = [person for person in self._known(heard.processed) if person.number in absorbers]
        if before and self._fit([first.features], before)[0] >= self.live.newcomer_score:
            return labels
        events += self._admit(heard.processed, first.raw, first.features)
        return np.asarray(self.assign([heard])[0])

    def _room(self, processed: int) -> bool:
        return self.bounds.high is None or len(self._known(processed)) < self.bounds.high

    def _admit(self, processed: int, raw: F64, features: F64) -> list[SpeakerEvent]:
        person = self.people.create(processed, raw, features)
        self._due = True
        return [SpeakerCreated(person.number, processed), *self._recognise([person.number])]

    def _recognise(self, numbers: list[int]) -> list[SpeakerEvent]:
        """Names for numbers that sound like an enrolled voice nobody has yet, the likest first."""
        taken = {person.name for person in self.people.living()}
        names = [name for name in self.voices if name not in taken]
        open_numbers = [number for number in numbers if not self.people[number].name]
        if not names or not open_numbers:
            return []
        voices = np.stack([self.people[number].raw for number in open_numbers])
        score = unit(voices) @ np.stack([self.voices[name] for name in names]).T
        events: list[SpeakerEvent] = []
        while score.max() >= self.live.voice_similarity:
            row, column = divmod(int(score.argmax()), len(names))
            self.people.name(open_numbers[row], names[column])
            events.append(SpeakerNamed(open_numbers[row], names[column]))
            score[row], score[:, column] = -np.inf, -np.inf
        return events

    # -- re-clustering ---------------------------------------------------------------------------------------

    def _is_due(self, heard: Heard) -> bool:
        if heard.window < 0:
            return False
        since = heard.processed - self._last_recluster
        early = heard.processed <= self.live.early
        wait = self.live.recluster * (1 if self._patience else max(CALM, len(self.memory)) / CALM)
        return self._due or early or since >= wait

    def _recluster(self, processed: int) -> list[SpeakerEvent]:
        self._due = False
        self._last_recluster = processed
        self.reclusterings += 1
        items = self.memory.items()
        clusters = self._as_told(recluster(items, self.plda.phi, self.clustering, self.bounds), items)
        heard = set(items.speaker.tolist())
        mapping = reconcile(clusters, items, [p for p in self.people.living() if p.number in heard])
        events, numbers = self._place(clusters, mapping, processed)
        speaker = np.array([numbers[cluster] for cluster in range(len(clusters.centroids))])[clusters.labels]
        held = np.isin(items.speaker, list(mapping.lost))
        self.memory.relabel(np.where(held, items.speaker, speaker))
        for number, into in self._merges(mapping, processed):
            if not self.told.are_apart(number, into):  # an earlier merge may have brought them apart
                events += self._merge(number, into)
        items = self.memory.items()
        self.people.learn(items)
        self.within = spread(items)
        return [*events, *self._recognise([person.number for person in self.people.living()])]

    def _place(self, clusters: Clusters, mapping: Mapping, processed: int) -> tuple[list[SpeakerEvent], dict[int, int]]:
        """A number for every cluster, new ones where the evidence suffices."""
        events: list[SpeakerEvent] = []
        numbers = dict(mapping.person)
        owner = {number: cluster for cluster, number in mapping.person.items()}
        items = self.memory.items()
        weight = weights_of(clusters, items)
        waiting = {}
        for cluster, home in mapping.spare.items():
            inside = clusters.labels == cluster
            part = items.take(inside)
            enough = weight[cluster] >= self.live.cluster_items and self._room(processed)
            if enough and home in owner and len(self._known(processed)) >= self.bounds.low:
                enough = not self._alike(items, inside, clusters.labels == owner[home])
            if enough and home:
                turn = ("split", home, int(part.key.min()))
                waiting[turn] = self._seen("split", home, part.key) + 1
                enough = waiting[turn] >= self.live.patience or self._is_foreign(items, inside, home)
            if not enough:
                numbers[cluster] = home
                continue
            person = self.people.create(processed, *part.mean())
            numbers[cluster] = person.number
            events.append(SpeakerCreated(person.number, processed))
            if home and part.weight.max() > 1:  # groups are old: what it leaves was shown long ago as `home`
                events.append(SpeakerSplit(home, (home, person.number)))
        self._patience = {k: v for k, v in self._patience.items() if k[0] == "merge"} | waiting
        return events, numbers

    def _seen(self, kind: str, home: int, keys: I64) -> int:
        """How many re-clusterings in a row split much the same items off `home`."""
        return max(
            (n for (k, h, key), n in self._patience.items() if k == kind and h == home and key in keys), default=0
        )

    def _alike(self, items: Items, first: Array, second: Array) -> bool:
        """Whether two clusters, masks over items, sound like one voice."""
        parts = [items.take(inside) for inside in (first, second)]
        centres = [Person(0, 0, *part.mean(), weight=float(part.weight.sum())) for part in parts]
        ratio = LikelihoodRatio(centres[1:], self.plda.phi, self.within)
        return bool(ratio(centres[0].features[None])[0, 0] >= self.live.newcomer_score)

    def _is_foreign(self, items: Items, inside: Array, home: int) -> bool:
        """Whether a cluster's voice is clearly not that of the number it was shown as."""
        _, centre = items.take(inside).mean()
        return self._fit([centre], [self.people[home]])[0] < self.live.newcomer_score

    def _as_told(self, clusters: Clusters, items: Items) -> Clusters:
        """The clusters, changed where the user knows better."""
        joined = []
        weight = weights_of(clusters, items)
        for person in self.people.living():
            if len(self.people.faces(person.number)) > 1:
                own = np.bincount(clusters.labels, items.weight * (items.speaker == person.number), len(weight))
                mine = np.flatnonzero(own > 0.5 * weight).tolist()
                joined.append([k for k in mine if not self._is_foreign(items, clusters.labels == k, person.number)])
        if not joined and not self.told.apart:
            return clusters
        labels = separate(together(clusters.labels, joined), items, self.told.apart)
        return Clusters(labels, means(items, labels))

    def _merges(self, mapping: Mapping, processed: int) -> list[tuple[int, int]]:
        """Numbers that have been without a cluster of their own for long enough, and whose cluster holds them."""
        merges = []
        waiting = {}
        surplus = len(self._known(processed)) - self.bounds.high if self.bounds.high is not None else 0
        for number, into in mapping.lost.items():
            names = {self.people[number].name, self.people[into].name if into else None} - {None}
            if not into or self.told.are_apart(number, into) or len(names) > 1:
                continue
            if surplus > 0:  # the user says that there are fewer
                merges.append((number, into))
                surplus -= 1
                continue
            if processed - self.people[number].born < self.live.newborn:
                continue
            if self._fit([self.people[number].features], [self.people[into]])[0] < self.live.newcomer_score:
                continue  # in one cluster, but they do not sound alike
            waiting["merge", number, into] = self._patience.get(("merge", number, into), 0) + 1
            if waiting["merge", number, into] >= self.live.patience:
                merges.append((number, into))
                del waiting["merge", number, into]
        self._patience = {k: v for k, v in self._patience.items() if k[0] != "merge"} | waiting
        gone = {number for number, _ in merges}
        return [(number, into) for number, into in merges if into not in gone]

    def _merge(self, number: int, into: int, *, told: bool = False) -> list[SpeakerEvent]:
        """Give `number` up in favour of `into`, which takes over its name if it has none."""
        events: list[SpeakerEvent] = [SpeakerMerged(number, into)]
        self.people.merge(number, into, told=told)
        if told:
            self.told.joined.append((number, into))
        self.memory.rename(number, into)
        self.told.merged(number, into)
        name = self.people[number].name
        if name and not self.people[into].name:
            self.people.name(into, name)
            events.append(SpeakerNamed(into, name))
        return events

    # -- commands --------------------------------------------------------------------------------------------

    def same(self, number: int, into: int) -> list[SpeakerEvent]:
        """The user says two numbers are one person."""
        number, into = self.people.who(number), self.people.who(into)
        if number == into:
            return []
        events = self._merge(number, into, told=True)
        self.people.learn(self.memory.items())
        self._due = True
        return events

    def different(self, first: int, second: int) -> None:
        """The user says two numbers are two people; no re-clustering will merge them."""
        self.told.different(self.people.who(first), self.people.who(second))
        self._due = True

    def reject(self, number: int, processed: int, heard: dict[int, Array]) -> list[SpeakerEvent]:
        """The user says what was heard is not `number`: it becomes a new number, apart from that.

        heard: item key -> raw embedding (D,), at least one
        """
        number = self.people.who(number)
        items = self.memory.items()
        wrong = np.isin(items.key, list(heard)) & (items.speaker == number)
        if not wrong.any():  # nothing of it was clean enough to be remembered: now it is
            raw = np.mean([np.asarray(row, np.float64) for row in heard.values()], axis=0)
            self.memory.push(raw, self.plda.transform(raw[None])[0], number, max(heard))
            items = self.memory.items()
            wrong = np.arange(len(items)) == len(items) - 1
        person = self.people.create(processed, *items.take(wrong).mean())
        self.memory.relabel(np.where(wrong, person.number, items.speaker))
        self.people.learn(self.memory.items())
        self.told.reject(heard, number, person.number)
        self.told.different(number, person.number)
        self._due = True
        return [SpeakerCreated(person.number, processed), *self._recognise([person.number])]

    def hint(self, bounds: SpeakerBounds) -> None:
        """From now on, so many speakers."""
        self.bounds = bounds
        self._due = True

    def enrol(self, name: str, embedding: Array) -> list[SpeakerEvent]:
        """Know a voice by name; recognised at once where it has been heard already."""
        self.voices[name] = unit(np.asarray(embedding, np.float64))
        return self._recognise([person.number for person in self.people.living()])

    def rename(self, number: int, name: str) -> list[SpeakerEvent]:
        """Give a number a name."""
        number = self.people.who(number)
        self.people.name(number, name)
        return [SpeakerNamed(number, name)]

    # -- state -----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        people, prototypes = self.people.state()
        plain = {
            "people": people,
            "bounds": [self.bounds.low, self.bounds.high],
            "voices": list(self.voices),
            "told": self.told.state(),
            "patience": [[*key, count] for key, count in self._patience.items()],
            "last": self._last_recluster,
            "due": self._due,
            "reclusterings": self.reclusterings,
            "within": self.within,
        }
        arrays = {f"people.{name}": rows for name, rows in prototypes.items()} | {
            f"memory.{name}": rows for name, rows in self.memory.state().items()
        }
        if self.voices:
            arrays["voices"] = np.stack(list(self.voices.values()))
        return plain, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        self.people.restore(plain["people"], below(arrays, "people."))
        self.memory.restore(below(arrays, "memory."))
        self.bounds = SpeakerBounds(*plain["bounds"])
        self.voices = {name: arrays["voices"][row] for row, name in enumerate(plain["voices"])}
        self.told.restore(plain["told"])
        self._patience = {(kind, a, b): count for kind, a, b, count in plain["patience"]}
        self._last_recluster = plain["last"]
        self._due = plain["due"]
        self.reclusterings, self.within = plain["reclusterings"], plain["within"]
