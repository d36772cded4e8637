"""Conversations for the segmentation: real turn-taking from reference RTTMs, spoken by perturbed training voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from benchmarks.voices import speech_runs
from training.data import RATE, Turn, read_rttm
from training.pyannet import FIELD, FRAME_STEP, FRAMES

WINDOW = 160_000
Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One window."""

    samples: Audio
    """Mono, 160000 samples."""

    active: NDArray[np.float32]
    """Who speaks, [589, 3], 0 or 1."""


class Voices:
    """Phrases of every perturbed voice in the banks, pauses cut out."""

    def __init__(self, folders: list[Path]) -> None:
        self._phrases: list[list[Audio]] = []
        self._speakers: list[int] = []
        for folder in folders:
            samples = np.load(folder / "samples.npy", mmap_mode="r")
            for speaker, _, start, size in np.load(folder / "index.npy"):
                self._phrases.append([np.asarray(samples[start : start + size])])
                self._speakers.append(int(speaker))
        self._cut: set[int] = set()

    def __len__(self) -> int:
        return len(self._phrases)

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Items of `count` different people."""
        while True:
            items = [int(i) for i in rng.integers(0, len(self), count)]
            if len({self._speakers[i] for i in items}) == count:
                return items

    def read(self, item: int, length: int, rng: np.random.Generator) -> Audio:
        """`length` samples of speech of one voice, phrase after phrase from a random one on."""
        if item not in self._cut:
            whole: Audio = self._phrases[item][0].astype(np.float32) / np.float32(32768)
            runs = speech_runs(whole)
            found = [whole[a:b] for a, b in runs] or [whole]
            loudness = float(np.sqrt(np.mean(np.concatenate(found) ** 2)))
            self._phrases[item] = [(p * (0.05 / loudness)).astype(np.float16) for p in found]
            self._cut.add(item)
        phrases = self._phrases[item]
        at = int(rng.integers(len(phrases)))
        parts: list[Audio] = []
        missing = length
        while missing > 0:
            piece = phrases[at % len(phrases)][:missing].astype(np.float32)
            edge = min(len(piece) // 2, 128)
            if edge:
                piece[:edge] *= np.linspace(0, 1, edge)
                piece[-edge:] *= np.linspace(1, 0, edge)
            parts.append(piece)
            missing -= len(piece)
            at += 1
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def frame_labels(turns: list[Turn], names: list[str]) -> NDArray[np.float32]:
    """Activity at the middle of each of the 589 frames, [589, 3]."""
    middles = (np.arange(FRAMES) * FRAME_STEP + FIELD / 2) / RATE
    active = np.zeros((FRAMES, 3), dtype=np.float32)
    for turn in turns:
        active[(middles >= turn.start) & (middles < turn.end), names.index(turn.speaker)] = 1
    return active


class Simulator:
    """Draws windows without end from one seed."""

    def __init__(self, references: list[Path], voices: Voices, rooms: Path, seed: int) -> None:
        self._meetings = [sorted(read_rttm(path), key=lambda t: t.start) for path in references]
        self._meetings = [turns for turns in self._meetings if turns]
        lengths = np.array([max(t.end for t in turns) for turns in self._meetings])
        # the root keeps the few long meetings from drowning the many short clips
        self._odds = np.sqrt(lengths) / np.sqrt(lengths).sum()
        self._voices = voices
        self._rooms = np.load(rooms)
        self._rng = np.random.default_rng(seed)

    def turns(self) -> list[Turn]:
        """The turns of a random window with at most three people, cut at its borders."""
        rng = self._rng
        while True:
            meeting = self._meetings[int(rng.choice(len(self._meetings), p=self._odds))]
            last = max(t.end for t in meeting)
            start = float(rng.uniform(-3.0, max(last - 7.0, 0.0)))
            cut = [
                Turn(max(t.start - start, 0.0), min(t.end - start, 10.0), t.speaker)
                for t in meeting
                if t.end - start > 0.02 and t.start - start < 9.98
            ]
            people = {t.speaker for t in cut}
            if len(people) > 3 or (not people and rng.random() > 0.2):
                continue
            if len(people) == 1 and rng.random() < 0.5:
                continue
            return cut

    def window(self) -> Conversation:
        """One window: voices, room, levels, noise, channel."""
        rng = self._rng
        turns = self.turns()
        names = sorted({t.speaker for t in turns})
        room = self._rooms[int(rng.integers(len(self._rooms)))]
        size = next_fast_len(WINDOW + room.shape[1], real=True)
        mix = np.zeros(size // 2 + 1, dtype=np.complex64)
        dry_room = rng.random() < 0.15
        for seat, (name, item) in enumerate(zip(names, self._voices.draw(len(names), rng), strict=True)):
            dry = np.zeros(WINDOW, dtype=np.float32)
            for turn in turns:
                if turn.speaker == name:
                    first, last = round(turn.start * RATE), min(round(turn.end * RATE), WINDOW)
                    dry[first:last] = self._voices.read(item, last - first, rng)
            gain = 10 ** (rng.uniform(-6, 6) / 20)
            spectrum = rfft(dry, size) * np.float32(gain)
            response = room[seat] / np.sqrt(np.sum(room[seat] ** 2))
            mix += spectrum if dry_room else spectrum * rfft(response, size)
        mix = mix + self.noise(size, 10 ** (-rng.uniform(8, 40) / 20))
        samples = irfft(mix * self.channel(size), size)[:WINDOW].astype(np.float32)
        samples += self._events() * 10 ** (-rng.uniform(5, 30) / 20)
        peak = float(np.abs(samples).max()) + 1e-9
        samples *= min(0.9 / peak, 10 ** (rng.uniform(-20, 15) / 20))
        return Conversation(samples.astype(np.float32), frame_labels(turns, names))

    def noise(self, size: int, level: float) -> NDArray[np.complex64]:
        """Spectrum of coloured noise `level` times as strong as a voice of 0.05 RMS."""
        rng = self._rng
        bins = size // 2 + 1
        hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 30)
        shape = hertz ** -rng.uniform(0, 1.2) * np.interp(hertz, [0, 500, 2000, 8000], 10 ** (rng.normal(0, 4, 4) / 20))
        noise = (rng.standard_normal(bins) + 1j * rng.standard_normal(bins)) * shape
        rms = np.sqrt(np.sum(np.abs(noise) ** 2) * 2) / size
        return np.asarray(noise * (0.05 * level / rms), dtype=np.complex64)

    def channel(self, size: int) -> NDArray[np.float32]:
        """Amplitude response of the recording chain."""
        rng = self._rng
        hertz = np.fft.rfftfreq(size, 1 / RATE)
        response = np.interp(hertz, [0, 250, 500, 1000, 2000, 4000, 8000], 10 ** (rng.normal(0, 3, 7) / 20))
        if rng.random() < 0.2:
            low, high = (300, 3400) if rng.random() < 0.5 else (80, rng.uniform(3600, 7500))
            response /= np.sqrt(1 + (low / np.maximum(hertz, 1)) ** 8) * np.sqrt(1 + (hertz / high) ** 16)
        return np.asarray(response, dtype=np.float32)

    def _events(self) -> Audio:
        """Now and then what is not speech: clicks, hum, a tone that comes and goes, breath-like bursts."""
        rng = self._rng
        out = np.zeros(WINDOW, dtype=np.float32)
        kind = rng.random()
        if kind < 0.15:
            for _ in range(int(rng.integers(1, 25))):
                at, length = int(rng.integers(WINDOW - 900)), int(rng.integers(40, 800))
                decay = np.exp(-np.linspace(0, 6, length))
                out[at : at + length] += rng.standard_normal(length) * decay * 0.1
        elif kind < 0.25:
            times = np.arange(WINDOW) / RATE
            base = rng.uniform(45, 65)
            for harmonic in range(1, 6):
                out += (0.02 / harmonic * np.sin(2 * np.pi * base * harmonic * times)).astype(np.float32)
        elif kind < 0.40:
            for _ in range(int(rng.integers(1, 4))):
                length = int(rng.uniform(0.2, 0.9) * RATE)
                at = int(rng.integers(WINDOW - length))
                burst = rng.standard_normal(length) * np.hanning(length)
                out[at : at + length] += np.convolve(burst, np.ones(3) / 3, "same") * 0.05
        elif kind < 0.48:
            for _ in range(int(rng.integers(2, 14))):
                length = int(rng.uniform(0.1, 0.8) * RATE)
                at = int(rng.integers(WINDOW - length))
                note = 110 * 2 ** (rng.integers(0, 36) / 12)
                times = np.arange(length) / RATE
                tone = sum(np.sin(2 * np.pi * note * h * times) / h for h in (1, 2, 3))
                out[at : at + length] += tone * np.exp(-times * 3) * 0.03
        return out.astype(np.float32)

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples [count, 1, 160000] and activity [count, 589, 3]."""
        windows = [self.window() for _ in range(count)]
        samples = torch.from_numpy(np.stack([w.samples for w in windows]))[:, None]
        return samples, torch.from_numpy(np.stack([w.active for w in windows]))
