"""How good live labels are: DER by age, latency, flips, identity. Pure functions of an event history and a reference.

A history is what a client received: batches of events with their arrival, in samples of the stream (the audio heard
when they were sent, so figures do not depend on the machine). Labels are taken as emitted: a speaker merged later was
another speaker until then. Frames are 10 ms where frames are counted; DER is exact on intervals. Definitions:
docs/live.md, "What the figures mean".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.events import Event, SpeakerMerged, Watermark
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.reducer import Reducer
from speakrs_stream.scoring import Labelled, Score, score

AGES = (0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 15.0, 30.0)
"""Seconds after which a label is looked at."""
FRAME = 160
"""Samples of a 10 ms frame."""
OLD = 3.0
"""Seconds after which a change on shown speech is a visible relabel."""
SETTLED = 120.0
"""Seconds from which on the stream counts as settled."""
ABSENCE = 300.0
"""Seconds of silence after which a speaker counts as returning."""

Masks = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that arrived together."""

    arrival: int
    """Samples of audio heard when they were sent."""
    events: tuple[Event, ...]
    """In order."""


@dataclass(frozen=True, slots=True)
class LiveReport:
    """Everything measured on one stream; sums of several are made by `combine`."""

    seconds: float
    """Length of the audio."""
    by_age: Mapping[float, Score]
    """DER of the labels shown at each age."""
    by_age_settled: Mapping[float, Score]
    """The same without the first minute."""
    finalized: Score
    """DER of the finalized stream, merges followed."""
    offline: Score
    """DER of the final result."""
    offline_settled: Score
    """The same without the first minute."""
    first_label: tuple[float, ...]
    """Seconds from speech to its first label: p50, p95."""
    finalization: tuple[float, ...]
    """Seconds from audio to inside the watermark: p50, p95, max."""
    speech: float
    """Final speech, speaker seconds."""
    flipped_speaker: float
    """Of it, seconds first shown as somebody else."""
    flipped_activity: float
    """Seconds first shown as silence, or first shown and later taken back."""
    late_speech: float
    """Final speech after minute 2, speaker seconds."""
    late_flipped_speaker: float
    """Of it, seconds first shown as somebody else."""
    erased: float
    """Seconds relabelled, summed over all revisions."""
    relabels: int
    """Changes of speaker on speech shown more than 3 s ago."""
    merges: int
    """Merge events."""
    post_final: float
    """Seconds behind the watermark that changed; must be 0."""
    returns: int
    """Times a reference speaker came back after 5 min of silence."""
    kept: int
    """Of them, times the speaker had the same number as before."""
    numbers_per_speaker: float
    """Live numbers with at least 1 s per reference speaker, mean."""
    spurious: float
    """Seconds shown under numbers that are nobody in the end."""
    count_error: float
    """|numbers shown - speakers heard so far|, mean over minutes."""


def history(batches: Sequence[Batch]) -> Iterator[tuple[int, Reducer]]:
    """Arrival and state after each batch."""
    reducer = Reducer()
    for batch in batches:
        for event in batch.events:
            reducer.push(event)
        yield batch.arrival, reducer


def stitched(batches: Sequence[Batch], ages: Sequence[float], samples: int) -> dict[float, list[Labelled]]:
    """What was shown of each moment at each age, as turns in seconds.

    Between two arrivals the picture stands still, so the batch that arrived at `b` speaks for the audio that reaches
    the age between `b` and the next arrival.
    """
    pieces: dict[float, list[Labelled]] = {age: [] for age in ages}
    arrivals = [batch.arrival for batch in batches]
    for index, (arrival, reducer) in enumerate(history(batches)):
        later = arrivals[index + 1] if index + 1 < len(arrivals) else None
        recent = recent_turns(reducer, arrival - int((max(ages) + 60) * SAMPLE_RATE))
        for age in ages:
            back = int(age * SAMPLE_RATE)
            low, high = max(arrival - back, 0), samples if later is None else max(later - back, 0)
            for start, end, number in recent:
                if start < high and end > low:
                    a, b = max(start, low) / SAMPLE_RATE, min(end, high) / SAMPLE_RATE
                    pieces[age].append(Labelled(a, b, f"S{number}"))
    return pieces


def recent_turns(reducer: Reducer, since: int) -> list[tuple[int, int, int]]:
    """Turns as shown that end after `since`: start, end, number (merges followed)."""
    return [(t.span.start, t.span.end, n) for t, n in reducer.latest(since)]


