"""The final clustering, changed where the user knows better.

The final result clusters everything anew and has its own speakers, so a command about live numbers is carried over by
what was shown: a local speaker of a window was taken for the number that its speech is shown under in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.arrays import F64, I64, U8, Array
from speakrs_stream.core.clustering.offline import Clustering
from speakrs_stream.core.clustering.plda import unit
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, nearest_frame, sample_to_frame, total_frames
from speakrs_stream.core.history import History
from speakrs_stream.core.live.constraints import Constraints
from speakrs_stream.core.live.people import People
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.reducer import LiveTurn

BLOCK = 512
"""Windows looked at at once."""

MOST = 0.5
"""Share of a local speaker's speech that one number must be shown on for it to be taken for that one."""


def as_told(
    clustering: Clustering, history: History, step: int, people: People, told: Constraints, turns: Iterable[LiveTurn]
) -> Clustering:
    """`clustering` with what was said of speakers: `turns` are those shown live; itself where nothing was said."""
    if not told:
        return clustering
    taken = taken_for(history, step, turns)
    numbers = np.arange(int(taken.max(initial=0)) + len(people) + 1)
    stands = _lookup(numbers, people, people.who)
    voices = _lookup(numbers, people, lambda number: _unmerged(people, told, number))
    for key, _, into in told.rejections():
        taken.flat[key] = into
    labels, active = clustering.labels.copy(), np.asarray(history.active, np.float64)
    changed: set[int] = set()

    def home(table: I64, number: int) -> int:
        """Cluster that holds most of a number's speech; -1 for none."""
        own = (table[taken] == number) & (labels >= 0)
        return int(np.bincount(labels[own], active[own]).argmax()) if own.any() else -1

    for number, into in told.joined:
        first, second = home(voices, int(voices[number])), home(voices, int(voices[into]))
        if first != second and min(first, second) >= 0:
            labels[labels == first] = second
            changed |= {first, second}
    for one, other in sorted(tuple(sorted(pair)) for pair in told.apart):
        first, second = home(stands, int(stands[one])), home(stands, int(stands[other]))
        if first == second >= 0:
            fresh = int(labels.max()) + 1
            _split(labels, history, stands[taken], first, (int(stands[one]), int(stands[other])), fresh)
            changed |= {first, fresh}
    for key, number, into in told.rejections():
        first, second = home(stands, int(stands[number])), home(stands, int(stands[into]))
        if labels.flat[key] == first >= 0 and second >= 0:
            labels.flat[key] = second
            changed |= {first, second}
    return replace(clustering, labels=labels, centroids=_centroids(clustering, history, labels, changed))


def taken_for(history: History, step: int, turns: Iterable[LiveTurn]) -> I64:
    """(windows, 3) number under which most of each local speaker's speech is shown, 0 for none."""
    shown = _painted(turns, total_frames(len(history), step))
    taken = np.zeros((len(history), LOCAL_SPEAKERS), np.int64)
    for first in range(0, len(history), BLOCK):
        spoken = history.activations(first, min(first + BLOCK, len(history)))
        for window, activity in enumerate(spoken, first):
            at = nearest_frame(window * step)
            rows = shown[at : at + FRAMES_PER_WINDOW].astype(np.float32)
            common = activity[: len(rows)].T.astype(np.float32) @ rows
            enough = common.max(axis=1) > MOST * activity.sum(axis=0)
            taken[window] = np.where(enough, common.argmax(axis=1), 0)
    return taken


def _painted(turns: Iterable[LiveTurn], frames: int) -> U8:
    """(frames, numbers + 1) of 0 and 1."""
    rows = list(turns)
    shown = np.zeros((frames, max((turn.speaker for turn in rows), default=0) + 1), np.uint8)
    for turn in rows:
        shown[sample_to_frame(turn.span.start) : sample_to_frame(turn.span.end), turn.speaker] = 1
    return shown


def _lookup(numbers: I64, people: People, who: Callable[[int], int]) -> I64:
    return np.array([who(int(number)) if number in people else 0 for number in numbers])


def _unmerged(people: People, told: Constraints, number: int) -> int:
    """The number that stands for `number` after the merges that the user did not order."""
    while (into := people[number].merged_into) is not None and (number, into) not in told.joined:
        number = into
    return number


def _split(labels: I64, history: History, number: I64, cluster: int, pair: tuple[int, int], fresh: int) -> None:
    """Give the second of two people in one cluster a cluster of its own, with whatever sounds more like it."""
    inside = labels == cluster
    rows = np.asarray(history.embeddings, np.float64)
    known = np.isfinite(rows).all(axis=2)
    centres = [rows[inside & known & (number == one)] for one in pair]
    away = inside & (number == pair[1])
    if all(len(centre) for centre in centres):
        likeness = unit(rows) @ unit(np.stack([centre.mean(axis=0) for centre in centres])).T
        away |= inside & known & (number != pair[0]) & (likeness[..., 1] > likeness[..., 0])
    labels[away] = fresh


def _centroids(clustering: Clustering, history: History, labels: I64, changed: set[int]) -> F64:
    """Mean embeddings, anew for clusters that changed; NaN where nothing clean is left."""
    width = max(len(clustering.centroids), int(labels.max(initial=UNASSIGNED)) + 1)
    out = np.full((width, history.dimension), np.nan)
    out[: len(clustering.centroids)] = clustering.centroids
    owner: Array = labels[clustering.windows, clustering.locals]
    rows = history.embeddings[clustering.windows, clustering.locals].astype(np.float64)
    for cluster in changed:
        own = rows[owner == cluster]
        out[cluster] = own.mean(axis=0) if len(own) else np.nan
    return out
