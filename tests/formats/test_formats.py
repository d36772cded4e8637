from __future__ import annotations

import random
from pathlib import Path

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import ConfigError
from speakrs_stream.formats import FORMATS, format_of, read_rttm, render, write


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_every_result(
    name: str, meeting: Diarization, hostile: Diarization, nobody: Diarization
) -> None:
    for diarization in (meeting, hostile, nobody, Diarization("", 0, (), (), ())):
        for exclusive in (False, True):
            text = render(diarization, name, exclusive=exclusive)
            assert text == "" or text.endswith("\n")
            assert text == render(diarization, name, exclusive=exclusive)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"json", "uem"}))
def test_exclusive_changes_what_is_written(name: str, meeting: Diarization) -> None:
    assert render(meeting, name) != render(meeting, name, exclusive=True)


def test_a_file_name_that_was_not_utf_8_can_be_written(tmp_path: Path) -> None:
    odd = Diarization.from_turns([Turn(Span(0, 16_000), "caf\udce9")], uri="caf\udce9")
    for name, writer in FORMATS.items():
        path = odd.write(tmp_path / f"x{writer.suffix}", name)
        assert "caf" in path.read_bytes().decode("utf-8")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.rttm", "rttm"),
        ("a.b.TextGrid", "textgrid"),
        ("A.HTM", "html"),
        ("x.audacity.txt", "audacity"),
        ("x.txt", "txt"),
    ],
)
def test_the_suffix_tells_the_format(path: str, name: str) -> None:
    assert format_of(path) == name


def test_unknown_names_are_refused_with_a_list(meeting: Diarization, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"docx.*rttm"):
        render(meeting, "docx")
    with pytest.raises(ConfigError, match=r"use write\(\)"):
        render(meeting, "png")
    with pytest.raises(ConfigError, match="suffixes"):
        write(meeting, tmp_path / "x.docx")
    assert not list(tmp_path.iterdir())


def test_write_gives_the_bytes_that_render_gives(meeting: Diarization, tmp_path: Path) -> None:
    path = write(meeting, tmp_path / "x.csv")
    assert path.read_bytes() == render(meeting, "csv").encode()
    assert write(meeting, tmp_path / "y", "RTTM").read_text() == render(meeting, "rttm")


def test_rttm_to_json_and_back_keeps_every_turn() -> None:
    rng = random.Random(5)
    for _ in range(50):
        turns = set()
        for _ in range(rng.randrange(1, 40)):
            start = rng.randrange(0, 10**8) * 16  # whole milliseconds, as RTTM has them
            turns.add(Turn(Span(start, start + 16 * rng.randrange(1, 10**5)), f"S{rng.randrange(4)}"))
        first = Diarization.from_turns(turns, uri="call-7")
        read = read_rttm(render(first, "rttm"))
        assert tuple(read["call-7"]) == first.turns
        second = Diarization.from_json(render(Diarization.from_turns(read["call-7"], uri="call-7"), "json"))
        assert second == first
        assert render(second, "rttm") == render(first, "rttm")
