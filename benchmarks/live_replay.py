"""What a listener of a live stream sees, frame by frame, as its events arrive.

Events are applied in the order they came, with the position of the sample clock at which they came. Time is the
audio's own: computing takes none, so the same stream always gives the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import FRAME, MOST_SPEAKERS, Masks, changes, columns, frame_of, runs
from speakrs_stream.core.events import (
    Event,
    SpeakerMerged,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.scoring import Labelled

Arrival = tuple[int, Event]
"""Samples heard when an event came, and the event."""

AGES = (0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 15.0, 30.0)
"""Seconds after which shown labels are looked at."""

SHORTEST = 10
"""Frames a relabelled stretch must have to count as an event (0.1 s)."""

OLD = 3 * SAMPLE_RATE
"""Samples after which a relabelled stretch was surely seen."""

OWN = 50
"""Frames of a reference speaker's speech a number must be shown on to count as found (0.5 s)."""


@dataclass(slots=True, eq=False)
class Seen:
    """Everything that was shown, and how it changed. Frames are 10 ms; bit n of a mask is speaker number n + 1."""

    frames: int
    """Frames of the recording."""
    first: Masks
    """(frames,) who was shown when a frame was first reported, silence included."""
    final: Masks
    """(frames,) who is shown in the end."""
    at_age: dict[float, list[Labelled]]
    """Seconds -> what was shown that long after the moment itself, as turns with exact edges."""
    first_label: NDArray[np.int64]
    """(frames,) sample clock at which any speaker was first shown, -1 for never."""
    settled: NDArray[np.int64]
    """(frames,) sample clock at which the watermark passed, -1 for never."""
    last_change: NDArray[np.int64]
    """(frames,) sample clock of the last change (the first report included), -1 for never shown."""
    turns: list[Labelled] = field(default_factory=list)
    """What is shown in the end, with exact edges."""
    speakers: int = 0
    """Speaker numbers used."""
    merged: dict[int, int] = field(default_factory=dict)
    """Bit -> bit it was merged into."""
    erased: int = 0
    """Frames times speakers that changed after they were reported; one that changed three times counts three times."""
    erased_speaker: int = 0
    """Those of them that went from one speaker to another."""
    merged_frames: int = 0
    """Frames times speakers that a merge renamed."""
    behind: int = 0
    """Frames times speakers that changed behind the watermark; merges are allowed and not counted."""
    relabels: int = 0
    """Stretches of 0.1 s or more that went from one speaker to another in one update."""
    old_relabels: int = 0
    """Those of them with 0.1 s or more that was over 3 s old."""
    ever: Masks = field(default_factory=lambda: np.zeros(0, np.uint64))
    """(frames,) everybody who was ever shown on a frame."""
    counts: list[tuple[int, int]] = field(default_factory=list)
    """Sample clock after each update, and how many speakers have something shown then."""
    found: dict[tuple[int, int], int] = field(default_factory=dict)
    """(bit, reference bit) -> sample clock at which they first had 0.5 s in common."""


