"""Voices: pauses out, phrases read in order, speakers chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.voices import Reader, Voice, faded, find_voices, load_voice, speech_runs
from speakrs_stream.errors import BadFormat, ConfigError
from tests.benchmarks.material import speech, write_voice

RATE = 16_000


def test_pauses_are_found() -> None:
    """0.5 s quiet, 1 s speech, 0.4 s quiet, 0.8 s speech, 0.3 s quiet."""
    sound = np.concatenate([np.zeros(8_000), speech(1.0), np.zeros(6_400), speech(0.8), np.zeros(4_800)])
    noisy = (sound + np.random.default_rng(0).normal(0, 1e-3, len(sound))).astype(np.float32)
    runs = np.array(speech_runs(noisy)) / RATE
    assert runs == pytest.approx(np.array([[0.5, 1.5], [1.9, 2.7]]), abs=0.06)


def test_nothing_is_found_in_silence_or_a_click() -> None:
    assert speech_runs(np.zeros(RATE, np.float32)) == []
    assert speech_runs(np.ones(100, np.float32)) == []


def test_voice_has_a_common_level(tmp_path: Path) -> None:
    write_voice(tmp_path, "12", 2.0, level=0.01)
    voice = load_voice("12", sorted(tmp_path.glob("*.flac")))
    together = np.concatenate(voice.phrases)
    assert np.sqrt(np.mean(together**2)) == pytest.approx(0.05, rel=0.01)
    assert 1.5 < voice.seconds < 2.1


def test_faster_copies_are_shorter(tmp_path: Path) -> None:
    write_voice(tmp_path, "12", 2.0)
    paths = sorted(tmp_path.glob("*.flac"))
    assert load_voice("12", paths, speed=1.25).seconds == pytest.approx(
        load_voice("12", paths).seconds / 1.25, rel=0.06
    )


def test_a_silent_or_broken_voice_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "1-1-1.flac", np.zeros(RATE), RATE)
    with pytest.raises(BadFormat, match="no speech"):
        load_voice("1", [tmp_path / "1-1-1.flac"])
    (tmp_path / "2-1-1.flac").write_text("not audio")
    with pytest.raises(BadFormat, match=r"2-1-1\.flac"):
        load_voice("2", [tmp_path / "2-1-1.flac"])


def test_reader_goes_on_where_it_stopped_and_starts_over() -> None:
    one, two = np.full(4_000, 0.1, np.float32), np.full(2_000, -0.2, np.float32)
    reader = Reader(Voice("v", (one, two)))
    first = reader.read(4_500)
    assert len(first) == 4_500
    assert first[2_000] == pytest.approx(0.1)
    assert first[4_250] == pytest.approx(-0.2)
    assert reader.read(1_000)[500] == pytest.approx(0.1)
    assert len(reader.read(0)) == 0


def test_fades_leave_the_middle_alone() -> None:
    before = np.ones(1_000, np.float32)
    after = faded(before)
    assert after[0] < 0.01
    assert after[-1] < 0.01
    assert np.all(after[128:-128] == 1.0)
    assert np.all(before == 1.0)


def test_speakers_are_chosen_by_file_name(tmp_path: Path) -> None:
    for name in ["9-1-1", "9-2-1", "10-1-1"]:
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / f"{name}.flac").touch()
    assert {name: len(paths) for name, paths in find_voices(tmp_path).items()} == {"10": 1, "9": 2}
    assert list(find_voices(tmp_path, ["10", "77"])) == ["10"]
    with pytest.raises(ConfigError, match="1 speakers asked for"):
        find_voices(tmp_path, ["77"])
