"""What a listener saw, from hand-written events."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live_replay import Arrival, replay
from speakrs_stream.core.events import (
    SpeakerCreated,
    SpeakerMerged,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import Span
from speakrs_stream.scoring import Labelled

S = 16_000


def span(start: float, end: float) -> Span:
    return Span(round(start * S), round(end * S))


HISTORY: list[Arrival] = [
    (1 * S, SpeakerCreated(1, S)),
    (1 * S, TurnStarted(1, 1, 1, span(0.0, 1.0))),
    (1 * S, Watermark(0, 1 * S)),
    (2 * S, TurnRevised(1, 2, 1, span(0.0, 2.0))),
    (2 * S, Watermark(0, 2 * S)),
    (5 * S, SpeakerCreated(2, 5 * S)),
    (5 * S, TurnRevised(1, 3, 1, span(0.0, 1.5))),
    (5 * S, TurnStarted(2, 1, 2, span(1.5, 5.0))),
    (5 * S, Watermark(1 * S, 5 * S)),
    (6 * S, TurnRelabelled(2, 2, 2, 1, span(1.5, 5.0))),
    (6 * S, Watermark(1 * S, 6 * S)),
    (8 * S, TurnRetracted(2, 3)),
    (8 * S, TurnFinal(1, 4, 1, span(0.0, 5.0))),
    (8 * S, Watermark(8 * S, 8 * S)),
]


def test_screen_at_every_age() -> None:
    seen = replay(HISTORY, 8 * S, ages=(0.5, 2.0, 10.0))
    # at 0.5 s of age nothing of the first half second had come, and from 2 s on there was no update until 5 s
    assert seen.at_age[0.5] == [Labelled(0.5, 1.0, "S1"), Labelled(1.5, 2.0, "S1"), Labelled(4.5, 5.0, "S2")]
    assert seen.at_age[2.0] == [Labelled(0.0, 2.0, "S1"), Labelled(3.0, 4.0, "S2"), Labelled(4.0, 5.0, "S1")]
    assert seen.at_age[10.0] == seen.turns == [Labelled(0.0, 5.0, "S1")]
    assert np.flatnonzero(seen.final).tolist() == list(range(500))


def test_first_reports_and_changes() -> None:
    seen = replay(HISTORY, 8 * S)
    assert set(seen.first[:200].tolist()) == {1}
    assert set(seen.first[200:500].tolist()) == {2}
    assert set(seen.first[500:].tolist()) == {0}
    # at 5 s half a second went from 1 to 2; at 6 s 3.5 s went from 2 to 1; at 8 s nothing changed
    assert (seen.erased_speaker, seen.erased) == (50 + 350, 50 + 350)
    assert seen.relabels == 2
    assert seen.old_relabels == 2  # both had parts older than 3 s
    assert seen.behind == 0
    assert seen.speakers == 2


def test_clocks() -> None:
    seen = replay(HISTORY, 8 * S)
    assert seen.first_label[[0, 150, 300, 600]].tolist() == [S, 2 * S, 5 * S, -1]
    assert seen.settled[[50, 200, 799]].tolist() == [5 * S, 8 * S, 8 * S]
    assert seen.last_change[[50, 170, 300, 550]].tolist() == [S, 6 * S, 6 * S, 6 * S]
    assert seen.counts == [(S, 1), (2 * S, 1), (5 * S, 2), (6 * S, 1), (8 * S, 1)]


def test_changes_behind_the_watermark_are_caught() -> None:
    history = [*HISTORY[:9], (7 * S, TurnRelabelled(1, 4, 1, 2, span(0.0, 1.5)))]
    assert replay(history, 8 * S).behind == 100


def test_merges_rename_without_blame() -> None:
    history: list[Arrival] = [
        (1 * S, SpeakerCreated(1, S)),
        (1 * S, TurnStarted(1, 1, 1, span(0.0, 1.0))),
        (1 * S, Watermark(0, 1 * S)),
        (3 * S, SpeakerCreated(2, 3 * S)),
        (3 * S, TurnStarted(2, 1, 2, span(1.0, 3.0))),
        (3 * S, TurnFinal(1, 2, 1, span(0.0, 1.0))),
        (3 * S, Watermark(2 * S, 3 * S)),
        (4 * S, SpeakerMerged(2, 1)),
        (4 * S, TurnFinal(2, 2, 2, span(1.0, 3.0))),
        (4 * S, Watermark(4 * S, 4 * S)),
    ]
    seen = replay(history, 4 * S)
    assert seen.merged == {1: 0}
    assert seen.merged_frames == 200
    assert (seen.behind, seen.erased, seen.relabels) == (0, 0, 0)
    assert set(seen.final[:300].tolist()) == {1}
    assert set(seen.ever[100:300].tolist()) == {2}
    assert seen.turns == [Labelled(0.0, 3.0, "S1")]
    assert [count for _, count in seen.counts] == [1, 2, 1]


def test_reference_speakers_are_found() -> None:
    reference = np.zeros(800, np.uint64)
    reference[0:150], reference[150:500] = 1, 2
    seen = replay(HISTORY, 8 * S, reference=reference)
    assert seen.found == {(0, 0): S, (0, 1): 2 * S, (1, 1): 5 * S}


def test_nothing_heard() -> None:
    seen = replay([], 3 * S)
    assert seen.frames == 300
    assert not seen.final.any()
    assert replay([(0, Watermark(0, 0))], 0).frames == 0


def test_too_many_speakers_are_refused() -> None:
    history: list[Arrival] = [(S, TurnStarted(1, 1, 65, span(0.0, 1.0)))]
    with pytest.raises(ValueError, match="speaker 65"):
        replay(history, S)
