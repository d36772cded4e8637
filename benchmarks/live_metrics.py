"""How good and how steady a live stream's labels are.

One `Tally` per recording, from what a listener saw (`live_replay.Seen`) and the reference; tallies of a data set are
added up by `live_summary.summarize`. Time is the sample clock. DER is exact on intervals, everything else is counted
on 10 ms frames; overlapped speech counts once per speaker; labels are taken as they were shown, so that a speaker who
changes number is wrong. Definitions:

* **DER at age a**: the hypothesis made of what was shown `a` seconds after each moment, one mapping per recording,
  collar 0. `final` is what is shown in the end, `offline` the result of the whole recording where it is given.
* **Label-flip rate**: speaker time whose label when first reported differs from the final one, over final speaker
  time; `speaker` where one speaker stands for another, `activity` where one was added or taken away. In
  `speaker_merges_followed` numbers that were merged later count as one.
* **Speaker erasure**: frames times speakers that changed after they were first reported, each change counted, over
  final speaker time.
* **Relabels**: stretches of 0.1 s or more that went from one speaker to another in one update, per minute; `old`
  where 0.1 s or more of it was over 3 s old. Merges of two numbers are counted apart.
* **First label, finalization, stable age**: seconds from a frame's own time until anybody was shown on it, until the
  watermark passed, until its last change; over frames that end as speech.
* **Returns**: of reference speakers who were silent for over 2, 5, 10 minutes, the share whose speech after it has
  the number their earlier speech has, in the end.
* **Fragmentation**: numbers that hold 5 % or more of a reference speaker's final speech, mean weighted by speech;
  **merging** the other way round.
* **Spurious seconds**: time that was ever shown under a number that nothing has in the end.
* **Count error**: |speakers shown - speakers heard so far|, mean over each minute.
* **Newcomer delay**: from the moment a reference speaker has spoken for 2 s until its number stands on 0.5 s of it.
* **Re-cluster time**: computing time of a window's identity step when it clusters everything again, on this machine.
* **Host time**: computing time of the session for a second of sound, minute by minute: everything but the networks and
  re-clusterings; median of the minutes 2 to 6, and of the five before each mark.
* **State**: bytes of a snapshot; its growth per hour is taken between minute 10 and the end of recordings of 15 minutes
  or more.
* **Push time**: wall time of each piece of audio (a step where steps divide the window), networks included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import (
    FRAME,
    SECONDS,
    Masks,
    best_mapping,
    changes,
    columns,
    frame_of,
    paint,
    renamed,
    shared_frames,
    speakers_in,
)
from benchmarks.live_replay import AGES, Arrival, Seen, replay
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.scoring import Labelled, Score, score

RANGES = {
    "all": (0, None),
    "0-1 min": (0, 1),
    "1+ min": (1, None),
    "1-5 min": (1, 5),
    "5+ min": (5, None),
    "2+ min": (2, None),
}
"""Stretches of a recording that are also reported by themselves, minutes."""

GAPS = (2, 5, 10)
"""Minutes of silence after which a speaker counts as returning."""

SHARE = 0.05
"""Share of somebody's speech that a number must have to count in fragmentation."""

EVIDENCE = 200
"""Frames of matched speech needed on each side of a return (2 s)."""

MARKS = (60.0, 600.0, 3600.0, 8 * 3600.0)
"""Seconds at which snapshots are weighed and (but for the first) re-clusterings looked at."""


