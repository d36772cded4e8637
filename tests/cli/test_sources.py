"""Results from RTTM, JSON or audio."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from speakrs_stream.cli.options import SpeakerCount
from speakrs_stream.cli.shell import EngineChoice, Shell
from speakrs_stream.cli.sources import expected_samples, listed, one_result, results_of
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import BadFormat, FormatError


def read(path: Path) -> list[Diarization]:
    return results_of(Shell(), path, EngineChoice(), SpeakerCount())


def test_suffixes_are_read_whatever_their_case(tmp_path: Path) -> None:
    result = Diarization.from_turns([Turn(Span(0, 16_000), "a")], uri="talk")
    result.write(tmp_path / "x.RTTM")
    result.write(tmp_path / "x.JSON")
    assert read(tmp_path / "x.RTTM")[0].turns == result.turns
    assert read(tmp_path / "x.JSON")[0] == result


def test_what_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_text("no sound")
    with pytest.raises(BadFormat):
        read(path)
    with pytest.raises(BadFormat):
        expected_samples(tmp_path)


def test_choosing_one() -> None:
    one, two = (Diarization.from_turns([], uri=uri) for uri in ("one", "two"))
    assert one_result([one], Path("x"), None) is one
    assert one_result([one, two], Path("x"), "two") is two
    with pytest.raises(click.UsageError, match="one, two"):
        one_result([one, two], Path("x"), None)
    with pytest.raises(click.UsageError, match="no recording 'three'"):
        one_result([one, two], Path("x"), "three")
    with pytest.raises(FormatError, match="no turns"):
        one_result([], Path("x"), None)


def test_long_lists_are_cut() -> None:
    assert listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed([]) == "none"
