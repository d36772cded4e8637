from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from praatio import textgrid

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn, spans_by_speaker
from speakrs_stream.formats.textgrid import render


def parsed(diarization: Diarization, folder: Path) -> textgrid.Textgrid:
    path = folder / "x.TextGrid"
    path.write_text(render(diarization), encoding="utf-8")
    return textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")


def test_praat_readers_see_every_turn_and_no_gap(meeting: Diarization, hostile: Diarization, tmp_path: Path) -> None:
    for diarization in (meeting, hostile):
        grid = parsed(diarization, tmp_path)
        assert len(grid.tierNames) == len(diarization.speakers)
        for label, name in zip(diarization.labels, grid.tierNames, strict=True):
            entries = grid.getTier(name).entries
            assert entries[0].start == 0 and entries[-1].end == pytest.approx(diarization.duration)
            assert all(a.end == b.start for a, b in pairwise(entries))
            spoken = [(entry.start, entry.end) for entry in entries if entry.label]
            expected = [(s.start / 16_000, s.end / 16_000) for s in spans_by_speaker(diarization.turns)[label]]
            assert spoken == [pytest.approx(pair) for pair in expected]


def test_speakers_of_the_same_name_keep_tiers_of_their_own(tmp_path: Path) -> None:
    turns = [Turn(Span(0, 16_000), "a\tb"), Turn(Span(8_000, 32_000), "a b")]
    assert parsed(Diarization.from_turns(turns), tmp_path).tierNames == ("a b", "a b_2")


def test_a_result_without_turns_is_a_valid_file(nobody: Diarization, tmp_path: Path) -> None:
    assert parsed(nobody, tmp_path).tierNames == ("speech",)
    assert "xmax = 0.0000625" in render(Diarization("x", 0, (), (), ()))


def test_a_turn_past_the_end_stretches_the_grid(tmp_path: Path) -> None:
    late = Diarization.from_turns([Turn(Span(0, 32_000), "A")], samples=16_000)
    assert parsed(late, tmp_path).maxTimestamp == 2
