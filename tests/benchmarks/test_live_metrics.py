"""Live metrics on a stream written by hand, where every figure can be said beforehand.

One number speaks from 0 s; at 5 s its turn is cut at 1.5 s and a second number takes over; at 6 s that was the first
one all along; at 8 s everything is final.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live_metrics import (
    Batch,
    continuity,
    count_error,
    fragmentation,
    masks,
    measure,
    replay,
    stitched,
    substituted,
)
from speakrs_stream.core.events import (
    Event,
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
from speakrs_stream.scoring import Labelled, merged

S = 16_000


def span(start: float, end: float) -> Span:
    return Span(round(start * S), round(end * S))


def batch(arrival: int, *events: Event, until: int = 0) -> Batch:
    """Events that arrived at `arrival` seconds, and a watermark."""
    return Batch(arrival * S, (*events, Watermark(until * S, arrival * S)))


STREAM = [
    batch(1, SpeakerCreated(1, S), TurnStarted(1, 1, 1, span(0.0, 1.0))),
    batch(2, TurnRevised(1, 2, 1, span(0.0, 2.0))),
    batch(
        5,
        SpeakerCreated(2, 5 * S),
        TurnRevised(1, 3, 1, span(0.0, 1.5)),
        TurnStarted(2, 1, 2, span(1.5, 5.0)),
        until=1,
    ),
    batch(6, TurnRelabelled(2, 2, 2, 1, span(1.5, 5.0)), until=1),
    batch(8, TurnRetracted(2, 3), TurnFinal(1, 4, 1, span(0.0, 5.0)), until=8),
]
REFERENCE = [Labelled(0.0, 5.0, "A")]


def test_picture_at_every_age() -> None:
    shown = stitched(STREAM, (0.5, 2.0, 10.0), 8 * S)
    young = merged(shown[0.5])
    assert [turn for turn in young if turn.speaker == "S1"] == [Labelled(0.5, 1.0, "S1"), Labelled(1.5, 2.0, "S1")]
    assert [turn for turn in young if turn.speaker == "S2"] == [Labelled(4.5, 5.0, "S2")]
    assert shown[10.0] == [Labelled(0.0, 5.0, "S1")]


def test_changes_are_booked() -> None:
    flips = replay(STREAM, 8 * S)
    # 0.5 s went from 1 to 2 at 5 s, 3.5 s back at 6 s; both were over 3 s old in part
    assert flips.erased == pytest.approx(4.0)
    assert flips.relabels == 2
    assert flips.post_final == 0.0
    assert set(flips.first[:200].tolist()) == {2}
    assert set(flips.first[200:500].tolist()) == {4}
    assert set(flips.now[:500].tolist()) == {2}
    assert flips.shown_at[[0, 150, 300, 600]].tolist() == [S, 2 * S, 5 * S, -1]
    assert flips.final_at[[50, 200, 799]].tolist() == [5 * S, 8 * S, 8 * S]


def test_whole_report() -> None:
    report = measure(STREAM, REFERENCE, [Labelled(0.0, 5.5, "SPEAKER_00")], 8 * S)
    assert report.by_age[10.0].der == 0.0
    assert report.by_age[0.5].missed == pytest.approx(0.5 + 0.5 + 2.5)
    assert report.by_age[0.5].confusion == pytest.approx(0.5)
    assert report.finalized.der == 0.0
    assert report.offline.der == pytest.approx(0.1)
    assert report.speech == pytest.approx(5.0)
    assert report.flipped_speaker == pytest.approx(3.0)
    assert report.flipped_activity == 0.0
    assert report.finalization[-1] == pytest.approx(7.0)  # 1 s became final at 8 s
    assert report.first_label[1] == pytest.approx(2.75, abs=0.02)
    assert (report.numbers_per_speaker, report.spurious, report.merges) == (1.0, 0.0, 0)


def test_a_change_behind_the_watermark_is_caught() -> None:
    broken = [*STREAM[:3], batch(7, TurnRelabelled(1, 4, 1, 2, span(0.0, 1.5)), until=1)]
    assert replay(broken, 8 * S).post_final == pytest.approx(1.0)


def test_merges_are_an_alias_not_a_change() -> None:
    stream = [
        batch(1, SpeakerCreated(1, S), TurnStarted(1, 1, 1, span(0.0, 1.0))),
        batch(3, SpeakerCreated(2, S), TurnStarted(2, 1, 2, span(1.0, 3.0)), TurnFinal(1, 2, 1, span(0, 1)), until=2),
        batch(4, SpeakerMerged(2, 1), TurnFinal(2, 2, 2, span(1.0, 3.0)), until=4),
    ]
    report = measure(stream, REFERENCE, [], 4 * S)
    assert (report.merges, report.post_final, report.erased, report.relabels) == (1, 0.0, 0.0, 0)
    assert report.numbers_per_speaker == 1.0
    assert report.by_age[1.0].confusion == pytest.approx(1.0)  # as emitted, it was somebody else


def test_returning_speaker_keeps_the_number_or_not() -> None:
    reference = [Labelled(0, 10, "A"), Labelled(20, 30, "B"), Labelled(400, 410, "A"), Labelled(800, 810, "B")]
    kept = [Labelled(0, 10, "S1"), Labelled(20, 30, "S2"), Labelled(400, 410, "S1"), Labelled(800, 810, "S3")]
    assert continuity(reference, kept) == (2, 1)
    assert continuity(reference[:2], kept) == (0, 0)


def test_small_measures() -> None:
    three = [Labelled(0, 4, "S1"), Labelled(4, 8, "S2"), Labelled(8, 8.5, "S3")]
    assert fragmentation([Labelled(0, 9, "A")], three) == 2  # half a second does not count
    assert count_error({0: 1, 1: 3}, [Labelled(0, 5, "A"), Labelled(70, 75, "B")]) == pytest.approx(0.5)
    before, after = np.array([1, 1, 3, 3], np.uint64), np.array([2, 1, 5, 1], np.uint64)
    assert substituted(before, after).tolist() == [1, 0, 1, 0]
    assert masks([(0, 320, 1), (160, 480, 2)], 0, 4).tolist() == [2, 6, 4, 0]
