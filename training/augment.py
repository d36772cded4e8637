"""Batches for the embedding: crops in rooms with noise, babble, channels, levels and realistic pooling masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from training.data import RATE, VARIANTS, read_audio
from training.features import Fbank
from training.network import RECEPTIVE_FIELD, STRIDE
from training.teacher import DVector

BINS = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training step takes."""

    fbank: Tensor
    weights: Tensor
    classes: Tensor
    """Index of (speaker, variant), or -1 for real recordings without a label."""
    targets: Tensor
    """Teacher vectors [B, 256]."""


class Bank:
    """Perturbed voices of one or more bank folders; pieces are read from memory-mapped files."""

    def __init__(self, folders: list[Path]) -> None:
        self._samples = [np.load(folder / "samples.npy", mmap_mode="r") for folder in folders]
        index = [np.load(folder / "index.npy") for folder in folders]
        self._index = np.concatenate([np.c_[np.full(len(rows), i), rows] for i, rows in enumerate(index)])
        self.teacher = np.concatenate([np.load(folder / "teacher.npy") for folder in folders])
        self.speakers = int(self._index[:, 1].max()) + 1

    def __len__(self) -> int:
        return len(self._index)

    def speaker(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Speaker number of each item."""
        return np.asarray(self._index[items, 1])

    def classes(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class number of each item."""
        return np.asarray(self._index[items, 1] * VARIANTS + self._index[items, 2])

    def crops(self, items: NDArray[np.int64], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Random crops [len(items), length]; shorter voices are repeated."""
        out = np.zeros((len(items), length), dtype=np.float32)
        for row, item in enumerate(items):
            folder, _, _, start, size = self._index[item]
            samples = self._samples[folder]
            if size <= length:
                piece = np.resize(np.asarray(samples[start : start + size]), length)
            else:
                first = start + int(rng.integers(0, size - length))
                piece = samples[first : first + length]
            out[row] = piece.astype(np.float32) / 32768.0
        return out


def random_masks(count: int, frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Which feature frames belong to the pooled speaker: everything, or one to three pieces."""
    masks = np.ones((count, frames), dtype=np.float32)
    shortest = min(frames, 10)
    for row in np.flatnonzero(rng.random(count) < 0.55):
        masks[row] = 0
        for _ in range(int(rng.integers(1, 4))):
            size = int(rng.integers(shortest, frames + 1))
            start = int(rng.integers(0, frames - size + 1))
            masks[row, start : start + size] = 1
    return masks


def disturbed(mask: NDArray[np.float32], rng: np.random.Generator, most: int = 3) -> NDArray[np.float32]:
    """The mask as an imperfect segmentation would give it: edges moved by up to `most` frames."""
    out = np.empty_like(mask)
    for row in range(len(mask)):
        shift = int(rng.integers(-most, most + 1))
        out[row] = np.roll(mask[row], shift)
        if shift > 0:
            out[row, :shift] = mask[row, 0]
        elif shift < 0:
            out[row, shift:] = mask[row, -1]
        if out[row].sum() < 5:
            out[row] = mask[row]
    return out


def smooth_curves(count: int, bins: int, spread: float, generator: torch.Generator) -> Tensor:
    """Random smooth gains over frequency, [count, bins], as amplitude factors."""
    knots = torch.randn(count, 1, 9, generator=generator) * spread
    decibels = torch.nn.functional.interpolate(knots, size=bins, mode="linear", align_corners=True)[:, 0]
    return torch.pow(10.0, decibels / 20)


class Augmenter:
    """Makes batches without end; everything is drawn from one seed."""

    def __init__(
        self, bank: Bank, rooms: Path, seed: int, teacher: DVector | None = None, real: list[Path] | None = None
    ):
        self._bank = bank
        self._rooms = torch.from_numpy(np.load(rooms))
        self._rng = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)
        self._fbank = Fbank()
        self._teacher = teacher
        self._real = [read_audio(path) for path in real or []]

    def _channel(self, count: int, bins: int) -> Tensor:
        """Amplitude response [count, bins]: equaliser, and for some a band limit."""
        rng = self._rng
        response = smooth_curves(count, bins, 4.0, self._torch)
        hertz = torch.linspace(0, RATE / 2, bins)
        for row in np.flatnonzero(rng.random(count) < 0.25):
            low, high = (300.0, 3400.0) if rng.random() < 0.4 else (rng.uniform(30, 200), rng.uniform(3600, 7600))
            response[row] *= 1 / torch.sqrt(1 + (low / hertz.clamp(min=1)) ** 8)
            response[row] *= 1 / torch.sqrt(1 + (hertz / high) ** 16)
        return response

    def _babble(self, own: Tensor) -> Tensor:
        """Sums of two to five other rows."""
        babble = torch.zeros_like(own)
        for _ in range(int(self._rng.integers(2, 6))):
            order = torch.randperm(len(own), generator=self._torch)
            babble += own[order].roll(int(self._rng.integers(own.shape[1])), 1)
        return babble

    def _mix(self, own: Tensor, other: Tensor, babble: Tensor) -> Tensor:
        """Rooms, babble, coloured noise and the channel, all in the frequency domain: [B, length]."""
        rng, gen = self._rng, self._torch
        count, length = own.shape
        size = next_fast_len(length + self._rooms.shape[2], real=True)
        size += size % 2
        # four neighbouring rows share a room: transforming the responses is a large part of the work
        groups = (count + 3) // 4
        responses = self._rooms[torch.from_numpy(rng.integers(0, len(self._rooms), groups)), :3]
        dry = torch.rand(groups, generator=gen) < 0.2
        responses[dry] = 0
        responses[dry, :, 0] = 1
        filters = torch.fft.rfft(responses, n=size).repeat_interleave(4, 0)[:count]
        own_f = torch.fft.rfft(own, n=size) * filters[:, 0]
        speech = own_f + torch.fft.rfft(other, n=size) * filters[:, 1]
        energy = own_f.abs().square().mean(1)
        babble_f = torch.fft.rfft(babble, n=size) * filters[:, 2]
        bins = size // 2 + 1
        hertz = torch.linspace(0, RATE / 2, bins).clamp(min=30)
        tilt = torch.rand(count, 1, generator=gen) * 1.2
        noise_f = torch.complex(torch.randn(count, bins, generator=gen), torch.randn(count, bins, generator=gen))
        noise_f = noise_f * hertz ** (-tilt) * smooth_curves(count, bins, 5.0, gen)
        for extra, share, low, high in ((babble_f, 0.3, 6.0, 28.0), (noise_f, 0.8, 5.0, 40.0)):
            level = energy / extra.abs().square().mean(1).clamp(min=1e-12)
            ratio = torch.rand(count, generator=gen) * (high - low) + low
            gain = torch.sqrt(level * torch.pow(10.0, -ratio / 10))
            gain[torch.rand(count, generator=gen) > share] = 0
            speech = speech + extra * gain[:, None]
        mixed: Tensor = torch.fft.irfft(speech * self._channel(count, bins), n=size)
        return mixed[:, :length]

    def _finish(self, samples: Tensor) -> Tensor:
        """Level, clipping and companding."""
        count = len(samples)
        level = samples.square().mean(1, keepdim=True).clamp(min=1e-12).sqrt()
        target = torch.pow(10.0, -(torch.rand(count, 1, generator=self._torch) * 28 + 12) / 20)
        samples = (samples / level * target).clamp(-1, 1)
        coded = torch.from_numpy(self._rng.random(count) < 0.1)
        if bool(coded.any()):
            x = samples[coded]
            steps = torch.round(x.sign() * torch.log1p(255 * x.abs()) / np.log(256) * 127) / 127
            samples[coded] = steps.sign() * (torch.pow(256.0, steps.abs()) - 1) / 255
        return torch.round(samples * 32768) / 32768

    def batch(self, count: int, frames: int) -> Batch:
        """`count` crops of `frames` feature frames each (25 frames a second, plus the context)."""
        rng = self._rng
        length = (STRIDE * (frames - 1) + RECEPTIVE_FIELD - 1) * 160 + 400
        items = rng.integers(0, len(self._bank), count)
        others = rng.integers(0, len(self._bank), count)
        clash = self._bank.speaker(items) == self._bank.speaker(others)
        others[clash] = (others[clash] + 1009) % len(self._bank)
        own = torch.from_numpy(self._bank.crops(items, length, rng))
        other = torch.from_numpy(self._bank.crops(others, length, rng))
        masks = random_masks(count, frames, rng)
        # frame i of the features is centred on sample 160 * (4 i + offset) + 200
        gate = torch.from_numpy(masks).repeat_interleave(STRIDE * 160, 1)
        lead = 160 * ((RECEPTIVE_FIELD - 1) // 2) + 200 - STRIDE * 80
        gate = torch.cat([gate[:, :1].expand(-1, lead), gate, gate[:, -1:].expand(-1, length)], 1)[:, :length]
        cut = torch.from_numpy(rng.random(count) < 0.7)[:, None]
        gate = torch.where(cut, gate, torch.ones_like(gate))
        speaking = (1 - gate) * torch.from_numpy((rng.random(count) < 0.7).astype(np.float32))[:, None]
        loudness = torch.pow(10.0, (torch.rand(count, 1, generator=self._torch) * 16 - 8) / 20)
        whisper = torch.from_numpy((rng.random(count) < 0.15).astype(np.float32))[:, None] * 0.12
        clean = own * gate
        other = other * torch.maximum(speaking * loudness, whisper)
        babble = self._babble(own)
        # sixteen rows at a time stay in the processor's cache, which is twice as fast
        parts = [slice(first, min(first + 16, count)) for first in range(0, count, 16)]
        samples = torch.cat([self._finish(self._mix(clean[p], other[p], babble[p])) for p in parts])
        weights = torch.from_numpy(disturbed(masks, rng)) * self._voiced(own, frames, lead, rng)
        targets = torch.from_numpy(self._bank.teacher[items].copy())
        classes = torch.from_numpy(self._bank.classes(items))
        if self._real and self._teacher is not None:
            targets, classes = self._insert_real(samples, weights, targets, classes, frames, length)
        fbank = torch.cat([self._fbank(samples[p]) for p in parts])
        return Batch(fbank, weights, classes, targets)

    def _voiced(self, own: Tensor, frames: int, lead: int, rng: np.random.Generator) -> Tensor:
        """Frames that are not pauses, as a segmentation network would keep them; for some rows everything."""
        step = STRIDE * 160
        pieces = own[:, lead : lead + frames * step]
        pieces = torch.nn.functional.pad(pieces, (0, frames * step - pieces.shape[1]))
        power = pieces.reshape(len(own), frames, step).square().mean(2)
        loud = (power > power.amax(1, keepdim=True) * 1e-3).float()
        loud = torch.nn.functional.max_pool1d(loud[:, None], 5, stride=1, padding=2)[:, 0]
        everything = torch.from_numpy(rng.random(len(own)) < 0.3)
        return torch.where(everything[:, None], torch.ones_like(loud), loud)

    def _insert_real(
        self, samples: Tensor, weights: Tensor, targets: Tensor, classes: Tensor, frames: int, length: int
    ) -> tuple[Tensor, Tensor]:
        """Replace the first rows by unlabelled real recordings with the teacher's vectors of the same samples."""
        assert self._teacher is not None
        classes = classes.clone()
        span = frames * STRIDE * 160
        edge = (length - span) // 2
        for row in range(max(1, len(samples) // 16)):
            source = self._real[int(self._rng.integers(len(self._real)))]
            start = int(self._rng.integers(0, len(source) - length))
            piece = source[start : start + length]
            samples[row] = torch.from_numpy(piece)
            weights[row] = 1.0
            targets[row] = torch.from_numpy(self._teacher.utterance(piece[edge : edge + span]))
            classes[row] = -1
        return targets, classes
