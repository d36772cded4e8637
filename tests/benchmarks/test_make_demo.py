"""The bundled recording: how it is put together, and that the files are what their README says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import speakrs_stream
from benchmarks.make_demo import CAST, SCRIPT, Line, arrange, mix, synthesize, turns_of
from benchmarks.references import read_rttm
from speakrs_stream.errors import ConfigError
from speakrs_stream.scoring import merged
from tests.benchmarks.material import speech

DEMO = Path(speakrs_stream.__file__).parent / "demo"
LINES = [Line("alice", "", 1.0), Line("bruce", "", -0.5), Line("bruce", "", -5.0), Line("clara", "", 0.1)]
SOUNDS = [speech(seconds, level=0.02) for seconds in (2.0, 1.0, 0.5, 1.0)]


def test_lines_follow_each_other() -> None:
    starts = np.array(arrange(LINES, SOUNDS)) / 16_000
    assert starts == pytest.approx([1.0, 2.5, 3.5, 4.1])  # nobody starts before his own line ended


def test_turns_are_where_the_sound_is() -> None:
    turns = turns_of(LINES, SOUNDS, arrange(LINES, SOUNDS))
    assert [turn.speaker for turn in turns] == ["alice", "bruce", "clara"]  # bruce goes on without a pause
    assert np.array([[turn.start, turn.end] for turn in turns]) == pytest.approx(
        np.array([[1.0, 3.0], [2.5, 4.0], [4.1, 5.1]]), abs=0.05
    )


def test_mix_keeps_everybody_and_the_quiet() -> None:
    audio = mix(LINES, SOUNDS, arrange(LINES, SOUNDS))
    level = np.sqrt(np.mean(audio[: len(audio) // 1_600 * 1_600].reshape(-1, 1_600) ** 2, axis=1))  # 100 ms
    assert level[11:50].min() > 10 * level[:9].max()
    assert np.max(np.abs(audio)) <= 0.8


def test_missing_synthesizer_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install flite"):
        synthesize(SCRIPT[0])


def test_bundled_files_fit_each_other() -> None:
    audio, rate = soundfile.read(DEMO / "meeting.flac", dtype="float32")
    assert (rate, audio.ndim) == (16_000, 1)
    assert 60 <= len(audio) / rate <= 90
    assert (DEMO / "meeting.flac").stat().st_size < 1_200_000
    turns = read_rttm(DEMO / "meeting.rttm")["meeting"]
    assert {turn.speaker for turn in turns} == set(CAST)
    assert turns == merged(turns)
    assert turns[-1].end < len(audio) / rate

    energy = np.mean(audio[: len(audio) // 160 * 160].reshape(-1, 160) ** 2, axis=1)  # 10 ms
    spoken = np.zeros(len(energy), bool)
    for turn in turns:
        spoken[round(turn.start * 100) : round(turn.end * 100)] = True
    assert energy[spoken].mean() > 100 * np.median(energy[~spoken])


def test_bundled_meeting_has_overlap_and_pauses() -> None:
    turns = read_rttm(DEMO / "meeting.rttm")["meeting"]
    edges = np.arange(0, turns[-1].end, 0.01)
    talking = sum(((edges >= turn.start) & (edges < turn.end)).astype(int) for turn in turns)
    assert 0.03 < np.mean(np.asarray(talking) >= 2) < 0.25
    assert np.mean(np.asarray(talking) == 0) > 0.05
