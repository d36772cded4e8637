"""Airtime, speech, overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_stream.cli.summary import depth, summarize
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, Turn


def result(*turns: tuple[float, float, str], seconds: float) -> Diarization:
    spans = [Turn(Span(round(a * SAMPLE_RATE), round(b * SAMPLE_RATE)), speaker) for a, b, speaker in turns]
    return Diarization.from_turns(spans, samples=round(seconds * SAMPLE_RATE))


def test_by_hand() -> None:
    summary = summarize(result((0, 6, "A"), (4, 8, "B"), (9, 10, "A"), seconds=20))
    first, second = summary.speakers
    assert (first.speaker, first.seconds, first.turns, first.longest) == ("A", 7.0, 2, 6.0)
    assert (second.speaker, second.seconds, second.turns, second.longest) == ("B", 4.0, 1, 4.0)
    assert first.share == pytest.approx(7 / 11)
    assert (summary.duration, summary.speech, summary.overlap, summary.silence) == (20.0, 9.0, 2.0, 11.0)


def test_exclusive_has_no_overlap() -> None:
    summary = summarize(result((0, 6, "A"), (4, 8, "B"), seconds=20), exclusive=True)
    assert summary.overlap == 0
    assert sum(row.seconds for row in summary.speakers) == summary.speech == 8.0


def test_nothing_said() -> None:
    summary = summarize(result(seconds=5))
    assert summary.speakers == ()
    assert (summary.speech, summary.overlap, summary.silence) == (0.0, 0.0, 5.0)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=5), max_size=4),
)
def test_depth_equals_counting(everybody: list[list[tuple[int, int]]]) -> None:
    speakers = []
    for pieces in everybody:
        spans, at = [], 0
        for gap, length in pieces:
            spans.append(Span(at + gap, at + gap + length))
            at += gap + length
        speakers.append(spans)
    counts = [sum(s.start <= t < s.end for spans in speakers for s in spans) for t in range(400)]
    assert depth(speakers) == (sum(c >= 1 for c in counts), sum(c >= 2 for c in counts))
