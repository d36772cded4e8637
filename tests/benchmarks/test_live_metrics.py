"""Live metrics on a stream written by hand, where every figure can be said beforehand.

One number speaks from 0 s; at 5 s its turn is cut at 1.5 s and a second number takes over; at 6 s that was the first
one all along; at 8 s everything is final.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live_metrics import RANGES, in_ranges, tally
from benchmarks.live_replay import Arrival
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
from speakrs_stream.scoring import Labelled, score

S = 16_000


def span(start: float, end: float) -> Span:
    return Span(round(start * S), round(end * S))


def batch(arrival: int, *events: Event, until: int = 0) -> list[Arrival]:
    """Events that arrived at `arrival` seconds, and a watermark."""
    return [(arrival * S, event) for event in (*events, Watermark(until * S, arrival * S))]


STREAM = [
    *batch(1, SpeakerCreated(1, S), TurnStarted(1, 1, 1, span(0.0, 1.0))),
    *batch(2, TurnRevised(1, 2, 1, span(0.0, 2.0))),
    *batch(
        5,
        SpeakerCreated(2, 5 * S),
        TurnRevised(1, 3, 1, span(0.0, 1.5)),
        TurnStarted(2, 1, 2, span(1.5, 5.0)),
        until=1,
    ),
    *batch(6, TurnRelabelled(2, 2, 2, 1, span(1.5, 5.0)), until=1),
    *batch(8, TurnRetracted(2, 3), TurnFinal(1, 4, 1, span(0.0, 5.0)), until=8),
]
REFERENCE = [Labelled(0.0, 5.0, "A")]


def test_figures_of_a_stream() -> None:
    result = tally(STREAM, REFERENCE, 8 * S, offline=[Labelled(0.0, 5.5, "SPEAKER_00")])
    der = {name: parts["all"] for name, parts in result.der.items()}
    assert der["10"].der == der["final"].der == 0.0
    assert der["0.5"].missed == pytest.approx(0.5 + 0.5 + 2.5)
    assert der["0.5"].confusion == pytest.approx(0.5)
    assert der["offline"].der == pytest.approx(0.1)
    assert [result.seconds, result.speech] == pytest.approx([8.0, 5.0])
    # first said 2 from 2 s to 5 s, 1 in the end
    assert result.flips["all"] == pytest.approx([3.0, 3.0, 0.0, 5.0])
    assert result.flips["2+ min"] == pytest.approx([0.0, 0.0, 0.0, 0.0])
    # 0.5 s went from 1 to 2 at 5 s, 3.5 s back at 6 s; both were over 3 s old in part
    assert [result.erased, result.erased_speaker] == pytest.approx([4.0, 4.0])
    assert (result.relabels, result.old_relabels, result.merges, result.behind) == (2, 2, 0, 0.0)
    assert result.fragments == result.mergers == (500.0, 500.0)
    assert result.spurious == pytest.approx(3.5)  # what stood under number 2


def test_clocks_of_a_stream() -> None:
    result = tally(STREAM, REFERENCE, 8 * S)
    assert "offline" not in result.der
    first, settled, stable = (
        np.concatenate(parts) for parts in (result.first_label, result.finalization, result.stable)
    )
    assert len(first) == len(settled) == len(stable) == 500
    assert first.max() == pytest.approx(2.995)  # what was said at 2 s was shown at 5 s
    assert settled.max() == pytest.approx(6.995)  # what was said at 1 s became final at 8 s
    assert stable.max() == pytest.approx(4.495)  # what was said at 1.5 s last changed at 6 s
    assert result.count_error == {0: [0, 0, 1, 0, 0]}
    assert (result.newcomers, result.missed_newcomers) == ([0.0], 0)


def test_a_late_newcomer() -> None:
    """B speaks from 1.5 s on and has 2 s of speech at 3.5 s; its number is shown on it at 5 s."""
    reference = [Labelled(0.0, 1.5, "A"), Labelled(1.5, 5.0, "B")]
    stays = [arrival for arrival in STREAM if arrival[0] <= 5 * S]
    result = tally(stays, reference, 8 * S)
    assert result.newcomers == [pytest.approx(1.5)]
    assert result.missed_newcomers == 0
    two = [Labelled(0.0, 2.4, "A"), Labelled(2.4, 5.0, "B")]
    assert tally(STREAM, two, 8 * S).missed_newcomers == 1  # in the end there is one number for both


def test_a_change_behind_the_watermark_is_caught() -> None:
    early = [arrival for arrival in STREAM if arrival[0] <= 5 * S]
    broken = [*early, *batch(7, TurnRelabelled(1, 4, 1, 2, span(0.0, 1.5)), until=1)]
    assert tally(broken, REFERENCE, 8 * S).behind == pytest.approx(1.0)
    assert tally(early, REFERENCE, 8 * S).behind == 0.0


def test_merges_are_an_alias_but_the_label_was_shown() -> None:
    stream = [
        *batch(1, SpeakerCreated(1, S), TurnStarted(1, 1, 1, span(0.0, 1.0))),
        *batch(3, SpeakerCreated(2, S), TurnStarted(2, 1, 2, span(1.0, 3.0)), TurnFinal(1, 2, 1, span(0, 1)), until=2),
        *batch(4, SpeakerMerged(2, 1), TurnFinal(2, 2, 2, span(1.0, 3.0)), until=4),
    ]
    result = tally(stream, REFERENCE, 4 * S)
    assert [result.merges, result.merged, result.behind] == pytest.approx([1, 2.0, 0.0])
    assert (result.erased, result.relabels) == (0.0, 0)
    assert result.flips["all"] == pytest.approx([2.0, 0.0, 0.0, 3.0])
    assert result.der["1"]["all"].confusion == pytest.approx(1.0)  # as shown, it was somebody else
    assert result.der["final"]["all"].confusion == 0.0


def shown(*turns: Labelled) -> list[Arrival]:
    """A stream that shows each turn at its end and never corrects itself."""
    numbers = sorted({turn.speaker for turn in turns})
    found: list[Arrival] = []
    for index, turn in enumerate(turns, start=1):
        at, number = round(turn.end), numbers.index(turn.speaker) + 1
        if all(turn.speaker != before.speaker for before in turns[: index - 1]):
            found.append((at * S, SpeakerCreated(number, at * S)))
        found += batch(at, TurnStarted(index, 1, number, span(turn.start, turn.end)))
    return found


def test_returning_speakers_keep_the_number_or_not() -> None:
    reference = [Labelled(0, 10, "A"), Labelled(20, 30, "B"), Labelled(400, 410, "A"), Labelled(800, 810, "B")]
    stream = shown(Labelled(0, 10, "S1"), Labelled(20, 30, "S2"), Labelled(400, 410, "S1"), Labelled(800, 810, "S3"))
    result = tally(stream, reference, 820 * S)
    assert result.returns == {2: (1, 2), 5: (1, 2), 10: (0, 1)}
    assert tally(stream, reference[:2], 820 * S).returns == {2: (0, 0), 5: (0, 0), 10: (0, 0)}


def test_numbers_per_speaker() -> None:
    stream = shown(Labelled(0, 10, "S1"), Labelled(10, 20, "S2"), Labelled(20, 20.5, "S3"))
    result = tally(stream, [Labelled(0, 21, "A")], 21 * S)
    assert result.fragments[0] / result.fragments[1] == pytest.approx(2.0)  # half a second is under 5 %


def test_ranges_share_one_mapping_and_add_up() -> None:
    generator = np.random.default_rng(3)

    def turns(names: str) -> list[Labelled]:
        starts = np.sort(generator.uniform(0, 600, 80))
        speakers = generator.choice(list(names), 80)
        return [
            Labelled(round(float(start), 3), round(float(start + length), 3), str(speaker))
            for start, length, speaker in zip(starts, generator.uniform(1, 9, 80), speakers, strict=True)
        ]

    reference, hypothesis = turns("ABC"), turns("xyzw")
    parts = in_ranges(reference, hypothesis)
    assert list(parts) == list(RANGES)
    whole = parts["all"]
    assert whole == score(reference, hypothesis)
    for pieces in (("0-1 min", "1+ min"), ("0-1 min", "1-5 min", "5+ min")):
        for part in ("total", "missed", "false_alarm", "confusion"):
            assert sum(getattr(parts[piece], part) for piece in pieces) == pytest.approx(getattr(whole, part))
