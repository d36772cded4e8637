"""`speakrs-stream demo`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speakrs_stream.cli.demo import by_first_word, coloured, error_rate, reference_turns, scored
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.palette import colours

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]
    Make = Callable[..., Path]


def test_the_bundled_recording(speakrs: Run, tmp_path: Path) -> None:
    done = speakrs("demo")
    assert done.status == 0, done.err
    assert "meeting:" in done.out and "█" in done.out and "SPEAKER_00" in done.out
    assert "DER " in done.out and "confusion" in done.out
    assert "Took " in done.out and "(bundle stand-in, stand-in)" in done.out
    assert sorted(os.listdir(tmp_path / "demo-output")) == ["meeting.html", "meeting.rttm"]


def test_a_file_of_ones_own_has_no_error_rate_without_a_reference(
    speakrs: Run, recording: Make, tmp_path: Path
) -> None:
    done = speakrs("demo", recording("a.wav", 4.0), "-d", "elsewhere")
    assert done.status == 0
    assert "DER" not in done.out
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["a.html", "a.rttm"]


def test_a_reference_of_ones_own(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    recording("a.wav", 4.0)
    truth = tmp_path / "truth.rttm"
    truth.write_text("SPEAKER a 1 0.000 4.000 <NA> <NA> alice <NA> <NA>\n")
    done = speakrs("demo", "a.wav", "--reference", truth)
    assert "DER 50.0% against the reference, no collar, overlap included: " in done.out
    assert "missed 0.0%, false alarm 0.0%, confusion 50.0%." in done.out


def test_what_goes_wrong_is_told_before_the_work(speakrs: Run, recording: Make, tmp_path: Path) -> None:
    recording("a.wav")
    (tmp_path / "two.rttm").write_text("".join(f"SPEAKER {u} 1 0 1 <NA> <NA> s <NA> <NA>\n" for u in "xy"))
    (tmp_path / "file").write_text("")
    for arguments, status in [
        (["missing.wav"], 1),
        (["a.wav", "--reference", "two.rttm"], 1),
        (["a.wav", "--reference", "missing.rttm"], 1),
        (["a.wav", "-d", "file/deep"], 1),
        (["--reference", "two.rttm"], 2),
    ]:
        done = speakrs("demo", *arguments)
        assert done.status == status, done
        assert done.out == "" and done.engines == [] and "Traceback" not in done.err


def test_speakers_have_colours_of_their_own() -> None:
    turns = [Turn(Span(i * 16_000, (i + 1) * 16_000), f"S{i}") for i in range(5)]
    result = Diarization.from_turns(turns)
    lines = coloured(result, 60, colours(by_first_word(result)))
    styles = [str(line.spans[0].style) for line in lines[:5]]
    assert len(set(styles)) == 5


def test_the_reference_is_found_by_name_or_by_being_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.rttm"
    path.write_text("SPEAKER x 1 0 1 <NA> <NA> s <NA> <NA>\nSPEAKER y 1 0 2 <NA> <NA> s <NA> <NA>\n")
    assert reference_turns(path, "y")[0].end == 2
    with pytest.raises(FormatError, match="none is called z"):
        reference_turns(path, "z")
    path.write_text("SPEAKER x 1 0 1 <NA> <NA> s <NA> <NA>\n")
    assert reference_turns(path, "z")[0].end == 1


def test_the_error_rate_in_words() -> None:
    truth = [Turn(Span(0, 160_000), "a")]
    found = Diarization.from_turns([Turn(Span(16_000, 176_000), "x")], samples=176_000)
    assert error_rate(scored(found, truth)) == (
        "DER 20.0% against the reference, no collar, overlap included: missed 10.0%, false alarm 10.0%, confusion 0.0%."
    )
