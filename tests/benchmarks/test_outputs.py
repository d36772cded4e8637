"""Network outputs are kept and give the same result again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.outputs import concluded, inferred
from speakrs_stream.core.config import SpeakerBounds
from tests.benchmarks.fakes import fake_engine


def two_voices(path: Path) -> Path:
    """4 s of one voice, 1 s of nobody, 5 s of the other, then 4 s of the first."""
    sound = np.repeat([0.5, 0.0, -0.5, 0.5], [64_000, 16_000, 80_000, 64_000])
    soundfile.write(path, sound, 16_000)
    return path


def test_turns_are_those_of_the_sound(tmp_path: Path) -> None:
    engine = fake_engine()
    result = concluded(engine, inferred(engine, two_voices(tmp_path / "a.wav"), None), SpeakerBounds())
    assert result.samples == 224_000
    assert [turn.speaker for turn in result.turns] == [0, 1, 0]
    edges = np.array([[turn.span.start, turn.span.end] for turn in result.turns]) / 16_000
    assert np.allclose(edges, [[0, 4], [5, 10], [10, 14]], atol=0.05)


def test_networks_run_once(tmp_path: Path) -> None:
    engine, audio = fake_engine(), two_voices(tmp_path / "a.wav")
    first = inferred(engine, audio, tmp_path / "cache")
    ran = engine.networks.windows
    again = inferred(engine, audio, tmp_path / "cache")
    assert engine.networks.windows == ran == 5
    assert again.samples == first.samples
    assert all(np.array_equal(again.state[name], first.state[name], equal_nan=True) for name in first.state)
    assert concluded(engine, again, SpeakerBounds()).turns == concluded(engine, first, SpeakerBounds()).turns


def test_another_step_or_damage_runs_them_again(tmp_path: Path) -> None:
    engine, audio = fake_engine(), two_voices(tmp_path / "a.wav")
    inferred(engine, audio, tmp_path / "cache")
    engine.config = replace(engine.config, step=32_000)
    inferred(engine, audio, tmp_path / "cache")
    assert engine.networks.windows == 5 + 3
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert inferred(engine, audio, tmp_path / "cache").samples == 224_000
    assert engine.networks.windows == 5 + 3 + 3
