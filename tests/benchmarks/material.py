"""Sounds for the tests: noise bursts that an energy detector takes for speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray


def speech(seconds: float, *, level: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """Noise that swells four times a second: (samples,) at 16 kHz."""
    count = round(seconds * 16_000)
    swell = 1.0 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(count) / 16_000)
    noise = np.random.default_rng(seed).standard_normal(count)
    return (noise * swell * level).astype(np.float32)


def write_voice(folder: Path, speaker: str, seconds: float, *, level: float = 0.1) -> None:
    """`SPEAKER-1-0001.flac` with speech between two pauses, over a little hiss."""
    sound = np.concatenate([np.zeros(4_000), speech(seconds, level=level, seed=int(speaker)), np.zeros(4_000)])
    hiss = np.random.default_rng(1).normal(0, level / 1_000, len(sound))
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{speaker}-1-0001.flac", sound + hiss, 16_000)