@dataclass(slots=True)
class _Flips:
    first: Masks
    now: Masks
    seen: NDArray[np.bool_]
    shown_at: NDArray[np.int64]
    final_at: NDArray[np.int64]
    erased: float = 0.0
    relabels: int = 0
    post_final: float = 0.0
    merges: int = 0
    counts: dict[int, int] = field(default_factory=dict)


def masks(turns: Sequence[tuple[int, int, int]], low: int, high: int) -> Masks:
    """Numbers shown in frames low..high as bits, (frames,) uint64; numbers beyond 63 share bits."""
    out = np.zeros(max(high - low, 0), np.uint64)
    for start, end, number in turns:
        a, b = max(-(-start // FRAME), low), min(-(-end // FRAME), high)
        if a < b:
            out[a - low : b - low] |= np.uint64(1 << (number % 64))
    return out


def _bits(values: Masks) -> NDArray[np.int64]:
    return np.bitwise_count(values).astype(np.int64)


def substituted(before: Masks, after: Masks) -> NDArray[np.int64]:
    """Speakers exchanged for others in each frame."""
    return np.minimum(_bits(before & ~after), _bits(after & ~before))


def replay(batches: Sequence[Batch], samples: int) -> _Flips:
    """Go through the history frame by frame: first labels, changes, watermark."""
    frames = -(-samples // FRAME)
    flips = _Flips(
        np.zeros(frames, np.uint64),
        np.zeros(frames, np.uint64),
        np.zeros(frames, np.bool_),
        np.full(frames, -1, np.int64),
        np.full(frames, -1, np.int64),
    )
    frozen = 0
    for batch, (arrival, reducer) in zip(batches, history(batches), strict=True):
        high = min(-(-reducer.processed // FRAME), frames)
        low = max(min(frozen, high) - 500, 0)
        picture = masks(recent_turns(reducer, low * FRAME), low, high)
        merged = any(isinstance(event, SpeakerMerged) for event in batch.events)
        flips.merges += sum(isinstance(event, SpeakerMerged) for event in batch.events)
        seen = flips.seen[low:high]
        before = flips.now[low:high]
        if merged:  # an alias is no change of the picture: compare as the numbers stand now
            before = _aliased(before, reducer)
        behind = np.arange(low, high) < frozen
        changed = seen & (before != picture)
        flips.post_final += float((changed & behind).sum()) * FRAME / SAMPLE_RATE
        swapped = np.where(seen, substituted(before, picture), 0)
        flips.erased += float(swapped.sum()) * FRAME / SAMPLE_RATE
        age = arrival - np.arange(low, high) * FRAME
        old = (swapped > 0) & (age > OLD * SAMPLE_RATE)
        flips.relabels += int(((np.diff(np.concatenate([[0], old.astype(np.int8)]))) == 1).sum())
        fresh = ~seen
        flips.first[low:high][fresh] = picture[fresh]
        newly = (picture != 0) & (flips.shown_at[low:high] < 0)
        flips.shown_at[low:high][newly] = arrival
        flips.now[low:high] = picture
        flips.seen[low:high] = True
        if any(isinstance(event, Watermark) for event in batch.events):
            passed = min(-(-reducer.watermark // FRAME), frames)
            region = flips.final_at[frozen:passed]
            region[region < 0] = arrival
            frozen = max(frozen, passed)
        minute = arrival // (60 * SAMPLE_RATE)
        flips.counts[minute] = reducer.living()
    return flips


def _aliased(values: Masks, reducer: Reducer) -> Masks:
    out = np.zeros_like(values)
    for bit in range(64):
        has = (values >> np.uint64(bit)) & np.uint64(1)
        if has.any():
            into = reducer.state.who(bit) % 64 if bit in reducer.state.speakers else bit
            out |= has << np.uint64(into)
    return out


def measure(
    batches: Sequence[Batch], reference: Sequence[Labelled], offline: Sequence[Labelled], samples: int
) -> LiveReport:
    """Judge one stream: its history, the reference, and the final result; `samples` is its length."""
    seconds = samples / SAMPLE_RATE
    shown = stitched(batches, AGES, samples)
    flips = replay(batches, samples)
    reducer = Reducer()
    for batch in batches:
        for event in batch.events:
            reducer.push(event)
    final_turns = recent_turns(reducer, 0)
    finalized = [Labelled(a / SAMPLE_RATE, b / SAMPLE_RATE, f"S{n}") for a, b, n in final_turns]
    last = masks(final_turns, 0, len(flips.now))
    first = _aliased(flips.first, reducer)
    swapped = substituted(first, last)
    activity = np.abs(_bits(first) - _bits(last))
    late = np.arange(len(last)) * FRAME >= SETTLED * SAMPLE_RATE
    per_frame = FRAME / SAMPLE_RATE
    truth = masks([(int(t.start * SAMPLE_RATE), int(t.end * SAMPLE_RATE), 1) for t in reference], 0, len(last)) > 0
    frame_time = np.arange(len(last)) * FRAME
    labelled = truth & (flips.shown_at >= 0)
    waits = (flips.shown_at - frame_time)[labelled] / SAMPLE_RATE
    delays = (flips.final_at - frame_time)[flips.final_at >= 0] / SAMPLE_RATE
    returns, kept = continuity(reference, finalized)
    final_score = score(reference, finalized)
    return LiveReport(
        seconds=seconds,
        by_age={age: score(reference, turns) for age, turns in shown.items()},
        by_age_settled={age: score(*_after(60.0, reference, turns)) for age, turns in shown.items()},
        finalized=final_score,
        offline=score(reference, offline),
        offline_settled=score(*_after(60.0, reference, offline)),
        first_label=_quantiles(waits, (50, 95)),
        finalization=(*_quantiles(delays, (50, 95)), float(delays.max()) if len(delays) else 0.0),
        speech=float(_bits(last).sum()) * per_frame,
        flipped_speaker=float(swapped.sum()) * per_frame,
        flipped_activity=float(activity.sum()) * per_frame,
        late_speech=float(_bits(last)[late].sum()) * per_frame,
        late_flipped_speaker=float(swapped[late].sum()) * per_frame,
        erased=flips.erased,
        relabels=flips.relabels,
        merges=flips.merges,
        post_final=flips.post_final,
        returns=returns,
        kept=kept,
        numbers_per_speaker=fragmentation(reference, finalized),
        spurious=sum(t.end - t.start for t in finalized if t.speaker not in final_score.mapping),
        count_error=count_error(flips.counts, reference),
    )


def _after(start: float, *turns: Sequence[Labelled]) -> list[list[Labelled]]:
    return [[Labelled(max(t.start, start), t.end, t.speaker) for t in one if t.end > start] for one in turns]


def _quantiles(values: NDArray[np.float64], which: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(float(np.percentile(values, q)) if len(values) else 0.0 for q in which)


def _together(reference: Sequence[Labelled], shown: Sequence[Labelled], low: float, high: float) -> dict[str, float]:
    """Seconds each shown label has in common with these reference turns between low and high."""
    common: dict[str, float] = {}
    near = [t for t in shown if t.end > low and t.start < high]
    for turn in reference:
        a, b = max(turn.start, low), min(turn.end, high)
        for other in near:
            overlap = min(b, other.end) - max(a, other.start)
            if overlap > 0:
                common[other.speaker] = common.get(other.speaker, 0.0) + overlap
    return common


def continuity(reference: Sequence[Labelled], shown: Sequence[Labelled]) -> tuple[int, int]:
    """How often a reference speaker comes back after 5 minutes, and how often with the number it had before.

    Judged on the speaker's first minute after the return, by most seconds in common.
    """
    returns = kept = 0
    for speaker in sorted({turn.speaker for turn in reference}):
        own = sorted(turn for turn in reference if turn.speaker == speaker)
        end = own[0].end
        for index, turn in enumerate(own[1:], start=1):
            if turn.start - end >= ABSENCE:
                before = _together(own[:index], shown, 0.0, end)
                after = _together(own[index:], shown, turn.start, turn.start + 60.0)
                if before and after:
                    returns += 1
                    kept += max(before, key=lambda n: before[n]) == max(after, key=lambda n: after[n])
            end = max(end, turn.end)
    return returns, kept


def fragmentation(reference: Sequence[Labelled], shown: Sequence[Labelled]) -> float:
    """Labels that cover at least 1 s of a reference speaker, mean over reference speakers."""
    counts = []
    for speaker in sorted({turn.speaker for turn in reference}):
        own = [turn for turn in reference if turn.speaker == speaker]
        common = _together(own, shown, 0.0, float("inf"))
        counts.append(sum(seconds >= 1.0 for seconds in common.values()))
    return float(np.mean(counts)) if counts else 0.0


def count_error(counts: Mapping[int, int], reference: Sequence[Labelled]) -> float:
    """|speakers shown - speakers heard so far| at the end of each minute, mean."""
    errors = [
        abs(shown - len({turn.speaker for turn in reference if turn.start < 60.0 * (minute + 1)}))
        for minute, shown in counts.items()
    ]
    return float(np.mean(errors)) if errors else 0.0
