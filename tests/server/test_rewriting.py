"""Final turns that keep their speaker: merges are not told, later turns are told as merged."""

from __future__ import annotations

from speakrs_server.rewriting import Merging
from speakrs_stream.core.events import SpeakerMerged, SpeakerNamed, TurnFinal, TurnRetracted, TurnStarted, Watermark
from speakrs_stream.core.grid import Span

HERE = Span(0, 160)


def test_what_is_told_after_a_merge() -> None:
    merging = Merging({9: 8})
    told = merging.push(
        [
            TurnFinal(1, 2, 3, HERE),
            SpeakerMerged(3, 2),
            TurnStarted(2, 1, 3, HERE),
            TurnFinal(2, 2, 3, HERE),
            SpeakerMerged(2, 1),
            TurnFinal(3, 1, 3, HERE),
            TurnFinal(4, 1, 9, HERE),
            TurnRetracted(5, 1),
            SpeakerNamed(3, "Ann"),
            Watermark(160, 160),
        ]
    )
    assert told == [
        TurnFinal(1, 2, 3, HERE),
        TurnStarted(2, 1, 2, HERE),
        TurnFinal(2, 2, 2, HERE),
        TurnFinal(3, 1, 1, HERE),
        TurnFinal(4, 1, 8, HERE),
        TurnRetracted(5, 1),
        SpeakerNamed(3, "Ann"),
        Watermark(160, 160),
    ]
