"""Diarization error rate by exact interval arithmetic.

All turn edges of a recording cut its time axis into elementary intervals; inside one nothing changes, so every
interval is scored once and weighted by its length. Speakers of the hypothesis are mapped one-to-one onto speakers of
the reference so that the time they share is largest (Hungarian algorithm). Overlapped speech is scored, nothing
outside the reference is forgiven, and with collar 0 every instant counts. The same quantities as
`pyannote.metrics.diarization.DiarizationErrorRate` without an evaluation map (Bredin 2017).

Times are float seconds here, and nowhere else in the project: they are the numbers of the reference file, never added
up, so scoring stays exact whatever rate a reference was written at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True, slots=True, order=True)
class Labelled:
    """A stretch of time in which one speaker talks."""

    start: float
    """Seconds."""

    end: float
    """Seconds; a turn that does not end after its start is ignored."""

    speaker: str
    """Label, unique within one recording."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a hypothesis got wrong, in seconds of speaker time; scores of several files add up."""

    total: float = 0.0
    """Reference speech, seconds; overlapped speech counts once per speaker."""

    missed: float = 0.0
    """Reference speech without a hypothesis speaker to go with it, seconds."""

    false_alarm: float = 0.0
    """Hypothesis speech beyond the number of reference speakers, seconds."""

    confusion: float = 0.0
    """Speech given to the wrong speaker, seconds."""

    count_error: int = 0
    """|speakers found - speakers there|, summed over files."""

    files: int = 0
    """Recordings in this score."""

    mapping: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Hypothesis label -> reference label of one recording; empty in a sum."""

    @property
    def error(self) -> float:
        """Missed + false alarm + confusion, seconds."""
        return self.missed + self.false_alarm + self.confusion

    @property
    def der(self) -> float:
        """Error over reference speech; without reference speech 0 if nothing was claimed, else 1."""
        if self.total > 0.0:
            return self.error / self.total
        return 1.0 if self.error > 0.0 else 0.0

    @property
    def mean_count_error(self) -> float:
        """Speaker count error per file."""
        return self.count_error / self.files if self.files else 0.0

    def share(self, seconds: float) -> float:
        """`seconds` as a share of the reference speech; 0 where there is none."""
        return seconds / self.total if self.total > 0.0 else 0.0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.total + other.total,
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.count_error + other.count_error,
            self.files + other.files,
        )


def score(
    reference: Iterable[Labelled],
    hypothesis: Iterable[Labelled],
    *,
    collar: float = 0.0,
    once: bool = True,
) -> Score:
    """Score one recording.

    `collar` is the full width in seconds of the stretch around every reference edge that is not scored (half of it on
    each side). With `once` a speaker whose own turns overlap is heard once; without it each of those turns is a
    speaker of its own in the sums, which is what pyannote.metrics does with such an annotation. Both agree on
    annotations in which nobody overlaps himself. Raises ValueError for a negative collar.
    """
    if collar < 0.0:
        raise ValueError(f"collar is {collar}, it must be 0 or more seconds")
    theirs, ours = _clean(reference), _clean(hypothesis)
    if once:
        theirs, ours = merged(theirs), merged(ours)
    reference_labels = sorted({turn.speaker for turn in theirs})
    hypothesis_labels = sorted({turn.speaker for turn in ours})
    count_error = abs(len(reference_labels) - len(hypothesis_labels))
    collars = _collars(theirs, collar)
    edges = _edges(theirs, ours, collars)
    if len(edges) < 2:
        return Score(count_error=count_error, files=1)
    length = np.diff(edges)
    if collars:
        length = np.where(_active(edges, collars, ["collar"])[:, 0] > 0, 0.0, length)
    there = _active(edges, theirs, reference_labels)
    claimed = _active(edges, ours, hypothesis_labels)

    shared = (claimed * length[:, None]).T @ there.astype(np.float64)  # (hypothesis, reference) seconds
    pairs = [(i, j) for i, j in zip(*linear_sum_assignment(-shared), strict=True) if shared[i, j] > 0.0]
    correct = sum(float(length @ np.minimum(claimed[:, i], there[:, j])) for i, j in pairs)
    n_there, n_claimed = there.sum(axis=1), claimed.sum(axis=1)
    return Score(
        total=float(length @ n_there),
        missed=float(length @ np.maximum(n_there - n_claimed, 0)),
        false_alarm=float(length @ np.maximum(n_claimed - n_there, 0)),
        confusion=max(0.0, float(length @ np.minimum(n_there, n_claimed)) - correct),
        count_error=count_error,
        files=1,
        mapping={hypothesis_labels[i]: reference_labels[j] for i, j in pairs},
    )


def total(scores: Iterable[Score]) -> Score:
    """Sum of scores: the data set's score, every second of reference speech weighing the same."""
    return sum(scores, Score())


def merged(turns: Iterable[Labelled]) -> list[Labelled]:
    """Turns of one speaker that overlap joined into one; turns that only touch stay apart. Sorted."""
    joined: list[Labelled] = []
    last: dict[str, int] = {}
    for turn in sorted(turns):
        at = last.get(turn.speaker)
        if at is not None and turn.start < joined[at].end:
            before = joined[at]
            joined[at] = Labelled(before.start, max(before.end, turn.end), turn.speaker)
        else:
            last[turn.speaker] = len(joined)
            joined.append(turn)
    return joined


def _clean(turns: Iterable[Labelled]) -> list[Labelled]:
    return [turn for turn in turns if turn.end > turn.start]


def _collars(reference: Sequence[Labelled], collar: float) -> list[Labelled]:
    if collar == 0.0:
        return []
    half = 0.5 * collar
    middles = {edge for turn in reference for edge in (turn.start, turn.end)}
    return [Labelled(middle - half, middle + half, "collar") for middle in middles]


def _edges(*annotations: Sequence[Labelled]) -> NDArray[np.float64]:
    """Sorted distinct edges of all turns, seconds."""
    return np.unique([edge for turns in annotations for turn in turns for edge in (turn.start, turn.end)])


def _active(edges: NDArray[np.float64], turns: Sequence[Labelled], labels: Sequence[str]) -> NDArray[np.int32]:
    """How many turns of each label cover each interval between two edges: (len(edges) - 1, len(labels))."""
    change = np.zeros((len(edges), len(labels)), dtype=np.int32)
    column = {label: index for index, label in enumerate(labels)}
    columns = np.array([column[turn.speaker] for turn in turns], dtype=np.intp)
    np.add.at(change, (np.searchsorted(edges, [turn.start for turn in turns]), columns), 1)
    np.add.at(change, (np.searchsorted(edges, [turn.end for turn in turns]), columns), -1)
    return np.cumsum(change[:-1], axis=0, dtype=np.int32)