class _Screen:
    """The listener's screen: turns as frames, with counts so that turns of one speaker may overlap."""

    def __init__(self, frames: int) -> None:
        self.masks: Masks = np.zeros(frames, np.uint64)
        self.shown = np.zeros(MOST_SPEAKERS, np.int64)
        """(64,) frames each number is shown on."""
        self._counts = np.zeros((frames, 8), np.uint8)
        self._turns: dict[int, tuple[int, int, int]] = {}  # turn -> bit, first frame, one past the last
        self.spans: dict[int, tuple[int, Span]] = {}
        """Turn -> bit, stretch of samples."""
        self._recent: set[int] = set()  # turns that pictures may still show
        self._alias: dict[int, int] = {}

    def apply(self, event: Event) -> list[tuple[int, int]]:
        """Take one turn event; returns the stretches of frames that may have changed."""
        match event:
            case TurnStarted() | TurnRevised() | TurnRelabelled() | TurnFinal():
                return self._place(event.turn, event.speaker - 1, event.span)
            case TurnRetracted():
                old = self._turns.pop(event.turn)
                del self.spans[event.turn]
                self._recent.discard(event.turn)
                self._add(old, -1)
                return [old[1:]]
            case _:
                return []

    def _place(self, turn: int, number: int, span: Span) -> list[tuple[int, int]]:
        while number in self._alias:
            number = self._alias[number]
        if number >= self._counts.shape[1]:
            if number >= MOST_SPEAKERS:
                raise ValueError(f"speaker {number + 1}: at most {MOST_SPEAKERS} can be followed")
            self._counts = np.pad(self._counts, ((0, 0), (0, number + 8 - self._counts.shape[1])))
        new = (number, frame_of(span.start), min(frame_of(span.end), len(self.masks)))
        old = self._turns.get(turn)
        self._turns[turn] = new
        self.spans[turn] = (number, span)
        self._recent.add(turn)
        self._add(new, 1)
        if old is None:
            return [new[1:]]
        self._add(old, -1)
        if old[0] != new[0]:
            return [old[1:], new[1:]]
        edges = [(old[1], new[1]), (old[2], new[2])]
        return [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]

    def _add(self, turn: tuple[int, int, int], by: int) -> None:
        number, first, last = turn
        column = self._counts[first:last, number]
        column += np.uint8(by % 256)

    def merge(self, number: int, into: int) -> int:
        """Show `into` wherever `number` stood; returns how many frames that renamed."""
        bit, other = np.uint64(1 << number), np.uint64(1 << into)
        renamed = np.flatnonzero(self.masks & bit)
        self.shown[into] += int(((self.masks[renamed] & other) == 0).sum())
        self.shown[number] = 0
        self.masks[renamed] = (self.masks[renamed] & ~bit) | other
        top = max(number, into)
        if top >= self._counts.shape[1]:
            self._counts = np.pad(self._counts, ((0, 0), (0, top + 8 - self._counts.shape[1])))
        self._counts[:, into] += self._counts[:, number]
        self._counts[:, number] = 0
        self._alias[number] = into
        self._turns = {
            turn: (into if place[0] == number else place[0], *place[1:]) for turn, place in self._turns.items()
        }
        self.spans = {turn: (into if bit == number else bit, span) for turn, (bit, span) in self.spans.items()}
        return len(renamed)

    def refresh(self, first: int, last: int) -> tuple[Masks, Masks]:
        """Bring the masks of a stretch up to date; returns what they were and what they are."""
        before = self.masks[first:last].copy()
        weights = np.uint64(1) << np.arange(self._counts.shape[1], dtype=np.uint64)
        after = ((self._counts[first:last] > 0) * weights).sum(axis=1, dtype=np.uint64)
        self.masks[first:last] = after
        return before, after

    def picture(self, start: int, end: int) -> list[tuple[int, Span]]:
        """Bits and stretches shown within samples start..end, for ends that only grow."""
        found = []
        for turn in self._recent:
            number, span = self.spans[turn]
            if span.start < end and span.end > start:
                found.append((number, Span(max(span.start, start), min(span.end, end))))
        return sorted(found, key=lambda one: one[1].start)

    def forget(self, before: int) -> None:
        """No picture will be asked for that begins before this sample."""
        self._recent = {turn for turn in self._recent if self.spans[turn][1].end > before}


class _Stitched:
    """Pieces of pictures, put together in the order of time."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, int, int]] = []  # bit, start, end
        self._last: dict[int, int] = {}

    def add(self, number: int, span: Span) -> None:
        """The next piece; one that continues the same speaker's last joins it."""
        at = self._last.get(number)
        if at is not None and self._turns[at][2] >= span.start:
            self._turns[at] = (number, self._turns[at][1], max(self._turns[at][2], span.end))
            return
        self._last[number] = len(self._turns)
        self._turns.append((number, span.start, span.end))

    def turns(self) -> list[Labelled]:
        """Everything, in seconds."""
        return [Labelled(a / SAMPLE_RATE, b / SAMPLE_RATE, label(number)) for number, a, b in self._turns]


def label(bit: int) -> str:
    """What a bit of the masks is called in turns."""
    return f"S{bit + 1}"


