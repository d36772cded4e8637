"""`speakrs-stream airtime`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]
    Make = Callable[..., Path]

RTTM = """SPEAKER talk 1 0.000 6.000 <NA> <NA> alice <NA> <NA>
SPEAKER talk 1 4.000 4.000 <NA> <NA> bob <NA> <NA>
SPEAKER talk 1 70.000 2.500 <NA> <NA> alice <NA> <NA>
"""


def test_of_an_rttm(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.rttm").write_text(RTTM)
    done = speakrs("airtime", "talk.rttm")
    assert done.status == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["speaker", "airtime", "share", "turns", "longest"]
    assert lines[2] == ["alice", "0:08.5", "68%", "2", "6.0", "s"]
    assert lines[3] == ["bob", "0:04.0", "32%", "1", "4.0", "s"]
    assert done.out.splitlines()[-1] == "1:12 long, 0:10 of speech, 0:02 of it overlapped, 1:02 of silence"
    assert done.engines == []


def test_as_json_with_overlap_for_one_only(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.rttm").write_text(RTTM + RTTM.replace("talk", "other"))
    done = speakrs("airtime", "--json", "--exclusive", "talk.rttm")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert (first["uri"], second["uri"]) == ("talk", "other")
    assert [(row["speaker"], row["seconds"]) for row in first["speakers"]] == [("alice", 8.5), ("bob", 2.0)]
    assert first["overlap"] == 0


def test_of_a_result_and_of_audio(speakrs: Run, recording: Callable[..., Path]) -> None:
    recording("a.wav")
    assert speakrs("diarize", "a.wav", "-f", "json", "-q").status == 0
    from_json, from_audio = speakrs("airtime", "a.json"), speakrs("airtime", "a.wav")
    assert from_json.out == from_audio.out
    assert from_json.engines == [] and len(from_audio.engines) == 1


def test_what_cannot_be_read(speakrs: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.rttm").write_text("SPEAKER talk\n")
    (tmp_path / "bad.json").write_text('{"words": []}')
    (tmp_path / "bad.wav").write_text("no sound")
    for name in ("bad.rttm", "bad.json", "bad.wav", "missing.rttm", "missing.json"):
        done = speakrs("airtime", name)
        assert done.status == 1
        assert done.out == "" and done.err.count("\n") == 1 and name in done.err
