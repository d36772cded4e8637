"""From what is shown to events: turns keep their number while their frames, speakers and edges move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.events import (
    TurnEvent,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
)
from speakrs_stream.core.grid import Span, frame_to_sample
from speakrs_stream.core.live.timeline import Shown
from speakrs_stream.core.reconstruction import column_runs

SAME_SPEAKER = 0.5
"""Extra weight of frames shared by turns of the same speaker when old and new turns are matched."""


class Stretch(NamedTuple):
    """Frames of one speaker without a pause."""

    start: int
    """First global frame."""
    end: int
    """One past the last."""
    speaker: int
    """Number of the speaker."""


@dataclass(slots=True)
class _Turn:
    number: int
    revision: int
    at: Stretch
    span: Span


class TurnTracker:
    """Turns that are not final, and the frame before which nothing changes."""

    def __init__(self) -> None:
        self.frozen = 0
        """Global frame before which nothing changes."""
        self._cut: tuple[int, int] | None = None  # where everything ended last: global frame, and sample
        self._open: list[_Turn] = []
        self._last = 0

    @property
    def until(self) -> int:
        """Sample before which nothing changes."""
        if self._cut is not None and self._cut[0] == self.frozen:
            return self._cut[1]
        return frame_to_sample(self.frozen) if self.frozen else 0

    @property
    def carried(self) -> set[int]:
        """Speakers of turns that began behind the watermark and are not final."""
        return {turn.at.speaker for turn in self._open if turn.at.start < self.frozen}

    def push(self, shown: Shown, frozen: int, limit: int, *, ends: bool = False) -> list[TurnEvent]:
        """Compare with what was shown before, then let frames before `frozen` be final.

        shown: frames from the old `self.frozen` on; limit: sample no turn reaches past; ends: every turn ends for
        good, those that reach `limit` too, and what follows begins there.
        """
        events: list[TurnEvent] = []
        new = self._stretches(shown)
        pairs = self._match(new)
        kept: list[_Turn] = []
        for index, turn in enumerate(self._open):
            if index not in pairs:
                if turn.at.start < self.frozen:  # began behind the watermark, nothing of it in front
                    ended = Stretch(turn.at.start, self.frozen, turn.at.speaker)
                    events.append(self._final(turn, ended, limit))
                else:
                    events.append(TurnRetracted(turn.number, turn.revision + 1))
        owner = {where: index for index, where in pairs.items()}
        for where, stretch in enumerate(new):
            span = self._span(stretch, limit)
            if span is None:
                if where in owner:
                    turn = self._open[owner[where]]
                    events.append(TurnRetracted(turn.number, turn.revision + 1))
                continue
            if where in owner:
                turn = self._open[owner[where]]
            else:
                self._last += 1
                turn = _Turn(self._last, 1, stretch, span)
                events.append(TurnStarted(turn.number, 1, stretch.speaker, span))
            if ends or stretch.end < frozen:
                events.append(self._final(turn, stretch, limit))
                continue
            if stretch.speaker != turn.at.speaker:
                turn.revision += 1
                was = turn.at.speaker
                events.append(TurnRelabelled(turn.number, turn.revision, was, stretch.speaker, span))
            elif span != turn.span:
                turn.revision += 1
                events.append(TurnRevised(turn.number, turn.revision, stretch.speaker, span))
            turn.at, turn.span = stretch, span
            kept.append(turn)
        self._open = sorted(kept, key=lambda turn: turn.at)
        self.frozen = max(self.frozen, frozen)
        if ends:
            self._cut = self.frozen, limit
        return events

    def _final(self, turn: _Turn, stretch: Stretch, limit: int) -> TurnFinal:
        span = self._span(stretch, limit)
        assert span is not None
        return TurnFinal(turn.number, turn.revision + 1, stretch.speaker, span)

    def _span(self, stretch: Stretch, limit: int) -> Span | None:
        """Samples of a stretch; None where nothing of it lies before `limit`."""
        start, end = frame_to_sample(stretch.start), min(frame_to_sample(stretch.end), limit)
        if self._cut is not None and stretch.start == self._cut[0]:
            start = self._cut[1]  # without a gap after what ended there
        return Span(start, end) if start < end else None

    def _stretches(self, shown: Shown) -> list[Stretch]:
        """Stretches from the watermark on; those that continue a turn from behind it begin where that turn did."""
        crossing = {turn.at.speaker: turn.at.start for turn in self._open if turn.at.start < self.frozen}
        out = []
        numbers = shown.numbers.tolist()
        for column, low, high in column_runs(shown.matrix):
            number, start = numbers[column], low + shown.start
            if start == self.frozen:
                start = crossing.get(number, start)
            out.append(Stretch(start, high + shown.start, number))
        return sorted(out)

    def _match(self, new: list[Stretch]) -> dict[int, int]:
        """Open turn -> stretch: what began behind the watermark goes on; the rest by most frames in common."""
        pairs: dict[int, int] = {}
        for index, turn in enumerate(self._open):
            if turn.at.start < self.frozen:
                for where, stretch in enumerate(new):
                    if stretch.start == turn.at.start and stretch.speaker == turn.at.speaker:
                        pairs[index] = where
        old = [i for i, turn in enumerate(self._open) if turn.at.start >= self.frozen]
        free = [w for w in range(len(new)) if w not in pairs.values() and new[w].start >= self.frozen]
        if old and free:
            for first, second in _most_in_common([self._open[i].at for i in old], [new[w] for w in free]):
                pairs[old[first]] = free[second]
        return pairs

    def state(self) -> dict[str, object]:
        """Plain values for a snapshot."""
        turns = [
            [t.number, t.revision, t.at.start, t.at.end, t.at.speaker, t.span.start, t.span.end] for t in self._open
        ]
        return {"frozen": self.frozen, "cut": self._cut, "last": self._last, "open": turns}

    def restore(self, state: dict[str, object]) -> None:
        """Take over what `state` saved."""
        frozen, cut, last, turns = state["frozen"], state["cut"], state["last"], state["open"]
        assert isinstance(frozen, int) and isinstance(last, int) and isinstance(turns, list)
        assert cut is None or isinstance(cut, list)
        self.frozen, self._last = frozen, last
        self._cut = (cut[0], cut[1]) if cut else None
        self._open = [_Turn(n, r, Stretch(a, b, s), Span(c, d)) for n, r, a, b, s, c, d in turns]


def _most_in_common(old: list[Stretch], new: list[Stretch]) -> list[tuple[int, int]]:
    """Pairs of old and new stretches, both sorted, that share frames: those that share most of them in all.

    A frame counts more where the speaker is the same.
    """
    gains: list[tuple[int, int, float]] = []
    chosen: dict[int, int] = {}  # what each old one shares most with
    tied = False
    for first, (start, end, speaker) in enumerate(old):
        most = 0.0
        for second, (begin, stop, other) in enumerate(new):
            if begin >= end:
                break
            if stop <= start:
                continue
            gain = (min(end, stop) - max(start, begin)) * (1.0 + SAME_SPEAKER * (speaker == other))
            gains.append((first, second, gain))
            if gain > most:
                chosen[first], most = second, gain
            elif gain == most:
                tied = True
    if not tied and len(set(chosen.values())) == len(chosen):
        return list(chosen.items())  # nobody has to do with less
    shared = np.zeros((len(old), len(new)))
    for first, second, gain in gains:
        shared[first, second] = gain
    pairs = zip(*linear_sum_assignment(shared, maximize=True), strict=True)
    return [(int(first), int(second)) for first, second in pairs if shared[first, second] > 0]
