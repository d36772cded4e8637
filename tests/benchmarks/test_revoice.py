"""Meetings spoken by other voices: true to their reference, and the same for the same seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.references import read_rttm, rttm_text
from benchmarks.revoice import RevoiceConfig, busiest, cast, revoice, speak
from benchmarks.voices import Voice
from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled
from tests.benchmarks.material import speech, write_voice

TURNS = [
    Labelled(1.0, 3.0, "A"),
    Labelled(2.5, 5.0, "B"),
    Labelled(7.0, 9.0, "A"),
    Labelled(20.0, 26.0, "B"),
    Labelled(26.5, 30.0, "A"),
    Labelled(29.0, 31.0, "C"),
]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with one RTTM and a folder with three voices."""
    (tmp_path / "rttm").mkdir()
    (tmp_path / "rttm" / "talk.rttm").write_text(rttm_text("talk", TURNS))
    for speaker in ("11", "12", "13"):
        write_voice(tmp_path / "voices" / speaker, speaker, 3.0)
    return tmp_path / "rttm", tmp_path / "voices"


def test_speech_is_where_the_reference_says() -> None:
    voices = {name: Voice(name, (speech(2.0, seed=seed),)) for seed, name in enumerate("ABC")}
    audio = speak(TURNS, voices, np.random.default_rng(2), seconds=32.0, min_snr=40.0, max_snr=40.0)
    assert len(audio) == 32 * 16_000
    assert np.max(np.abs(audio)) <= 0.8 + 1e-6
    level = 10 * np.log10(np.mean(audio.reshape(-1, 800) ** 2, axis=1))  # 50 ms
    spoken = np.zeros(len(level), bool)
    echo = np.zeros(len(level), bool)
    for turn in TURNS:
        spoken[round(turn.start * 20) : round(turn.end * 20)] = True
        echo[round(turn.start * 20) : round((turn.end + 0.6) * 20)] = True
    assert level[spoken].min() > level[~echo].max() + 10


def test_busiest_stretch_starts_at_zero() -> None:
    assert busiest(TURNS, 11.0) == [
        Labelled(0.0, 6.0, "B"),
        Labelled(6.5, 10.0, "A"),
        Labelled(9.0, 11.0, "C"),
    ]
    assert busiest(TURNS, 100.0) == TURNS


def test_every_speaker_gets_a_voice_of_his_own() -> None:
    rng = np.random.default_rng(0)
    assert cast("abc", ["1", "2"], rng) is None
    chosen = cast("abc", ["1", "2"], rng, copies=True)
    assert chosen is not None
    assert len(set(chosen.values())) == 3
    assert sorted(voice for voice, speed in chosen.values() if speed == 1.0) == ["1", "2"]


def test_command_writes_pairs_that_repeat(folders: tuple[Path, Path], tmp_path: Path) -> None:
    def run(out: str, *extra: str) -> str:
        arguments = ["revoice", str(tmp_path / out), "--rttm", str(folders[0]), "--voices", str(folders[1]), *extra]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return hashlib.sha256((tmp_path / out / "talk.flac").read_bytes()).hexdigest()

    first = run("one")
    assert run("two") == first
    assert run("three", "--seed", "1") != first
    assert soundfile.info(tmp_path / "one" / "talk.flac").frames == 32 * 16_000
    assert read_rttm(tmp_path / "one" / "talk.rttm") == {"talk": TURNS}
    run("short", "--max-seconds", "11")
    assert soundfile.info(tmp_path / "short" / "talk.flac").frames == 11 * 16_000


def test_too_few_voices_is_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lines: list[str] = []
    rttm, voices = folders
    assert revoice(tmp_path / "o", rttm, voices, RevoiceConfig(), speakers=["11", "13"], report=lines.append) == []
    assert lines == ["talk: skipped, 3 speakers but 2 voices (copies of voices can be allowed)"]
    made = revoice(tmp_path / "o", rttm, voices, RevoiceConfig(copies=True), speakers=["11", "13"])
    assert made == ["talk"]


def test_without_rttm_there_is_nothing_to_do(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no \.rttm"):
        revoice(tmp_path / "o", folders[1], folders[1], RevoiceConfig())
    result = CliRunner().invoke(
        main, ["revoice", str(tmp_path / "o"), "--rttm", str(folders[0]), "--voices", str(folders[0])]
    )
    assert result.exit_code == 2
    assert "holds no SPEAKER" in result.output