@dataclass(slots=True, eq=False)
class Tally:
    """Sums and samples of one recording, or of several."""

    seconds: float = 0.0
    """Length of the audio."""
    speech: float = 0.0
    """Final speaker time, seconds."""
    der: dict[str, dict[str, Score]] = field(default_factory=dict)
    """Age in seconds, `final` or `offline` -> range -> score."""
    flips: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Range -> seconds of (speaker, speaker with merges followed, activity, final speech)."""
    erased: float = 0.0
    """Seconds changed after they were reported."""
    erased_speaker: float = 0.0
    """Those that went from speaker to speaker."""
    relabels: int = 0
    """Relabelled stretches."""
    old_relabels: int = 0
    """Those over 3 s old."""
    merges: int = 0
    """Numbers given up for others."""
    merged: float = 0.0
    """Seconds renamed by merges."""
    behind: float = 0.0
    """Seconds changed behind the watermark."""
    first_label: list[NDArray[np.float32]] = field(default_factory=list)
    """Seconds per frame."""
    finalization: list[NDArray[np.float32]] = field(default_factory=list)
    """Seconds per frame."""
    stable: list[NDArray[np.float32]] = field(default_factory=list)
    """Seconds per frame."""
    returns: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Minutes of silence -> (kept the number, returned)."""
    fragments: tuple[float, float] = (0.0, 0.0)
    """Numbers per reference speaker times its frames, and frames."""
    mergers: tuple[float, float] = (0.0, 0.0)
    """Reference speakers per number times its frames, and frames."""
    spurious: float = 0.0
    """Seconds shown under numbers that did not stay."""
    count_error: dict[int, list[float]] = field(default_factory=dict)
    """Minute -> errors."""
    newcomers: list[float] = field(default_factory=list)
    """Seconds until a new speaker had a number."""
    missed_newcomers: int = 0
    """Reference speakers with 2 s of speech that never had one."""
    same: bool | None = None
    """Whether the result of `finish()` has the turns of the recording as a whole; None where nobody looked."""
    reclusters: list[tuple[int, float]] = field(default_factory=list)
    """Samples heard at a re-clustering, and seconds of computing it took."""
    host: list[tuple[int, float]] = field(default_factory=list)
    """Samples heard after each minute, and seconds the session computed in it."""
    snapshots: list[tuple[int, int]] = field(default_factory=list)
    """Samples heard, and bytes of a snapshot then."""
    pushes: list[float] = field(default_factory=list)
    """Seconds every piece of audio took, networks included."""


def tally(
    arrivals: Sequence[Arrival],
    reference: Sequence[Labelled],
    samples: int,
    *,
    offline: Iterable[Labelled] | None = None,
    ages: Sequence[float] = AGES,
) -> Tally:
    """Measure one stream of `samples` samples; `arrivals` in order, `offline` the turns of the whole recording."""
    people = sorted({turn.speaker for turn in reference})
    truth = paint(reference, frame_of(samples), people)
    seen = replay(arrivals, samples, reference=truth, ages=ages)
    result = Tally(seconds=samples / SAMPLE_RATE, speech=float(speakers_in(seen.final).sum()) * SECONDS)
    _der(result, seen, reference, offline)
    _flips(result, seen)
    result.erased, result.erased_speaker = seen.erased * SECONDS, seen.erased_speaker * SECONDS
    result.relabels, result.old_relabels = seen.relabels, seen.old_relabels
    result.merges, result.merged, result.behind = len(seen.merged), seen.merged_frames * SECONDS, seen.behind * SECONDS
    _latencies(result, seen)
    _identity(result, seen, truth, len(people))
    _count(result, seen, truth, len(people))
    return result


def _der(result: Tally, seen: Seen, reference: Sequence[Labelled], offline: Iterable[Labelled] | None) -> None:
    rows = {f"{age:g}": turns for age, turns in seen.at_age.items()} | {"final": seen.turns}
    if offline is not None:
        rows["offline"] = list(offline)
    result.der = {name: in_ranges(reference, turns) for name, turns in rows.items()}


def in_ranges(reference: Sequence[Labelled], hypothesis: Sequence[Labelled]) -> dict[str, Score]:
    """Score of every stretch of `RANGES` under the mapping of the whole recording."""
    whole = score(reference, hypothesis)
    result = {}
    for part, (start, end) in RANGES.items():
        if (start, end) == (0, None):
            result[part] = whole
            continue
        theirs, ours = (_within(turns, 60.0 * start, 60.0 * end if end else inf) for turns in (reference, hypothesis))
        own = score(theirs, ours)
        correct = sum(_shared(theirs, there, ours, here) for here, there in whole.mapping.items())
        confusion = max(0.0, own.total - own.missed - correct)
        result[part] = Score(own.total, own.missed, own.false_alarm, confusion)
    return result


def _within(turns: Iterable[Labelled], start: float, end: float) -> list[Labelled]:
    return [
        Labelled(max(turn.start, start), min(turn.end, end), turn.speaker)
        for turn in turns
        if turn.start < end and turn.end > start
    ]