def replay(
    arrivals: Iterable[Arrival], samples: int, *, reference: Masks | None = None, ages: Sequence[float] = AGES
) -> Seen:
    """Apply all events of a stream `samples` long; `reference` (frames,) tells when its speakers are found."""
    frames = frame_of(samples)
    screen = _Screen(frames)
    seen = Seen(
        frames,
        first=np.zeros(frames, np.uint64),
        final=screen.masks,
        at_age={},
        first_label=np.full(frames, -1, np.int64),
        settled=np.full(frames, -1, np.int64),
        last_change=np.full(frames, -1, np.int64),
        ever=np.zeros(frames, np.uint64),
    )
    theirs = int(reference.max()).bit_length() if reference is not None and len(reference) else 0
    common = np.zeros((MOST_SPEAKERS, theirs))
    reported = watermark = 0
    stitched = {age: _Stitched() for age in ages}
    updates = [(at, [event for _, event in group]) for at, group in groupby(arrivals, key=lambda item: item[0])]
    for index, (at, events) in enumerate(updates):
        stretches: list[tuple[int, int]] = []
        until, processed = watermark, reported
        for event in events:
            if isinstance(event, SpeakerMerged):
                seen.merged[event.speaker - 1] = event.into - 1
                seen.merged_frames += screen.merge(event.speaker - 1, event.into - 1)
                common[event.into - 1] += common[event.speaker - 1]
            elif isinstance(event, Watermark):
                until, processed = frame_of(event.until), min(frame_of(event.processed), frames)
            else:
                stretches += screen.apply(event)
            seen.speakers = max(seen.speakers, getattr(event, "speaker", 0))
        for first, last in _united(stretches, frames):
            before, after = screen.refresh(first, last)
            _note_changes(seen, at, first, before, after, reported, watermark)
            change = columns(after, MOST_SPEAKERS) - columns(before, MOST_SPEAKERS)
            screen.shown += change.sum(axis=0).astype(np.int64)
            if reference is not None:
                common += change.T @ columns(reference[first:last], theirs)
        for number, other in np.argwhere(common >= OWN).tolist():
            seen.found.setdefault((number, other), at)
        if processed > reported:
            seen.first[reported:processed] = screen.masks[reported:processed]
            fresh = seen.last_change[reported:processed]
            fresh[fresh < 0] = at
        until = min(until, frames)
        seen.settled[watermark:until] = at
        reported, watermark = max(processed, reported), max(until, watermark)
        seen.counts.append((at, int((screen.shown > 0).sum())))
        later = updates[index + 1][0] if index + 1 < len(updates) else None
        for age, stitches in stitched.items():
            back = round(age * SAMPLE_RATE)
            for number, span in screen.picture(max(at - back, 0), samples if later is None else max(later - back, 0)):
                stitches.add(number, span)
        screen.forget(at - round(max(ages, default=0.0) * SAMPLE_RATE))
    seen.at_age = {age: stitches.turns() for age, stitches in stitched.items()}
    everything = _Stitched()
    for number, span in sorted(screen.spans.values(), key=lambda one: one[1].start):
        everything.add(number, Span(span.start, min(span.end, samples)))
    seen.turns = everything.turns()
    seen.final = screen.masks
    return seen


def _note_changes(seen: Seen, at: int, first: int, before: Masks, after: Masks, reported: int, watermark: int) -> None:
    """Book what changed in a stretch of frames that starts at `first`."""
    differs = before != after
    if not differs.any():
        return
    last = first + len(after)
    seen.last_change[first:last][differs] = at
    labels = seen.first_label[first:last]
    labels[(labels < 0) & (after != 0)] = at
    seen.ever[first:last] |= after
    known = min(max(reported - first, 0), len(after))
    exchanged, switched = changes(before[:known], after[:known])
    seen.erased += int(exchanged.sum() + switched.sum())
    seen.erased_speaker += int(exchanged.sum())
    passed = min(max(watermark - first, 0), len(after))
    seen.behind += int(exchanged[:passed].sum() + switched[:passed].sum())
    for start, end in runs(exchanged > 0):
        if end - start >= SHORTEST:
            seen.relabels += 1
            older = at - (first + np.arange(start, end)) * FRAME > OLD
            seen.old_relabels += int(older.sum() >= SHORTEST)


def _united(stretches: list[tuple[int, int]], frames: int) -> list[tuple[int, int]]:
    """Stretches cut to the recording, those that touch joined."""
    joined: list[list[int]] = []
    for first, last in sorted((max(first, 0), min(last, frames)) for first, last in stretches):
        if first >= last:
            continue
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return [(first, last) for first, last in joined]
