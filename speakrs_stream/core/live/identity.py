"""Which known speaker each local speaker of each window is, and when a new one begins.

Between re-clusterings a window's speakers go to the nearest known ones (different ones within a window, with an
advantage for whoever was shown there before). A re-clustering of everything remembered then corrects the numbers'
prototypes, admits newcomers, and merges numbers that turn out to be one person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, I64, Array, below
from speakrs_stream.core.clustering import assignment
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.events import SpeakerCreated, SpeakerEvent, SpeakerMerged, SpeakerNamed, SpeakerSplit
from speakrs_stream.core.grid import FRAMES_PER_WINDOW
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.memory import Memory
from speakrs_stream.core.live.people import People, Person, likelihood_ratio, similarity, spread
from speakrs_stream.core.live.reclustering import Clusters, recluster
from speakrs_stream.core.live.reconciliation import Mapping, reconcile, separate, weights_of
from speakrs_stream.core.powerset import LOCAL_SPEAKERS

LEFT_OVER_FRAMES = 60
"""Clean frames (1 s) from which a local speaker for whom no known speaker is left becomes a new one."""


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
    shown: dict[int, Array]
    """Number -> (3,) share of each local speaker's speech on which it is shown already."""


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
        self.apart: set[frozenset[int]] = set()
        self.reclusterings = 0
        self.within = 1.0
        """Variance of items around their speaker in PLDA space, as seen in this stream; 1 is what the model expects."""
        self._patience: dict[tuple[str, int, int], int] = {}
        self._last_recluster = 0
        self._due = False

    # -- windows ---------------------------------------------------------------------------------------------

    def push(self, heard: Heard) -> tuple[I64, list[SpeakerEvent], bool]:
        """Numbers (3,) of a window's local speakers, what changed, and whether older windows should be asked again."""
        events: list[SpeakerEvent] = []
        good: Array = np.asarray(np.isfinite(heard.embeddings).all(axis=1))
        trained = good & (heard.clean >= self.clustering.min_clean_ratio * FRAMES_PER_WINDOW)
        features = np.zeros((LOCAL_SPEAKERS, self.plda.dimension))
        if good.any():
            features[good] = self.plda.transform(heard.embeddings[good])
        if not self.people.living() and good.any():
            first = int(np.argmax(np.where(good, heard.active, -1)))
            events += self._admit(heard.processed, heard.embeddings[first], features[first], [])
        strange = self._stranger(features, trained)
        labels = self.assign(heard)
        labels = self._left_over(heard, features, good, labels, events)
        if heard.window >= 0:
            for local in np.flatnonzero(trained):
                number = int(labels[local]) if labels[local] > 0 else 0
                key = LOCAL_SPEAKERS * heard.window + int(local)
                self.memory.push(heard.embeddings[local], features[local], number, key)
        changed = bool(events)
        if self._is_due(heard, strange) and len(self.memory):
            events += self._recluster(heard.processed)
            labels = self.assign(heard)
            changed = True
        return labels, events, changed

    def assign(self, heard: Heard) -> I64:
        """Numbers (3,) of a window's local speakers as things are known now; UNASSIGNED for silence."""
        active = np.asarray(heard.active) > 0
        people = self._candidates_for(heard.processed)
        if not people or not active.any():
            return np.full(LOCAL_SPEAKERS, UNASSIGNED, np.int64)
        score = similarity(heard.embeddings, people)
        score = np.where(np.isfinite(score), score, 0.0)
        for column, person in enumerate(people):
            score[:, column] += self.live.stay * heard.shown.get(person.number, np.zeros(LOCAL_SPEAKERS))
        labels = assignment.constrained(score[None], active[None])[0]
        numbers = np.array([person.number for person in people])
        return np.where(labels >= 0, numbers[np.maximum(labels, 0)], UNASSIGNED)

    def _candidates_for(self, processed: int) -> list[Person]:
        """People a voice may belong to: not those who never said two clean seconds and are not new any more."""
        living = self.people.living()
        known = [p for p in living if p.weight > 0 or processed - p.born <= self.live.newborn or p.name]
        return known or living[:1]

    # -- newcomers -------------------------------------------------------------------------------------------

    def _stranger(self, features: F64, trained: Array) -> bool:
        """Whether a voice with two clean seconds fits nobody known: a reason to cluster again at once."""
        people = self.people.living()
        return any(
            self._fit(features[local], people).max() < self.live.newcomer_score for local in np.flatnonzero(trained)
        )

    def _fit(self, features: F64, people: list[Person]) -> F64:
        """Log-likelihood ratio of one item (d,) for each person, (P,)."""
        means = np.stack([person.features for person in people])
        weight = np.array([person.weight for person in people])
        return np.asarray(likelihood_ratio(features[None], means, weight, self.plda.phi, self.within)[0])

    def _left_over(self, heard: Heard, features: F64, good: Array, labels: I64, events: list[SpeakerEvent]) -> I64:
        """A local speaker beside all known ones is a new one, once it has said a second alone."""
        left = good & (labels == UNASSIGNED) & (heard.clean >= LEFT_OVER_FRAMES)
        if not left.any() or not self._room():
            return labels
        local = int(np.argmax(np.where(left, heard.clean, -1)))
        events += self._admit(heard.processed, heard.embeddings[local], features[local], [])
        return self.assign(heard)

    def _room(self) -> bool:
        return self.bounds.high is None or len(self.people.living()) < self.bounds.high

    def _admit(self, processed: int, raw: Array, features: F64, keys: list[int]) -> list[SpeakerEvent]:
        person = self.people.create(processed, np.asarray(raw, np.float64), features)
        if keys:
            items = self.memory.items()
            self.memory.relabel(np.where(np.isin(items.key, keys), person.number, items.speaker))
            self.people.learn(self.memory.items())
        self._due = True
        return [SpeakerCreated(person.number, processed), *self._recognise([person.number])]

    def _recognise(self, numbers: list[int]) -> list[SpeakerEvent]:
        """Names for numbers that sound like an enrolled voice nobody has yet."""
        taken = {person.name for person in self.people.living() if person.name}
        events: list[SpeakerEvent] = []
        for number in numbers:
            open_voices = [name for name in self.voices if name not in taken]
            if not open_voices or self.people[number].name:
                continue
            score = np.stack([self.voices[name] for name in open_voices]) @ unit(self.people[number].raw)
            if score.max() >= self.live.voice_similarity:
                name = open_voices[int(score.argmax())]
                taken.add(name)
                self.people.name(number, name)
                events.append(SpeakerNamed(number, name))
        return events

    # -- re-clustering ---------------------------------------------------------------------------------------

    def _is_due(self, heard: Heard, strange: bool) -> bool:
        if heard.window < 0:
            return False
        since = heard.processed - self._last_recluster
        early = heard.processed <= self.live.early
        return self._due or strange or early or since >= self.live.recluster

    def _recluster(self, processed: int) -> list[SpeakerEvent]:
        self._due = False
        self._last_recluster = processed
        self.reclusterings += 1
        items = self.memory.items()
        clusters = recluster(items, self.plda.phi, self.clustering, self.bounds)
        if self.apart:
            labels = separate(clusters.labels, items, self.apart)
            groups = [items.raw[labels == k].T @ items.weight[labels == k] for k in range(labels.max() + 1)]
            clusters = Clusters(labels, np.stack(groups) / np.bincount(labels, items.weight)[:, None])
        heard = set(items.speaker.tolist())
        mapping = reconcile(clusters, items, [p for p in self.people.living() if p.number in heard])
        events, numbers = self._place(clusters, mapping, processed)
        merges = self._merges(mapping, processed)
        kept_apart = set(mapping.lost) - {event.speaker for event in merges}
        speaker = np.array([numbers[int(cluster)] for cluster in clusters.labels])
        held = np.isin(items.speaker, list(kept_apart))
        self.memory.relabel(np.where(held, items.speaker, speaker))
        for event in merges:
            self.people.merge(event.speaker, event.into)
            self.memory.rename(event.speaker, event.into)
        items = self.memory.items()
        self.people.learn(items)
        self.within = spread(items)
        events += merges
        return [*events, *self._recognise([person.number for person in self.people.living()])]

    def _place(self, clusters: Clusters, mapping: Mapping, processed: int) -> tuple[list[SpeakerEvent], dict[int, int]]:
        """A number for every cluster, new ones where the evidence suffices."""
        events: list[SpeakerEvent] = []
        numbers = dict(mapping.person)
        items = self.memory.items()
        weight = weights_of(clusters, items)
        waiting = {}
        for cluster, home in mapping.spare.items():
            inside = clusters.labels == cluster
            part = items.take(inside)
            enough = weight[cluster] >= self.live.cluster_items and self._room()
            if enough and home:
                turn = ("split", home, int(part.key.min()))
                waiting[turn] = self._seen("split", home, part.key) + 1
                enough = waiting[turn] >= self.live.patience or self._foreign(part.features, part.weight, home)
            if not enough:
                numbers[cluster] = home
                continue
            share = part.weight / part.weight.sum()
            person = self.people.create(processed, share @ part.raw, share @ part.features)
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

    def _foreign(self, features: F64, weight: F64, home: int) -> bool:
        """Whether a cluster's voice is clearly not that of the number it was shown as."""
        return bool(self._fit(weight @ features / weight.sum(), [self.people[home]])[0] < self.live.newcomer_score)

    def _merges(self, mapping: Mapping, processed: int) -> list[SpeakerMerged]:
        """Numbers that have been without a cluster of their own for long enough."""
        merges = []
        waiting = {}
        for number, into in mapping.lost.items():
            together = frozenset((number, into))
            young = processed - self.people[number].born < self.live.newborn
            if not into or young or together in self.apart:
                continue
            if self._fit(self.people[number].features, [self.people[into]])[0] < self.live.newcomer_score:
                continue  # in one cluster, but they do not sound alike
            waiting["merge", number, into] = self._patience.get(("merge", number, into), 0) + 1
            if waiting["merge", number, into] >= self.live.patience:
                merges.append(SpeakerMerged(number, into))
                del waiting["merge", number, into]
        self._patience = {k: v for k, v in self._patience.items() if k[0] != "merge"} | waiting
        gone = {event.speaker for event in merges}
        return [event for event in merges if event.into not in gone]

    # -- commands --------------------------------------------------------------------------------------------

    def same(self, number: int, into: int) -> list[SpeakerEvent]:
        """The user says two numbers are one person."""
        number, into = self.people.who(number), self.people.who(into)
        if number == into:
            return []
        self.apart = {pair for pair in self.apart if pair != {number, into}}
        self.people.merge(number, into)
        self.memory.rename(number, into)
        self.people.learn(self.memory.items())
        self._due = True
        return [SpeakerMerged(number, into)]

    def different(self, first: int, second: int) -> None:
        """The user says two numbers are two people; no re-clustering will merge them."""
        self.apart.add(frozenset((self.people.who(first), self.people.who(second))))
        self._due = True

    def reject(self, number: int, processed: int, keys: list[int]) -> tuple[int | None, list[SpeakerEvent]]:
        """The user says the embeddings `keys` are not `number`: they become a new number, apart from it."""
        number = self.people.who(number)
        items = self.memory.items()
        wrong = np.isin(items.key, keys) & (items.speaker == number)
        if not wrong.any():
            return None, []
        part = items.take(wrong)
        share = part.weight / part.weight.sum()
        events = self._admit(processed, share @ part.raw, share @ part.features, part.key.tolist())
        created = next(event.speaker for event in events if isinstance(event, SpeakerCreated))
        self.apart.add(frozenset((number, created)))
        return created, events

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
            "apart": sorted(sorted(pair) for pair in self.apart),
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
        self.apart = {frozenset(pair) for pair in plain["apart"]}
        self._patience = {(kind, a, b): count for kind, a, b, count in plain["patience"]}
        self._last_recluster = plain["last"]
        self._due = plain["due"]
        self.reclusterings, self.within = plain["reclusterings"], plain["within"]