def _shared(theirs: Sequence[Labelled], there: str, ours: Sequence[Labelled], here: str) -> float:
    """Seconds that speaker `there` of the reference and speaker `here` of the hypothesis have in common."""
    both = score([turn for turn in theirs if turn.speaker == there], [turn for turn in ours if turn.speaker == here])
    return both.total - both.missed


def _cuts(frames: int) -> dict[str, slice]:
    """Frames of every range."""
    minute = 60 * SAMPLE_RATE // FRAME
    return {name: slice(start * minute, None if end is None else end * minute) for name, (start, end) in RANGES.items()}


def _flips(result: Tally, seen: Seen) -> None:
    alias = {number: _standing(number, seen.merged) for number in range(seen.speakers)}
    followed, _ = changes(renamed(seen.first, alias), renamed(seen.final, alias))
    speaker, activity = changes(seen.first, seen.final)
    final = speakers_in(seen.final)
    for part, cut in _cuts(seen.frames).items():
        sums = [float(row[cut].sum()) * SECONDS for row in (speaker, followed, activity, final)]
        result.flips[part] = np.array(sums)


def _standing(number: int, merged: Mapping[int, int]) -> int:
    while number in merged:
        number = merged[number]
    return number


def _latencies(result: Tally, seen: Seen) -> None:
    spoken = np.flatnonzero(seen.final != 0)
    own = spoken * FRAME + FRAME // 2
    for into, when in (
        (result.first_label, seen.first_label),
        (result.finalization, seen.settled),
        (result.stable, seen.last_change),
    ):
        known = when[spoken] >= 0
        into.append(((when[spoken][known] - own[known]) / SAMPLE_RATE).astype(np.float32))


def _identity(result: Tally, seen: Seen, truth: Masks, people: int) -> None:
    numbers = max(seen.speakers, 1)
    common = shared_frames(seen.final, truth, numbers, people)
    result.fragments = _holders(common.T)
    result.mergers = _holders(common)
    staying = np.uint64(0)
    for number in range(numbers):
        if np.any(seen.final & np.uint64(1 << number)):
            staying |= np.uint64(1 << number)
    result.spurious = float(speakers_in(seen.ever & ~staying).sum()) * SECONDS
    result.returns = dict.fromkeys(GAPS, (0, 0))
    for person in range(people):
        spoken = np.flatnonzero(truth & np.uint64(1 << person))
        heard = columns(seen.final[spoken], numbers)
        silence = np.diff(spoken) * SECONDS / 60
        for gap in GAPS:
            breaks = np.flatnonzero(silence > gap) + 1
            for index, start in enumerate(breaks):
                end = breaks[index + 1] if index + 1 < len(breaks) else len(spoken)
                before, after = heard[:start].sum(axis=0), heard[start:end].sum(axis=0)
                if before.max() >= EVIDENCE and after.max() >= EVIDENCE:
                    kept, total = result.returns[gap]
                    result.returns[gap] = (kept + int(before.argmax() == after.argmax()), total + 1)


def _holders(common: NDArray[np.float64]) -> tuple[float, float]:
    """Columns with their share of each row, weighted by the row's frames; and those frames."""
    weight = common.sum(axis=1)
    rows = weight > 0
    holders = (common[rows] >= SHARE * weight[rows, None]).sum(axis=1)
    return float(holders @ weight[rows]), float(weight[rows].sum())


def _count(result: Tally, seen: Seen, truth: Masks, people: int) -> None:
    starts, enough = [], []
    for person in range(people):
        spoken = np.flatnonzero(truth & np.uint64(1 << person))
        if len(spoken):
            starts.append(spoken[0] * FRAME)
        if len(spoken) >= 200:
            enough.append((person, (int(spoken[199]) + 1) * FRAME))
    begun = np.sort(np.array(starts, dtype=np.int64))
    for at, shown in seen.counts:
        there = int(np.searchsorted(begun, at, side="right"))
        result.count_error.setdefault(at // (60 * SAMPLE_RATE), []).append(abs(shown - there))
    numbers = max(seen.speakers, 1)
    owner = {person: number for number, person in best_mapping(seen.final, truth, numbers, people).items()}
    for person, heard in enough:
        found = seen.found.get((owner[person], person)) if person in owner else None
        if found is None:
            result.missed_newcomers += 1
        else:
            result.newcomers.append(max(0, found - heard) / SAMPLE_RATE)
