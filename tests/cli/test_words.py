"""`speakrs-stream words assign`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]
    Make = Callable[..., Path]

RTTM = """SPEAKER talk 1 0.000 1.000 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER talk 1 1.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>
"""

TRANSCRIPT = {
    "segments": [
        {
            "start": 0.1,
            "end": 9.5,
            "text": " Yes. No. Well.",
            "words": [
                {"word": " Yes.", "start": 0.1, "end": 0.6},
                {"word": " No.", "start": 1.2, "end": 1.6},
                {"word": " Well.", "start": 9.0, "end": 9.5},
            ],
        }
    ]
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a transcript and who spoke."""
    (tmp_path / "talk.json").write_text(json.dumps(TRANSCRIPT))
    (tmp_path / "talk.rttm").write_text(RTTM)
    (tmp_path / "empty.json").write_text("{}")
    return tmp_path


def test_the_transcript_comes_back_with_speakers(speakrs: Run, files: Path) -> None:
    done = speakrs("words", "assign", "talk.json", "talk.rttm")
    assert done.status == 0
    words = json.loads(done.out)["segments"][0]["words"]
    assert [word["speaker"] for word in words] == ["SPEAKER_00", "SPEAKER_01", "UNKNOWN"]
    assert done.err == "talk.json: 3 words, 1 of them of nobody known\n"
    assert done.engines == []


def test_names_formats_and_files(speakrs: Run, files: Path) -> None:
    done = speakrs(
        *("words", "assign", "talk.json", "talk.rttm", "--to", "txt", "-o", "out.txt", "-q"),
        *("--name", "SPEAKER_00=Ann Lee", "--name", "SPEAKER_01=Bo", "--max-gap", "8"),
    )
    assert (done.status, done.out, done.err) == (0, "", "")
    text = (files / "out.txt").read_text()
    assert "Ann Lee" in text and "Bo" in text and "SPEAKER" not in text and "UNKNOWN" not in text


def test_with_audio_it_is_diarized_first(speakrs: Run, files: Path, recording: Make) -> None:
    done = speakrs("words", "assign", "talk.json", "--audio", recording("talk.wav"), "--to", "srt")
    assert done.status == 0
    assert "SPEAKER_00" in done.out and len(done.engines) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["talk.json"], 2, "either an RTTM"),
        (["talk.json", "talk.rttm", "--audio", "talk.wav"], 2, "either an RTTM"),
        (["talk.json", "talk.rttm", "--to", "doc"], 2, "no format 'doc'"),
        (["talk.json", "talk.rttm", "--from", "doc"], 2, "no format 'doc'"),
        (["talk.json", "talk.rttm", "--name", "SPEAKER_00"], 2, "LABEL=NAME"),
        (["talk.json", "talk.rttm", "--name", "x=Bo"], 1, "no speaker is called x"),
        (["talk.json", "talk.rttm", "--max-gap", "-1"], 2, "not in the range"),
        (["missing.json", "talk.rttm"], 1, "missing.json"),
        (["talk.json", "missing.rttm"], 1, "missing.rttm"),
        (["empty.json", "talk.rttm"], 1, "empty.json"),
        (["talk.json", "talk.rttm", "-o", "nowhere/x.json"], 1, "cannot write"),
    ],
)
def test_what_goes_wrong(speakrs: Run, files: Path, arguments: list[str], status: int, said: str) -> None:
    done = speakrs("words", "assign", *arguments)
    assert (done.status, done.out) == (status, "")
    assert said in done.err and "Traceback" not in done.err
