"""Windows to teach what is not speech with: sounds, and what a network's answers are to be kept on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft
from torch import Tensor

from training.data import RATE, Audio, read_audio
from training.distil import CHUNK
from training.pyannet import PyanNet
from training.simulate import WINDOW
from training.sounds import SOUNDS, Draw, heard
from training.student import Student, layer_outputs
from training.tunes import song, tones

TAUGHT: dict[str, tuple[Draw, float]] = {
    "song": (song, 0.30),
    "laughter": (SOUNDS["laughter"], 0.25),
    "music": (SOUNDS["music"], 0.15),
    "tones": (tones, 0.08),
    "breath": (SOUNDS["breath"], 0.08),
    "clicks": (SOUNDS["clicks"], 0.05),
    "hum": (SOUNDS["hum"], 0.05),
    "silence": (SOUNDS["silence"], 0.04),
}
"""What is taught to be no speech, and its share."""


def recorded(sound: Draw, rooms: Audio) -> Draw:
    """A sound as a recording has it: gains over frequency, now and then a telephone's band or a room."""

    def draw(rng: np.random.Generator) -> Audio:
        samples = sound(rng)
        if rng.random() < 0.3:
            return np.asarray(samples)
        size = next_fast_len(WINDOW + rooms.shape[2], real=True)
        hertz = np.fft.rfftfreq(size, 1 / RATE)
        gains = np.interp(hertz, [0, 250, 500, 1000, 2000, 4000, 8000], rng.normal(0, 4, 7))
        spectrum = rfft(samples, size) * 10 ** (gains / 20)
        if rng.random() < 0.3:
            spectrum /= np.sqrt(1 + (300 / np.maximum(hertz, 1)) ** 8) * np.sqrt(1 + (hertz / 3400) ** 16)
        if rng.random() < 0.4:
            spectrum *= rfft(rooms[int(rng.integers(len(rooms))), int(rng.integers(rooms.shape[1]))], size)
        return np.asarray(irfft(spectrum, size)[:WINDOW])

    return draw


def sound_windows(rooms: Audio, count: int, rng: np.random.Generator) -> Iterator[Audio]:
    """Windows in which nobody speaks, [160000] each."""
    draws, odds = zip(*TAUGHT.values(), strict=True)
    for kind in rng.choice(len(draws), count, p=np.array(odds) / sum(odds)):
        yield heard(recorded(draws[kind], rooms), rng)


def unaltered(clips: list[Path], every: float) -> Iterator[Audio]:
    """Windows of recordings as they are, every so many seconds."""
    for clip in clips:
        samples = read_audio(clip)
        for start in range(0, len(samples) - WINDOW + 1, round(every * RATE)):
            yield samples[start : start + WINDOW]


def stored(folder: Path) -> Iterator[Audio]:
    """Windows of a store of `training.windows`."""
    for row in np.load(folder / "samples.npy", "r"):
        yield row.astype(np.float32) / np.float32(32768)


def farther(samples: Audio, rooms: Audio, rng: np.random.Generator) -> Audio:
    """The window from farther away: one more room, gains over frequency, coloured noise 5 to 30 dB below."""
    size = next_fast_len(WINDOW + rooms.shape[2], real=True)
    spectrum, places = rfft(samples, size), np.sqrt(np.linspace(0, 1, size // 2 + 1))
    if rng.random() < 0.6:
        room = rooms[int(rng.integers(len(rooms))), int(rng.integers(rooms.shape[1]))]
        spectrum = spectrum * rfft(room / np.sqrt(np.sum(room**2)), size)
    if rng.random() < 0.5:
        spectrum = spectrum * 10 ** (np.interp(places, np.linspace(0, 1, 10), rng.normal(0, 3.5, 10)) / 20)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 30)
    shape = hertz ** -rng.uniform(0, 1.2) * np.interp(hertz, [0, 500, 2000, 8000], 10 ** (rng.normal(0, 4, 4) / 20))
    noise = irfft((rng.standard_normal(len(hertz)) + 1j * rng.standard_normal(len(hertz))) * shape, size)[:WINDOW]
    voices = irfft(spectrum, size)[:WINDOW]
    level = np.std(voices) / np.std(noise) * 10 ** (-rng.uniform(5, 30) / 20)
    return np.asarray(voices + noise * level, dtype=np.float32)


def in_chunks(windows: Iterator[Audio]) -> Iterator[Tensor]:
    """Windows a few at a time, [B, 1, 160000]."""
    rows = list[Audio]()
    for window in windows:
        rows.append(window)
        if len(rows) == CHUNK:
            yield torch.from_numpy(np.stack(rows))[:, None]
            rows = []
    if rows:
        yield torch.from_numpy(np.stack(rows))[:, None]


def layers_of(net: PyanNet, features: Tensor) -> list[Tensor]:
    """What the LSTM layers of a network or a student make of the convolutions' features [B, 589, 60]."""
    return layer_outputs(net.lstm, net.joined(features) if isinstance(net, Student) else features)


class Pool:
    """Features that a network's convolutions make of some windows, float16 [N, 589, 60], and its answers."""

    def __init__(self, features: Tensor, answers: Tensor | None = None) -> None:
        self.features, self.answers = features, answers

    @classmethod
    @torch.no_grad()
    def of(cls, net: PyanNet, windows: Iterator[Audio]) -> Pool:
        """Windows that no answers are wanted to."""
        return cls(torch.cat([net.encode(chunk).half() for chunk in in_chunks(windows)]))

    @classmethod
    @torch.no_grad()
    def answered(cls, net: PyanNet, windows: Iterator[Audio]) -> Pool:
        """Windows with the answers that the network gives to them, [N, 589, 7]."""
        pool = cls.of(net, windows)
        answers = [net.answers(layers_of(net, part.float())[-1]).half() for part in pool.features.split(CHUNK)]
        return cls(pool.features, torch.cat(answers))

    @classmethod
    def away(cls, net: PyanNet, windows: list[Audio], rooms: Audio, rng: np.random.Generator) -> Pool:
        """Windows from farther away, with the answers that the network gives to them as they were."""
        near = cls.answered(net, iter(windows))
        return cls(cls.of(net, (farther(window, rooms, rng) for window in windows)).features, near.answers)

    def __len__(self) -> int:
        return len(self.features)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Features and answers of random windows."""
        rows = torch.from_numpy(rng.integers(len(self), size=count))
        return self.features[rows].float(), None if self.answers is None else self.answers[rows].float()
