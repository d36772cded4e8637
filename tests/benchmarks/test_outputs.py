"""Network outputs are kept and give the same result again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.outputs import concluded, infer, inferred, inferred_previews
from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.core.powerset import unpack
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


def test_the_beginning_alone(tmp_path: Path) -> None:
    engine, audio = fake_engine(), two_voices(tmp_path / "a.wav")
    assert infer(engine, audio, 4.25).samples == 68_000
    assert infer(engine, audio, 12.0).state["embeddings"].shape[0] == 3
    assert infer(engine, audio, 60.0).samples == 224_000
    inferred(engine, audio, tmp_path / "cache", 12.0)
    inferred(engine, audio, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_previews_are_the_first_steps(tmp_path: Path) -> None:
    engine, audio = fake_engine(), two_voices(tmp_path / "a.wav")
    previews = inferred_previews(engine, audio, tmp_path / "cache")
    assert previews.samples == 9 * 16_000  # ten steps are a whole window
    assert previews.state["embeddings"].shape[:2] == (9, 3)
    spoken = unpack(previews.state["packed"]).any(axis=2).sum(axis=1)
    assert np.allclose(spoken[:4], np.arange(1, 5) * 59.3, atol=2)
    ran = engine.networks.windows
    again = inferred_previews(engine, audio, tmp_path / "cache")
    assert engine.networks.windows == ran
    assert np.array_equal(again.state["packed"], previews.state["packed"])
    assert inferred_previews(engine, audio, None, 2.5).samples == 2 * 16_000
    assert inferred_previews(engine, audio, None, 0.5).samples == 0
