"""Batches for the embedding, made in the mel domain: rooms, noise, babble, overlap, channels, realistic masks.

Powers of log-mel frames are mixed with a random cross term instead of waveforms, which is some ten times quicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data import RATE
from training.features import FFT, MELS, mel_filters
from training.masks import disturbed, random_masks
from training.melbank import MelBank, Real
from training.network import OFFSET, RECEPTIVE_FIELD, STRIDE

IN_ROOM, CODED = 0.45, 0.3
"""Chances of a crop from the room, and, where the bank has them, of a coded one instead of either."""
POOL = 4_000_000
"""Random numbers drawn once."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training step takes."""

    fbank: Tensor
    weights: Tensor
    classes: Tensor
    """Index of (speaker, variant), or -1 for real recordings without a label."""
    targets: Tensor
    """Teacher vectors [B, 256]."""


def bins_per_band() -> Tensor:
    """How many FFT bins, weighed, each mel band averages: [80]; fewer bins fluctuate more."""
    filters = mel_filters()[: FFT // 2]
    count: Tensor = filters.sum(0).square() / filters.square().sum(0)
    return count


def curves(count: int, spread: float, generator: torch.Generator, knots: int = 9) -> Tensor:
    """Random smooth gains over the mel bands [count, 80], natural logarithm of power; `spread` in dB."""
    points = torch.randn(count, 1, knots, generator=generator) * (spread * np.log(10) / 10)
    return functional.interpolate(points, size=MELS, mode="linear", align_corners=True)[:, 0]


class Augmenter:
    """Makes batches without end; everything is drawn from one seed."""

    def __init__(self, bank: MelBank, seed: int, real: Real | None = None) -> None:
        self._bank = bank
        self._real = real
        self._rng = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)
        self._pool = torch.randn(POOL, generator=self._torch)
        self._bins = bins_per_band()
        edges = 1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + RATE / 2 / 700)
        self._hertz = torch.from_numpy(700 * (np.exp(np.linspace(*edges, MELS + 2)[1:-1] / 1127) - 1)).float()

    def batch(self, count: int, frames: int) -> Batch:
        """`count` crops of `frames` feature frames each (25 frames a second, plus the context)."""
        rng = self._rng
        length = STRIDE * (frames - 1) + RECEPTIVE_FIELD
        # every voice twice, so that the losses see what two crops of one person have in common
        items = rng.integers(0, len(self._bank), (count + 1) // 2).repeat(2)[:count]
        others = rng.integers(0, len(self._bank), count)
        clash = self._bank.speaker(items) == self._bank.speaker(others)
        others[clash] = (others[clash] + len(self._bank) // 2) % len(self._bank)
        kinds = (rng.random(count) < IN_ROOM).astype(np.int64)
        if self._bank.coded:
            kinds[rng.random(count) < CODED] = 2
        own, dry = self._bank.crops(items, kinds, length, rng)
        other, _ = self._bank.crops(others, kinds, length, rng)
        masks = random_masks(count, frames, rng)
        weights = torch.from_numpy(disturbed(masks, rng)) * self._voiced(dry, frames)
        gate = self._gate(torch.from_numpy(masks), length)
        # sixteen rows at a time stay in the processor's cache
        parts = [slice(first, min(first + 16, count)) for first in range(0, count, 16)]
        heard = torch.cat([self._heard(own[p].exp_(), other[p].exp_(), gate[p]) for p in parts])
        targets = torch.from_numpy(self._bank.teacher[items].copy())
        classes = torch.from_numpy(self._bank.classes(items))
        if self._real is not None:
            for row in range(max(1, count // 20)):
                heard[row], vector = self._real.draw(length, rng)
                weights[row], targets[row], classes[row] = 1.0, torch.from_numpy(vector), -1
        return Batch(heard, weights, classes, targets)

    def _gate(self, masks: Tensor, length: int) -> Tensor:
        """Filter-bank frames in which the pooled speaker speaks: [B, length]; feature i is centred on 4 i + 47."""
        gate = masks.repeat_interleave(STRIDE, 1)
        lead = OFFSET - STRIDE // 2
        return torch.cat([gate[:, :1].expand(-1, lead), gate, gate[:, -1:].expand(-1, length)], 1)[:, :length]

    def _chance(self, count: int, share: float) -> Tensor:
        return (torch.rand(count, 1, 1, generator=self._torch) < share).float()

    def _decibels(self, count: int, low: float, high: float) -> Tensor:
        """Random power factors [count, 1, 1]."""
        return torch.pow(10.0, (torch.rand(count, 1, 1, generator=self._torch) * (high - low) + low) / 10)

    def _heard(self, own: Tensor, other: Tensor, gate: Tensor) -> Tensor:
        """Log-mel frames of the whole scene from powers of the two voices: [B, length, 80]."""
        count = len(own)
        cut = self._chance(count, 0.7)
        gate = 1 - cut * (1 - gate[:, :, None])
        level = own.mean((1, 2), keepdim=True)
        other = other * (level / other.mean((1, 2), keepdim=True).clamp(min=1e-12))
        tail = (1 - gate) * self._chance(count, 0.7) * self._decibels(count, -9, 9)
        under = self._overlap(gate) * self._chance(count, 0.25) * self._decibels(count, -20, -2)
        voices = self._added(own * gate, other * torch.maximum(tail, under))
        voices = self._reverberant(voices)
        noise = self._noise(own, level)
        scene = self._added(voices, noise)
        scene = scene * self._channel(count).exp()[:, None]
        return (scene + level * self._decibels(count, -95, -45)).log()

    def _overlap(self, gate: Tensor) -> Tensor:
        """One stretch of every row in which somebody else speaks as well, or all of it."""
        count, length = gate.shape[:2]
        ends = torch.rand(count, 2, generator=self._torch).sort(1).values * length
        ends[: count // 4] = torch.tensor([0.0, float(length)])
        times = torch.arange(length)[None]
        return ((times >= ends[:, :1]) & (times < ends[:, 1:])).float()[:, :, None]

    def _normal(self, like: Tensor) -> Tensor:
        """Normal numbers of the shape of `like`, read from a pool at a random place: drawing them takes longer."""
        first = int(self._rng.integers(len(self._pool) - like.numel()))
        return self._pool[first : first + like.numel()].view(like.shape)

    def _added(self, first: Tensor, second: Tensor) -> Tensor:
        """Power of a sum: the cross term is as random as the few bins of a band make it."""
        cross = (self._normal(first) / (2 * self._bins).sqrt()).clamp(-0.95, 0.95)
        return first + second + 2 * (first * second).sqrt() * cross

    def _reverberant(self, power: Tensor) -> Tensor:
        """A tail that dies away exponentially, quicker at high frequencies, behind some of the rows."""
        count = len(power)
        rows = torch.nonzero(torch.rand(count, generator=self._torch) < 0.35)[:, 0]
        if len(rows) == 0:
            return power
        decay = 0.15 * torch.pow(6.0, torch.rand(len(rows), 1, 1, generator=self._torch))
        keep = torch.pow(10.0, -0.06 / (decay * torch.linspace(1.15, 0.75, MELS)))
        gain = (1 - keep) * self._decibels(len(rows), -10, 4)
        dry = power[rows]
        # doubling: after k rounds every frame holds what it kept of the 2^k before it
        tail = functional.pad(dry * gain, (0, 0, 1, 0))[:, :-1]
        for power_of_two in (1, 2, 4, 8, 16, 32):
            tail[:, power_of_two:] += tail[:, :-power_of_two].clone() * keep**power_of_two
        power[rows] = self._added(dry, tail)
        return power

    def _noise(self, own: Tensor, level: Tensor) -> Tensor:
        """Coloured noise that wavers, and babble of two to five other rows: powers [B, length, 80]."""
        count, length = own.shape[:2]
        gen = self._torch
        tilt = (torch.rand(count, 1, generator=gen) * 2.4 - 0.3) * -torch.log(self._hertz / 500 + 0.1)
        shape = (tilt + curves(count, 5.0, gen)).exp()
        wavering = functional.interpolate(
            torch.randn(count, 1, 12, generator=gen), size=length, mode="linear", align_corners=True
        )[:, 0]
        depth = torch.rand(count, 1, generator=gen).square() * 1.2
        noise = shape[:, None] * (wavering * depth).exp()[:, :, None]
        noise = noise * (self._normal(own) / self._bins.sqrt()).exp()
        total = torch.zeros_like(own)
        babble = torch.zeros_like(own)
        for _ in range(int(self._rng.integers(2, 6))):
            order = torch.randperm(count, generator=gen)
            babble += (own / level)[order].roll(int(self._rng.integers(length)), 1)
        for extra, share, low, high in ((babble, 0.3, -28.0, -5.0), (noise, 0.8, -40.0, -4.0)):
            scale = level / extra.mean((1, 2), keepdim=True).clamp(min=1e-12)
            total += extra * (scale * self._decibels(count, low, high) * self._chance(count, share))
        return total

    def _channel(self, count: int) -> Tensor:
        """Equaliser and for some a band limit: [B, 80], natural logarithm of power."""
        response = curves(count, 3.5, self._torch)
        response = response + (torch.rand(count, 1, generator=self._torch) * 2 - 1) * torch.linspace(-0.8, 0.8, MELS)
        for row in np.flatnonzero(self._rng.random(count) < 0.25):
            narrow = self._rng.random() < 0.4
            low, high = (300.0, 3400.0) if narrow else (self._rng.uniform(30, 200), self._rng.uniform(3600, 7600))
            response[row] -= torch.log1p((low / self._hertz) ** 8) + torch.log1p((self._hertz / high) ** 16)
        return response

    def _voiced(self, dry: Tensor, frames: int) -> Tensor:
        """Frames that are not pauses, as a segmentation network would keep them; for some rows everything."""
        power = dry.exp().sum(2)[:, OFFSET - STRIDE // 2 :]
        power = functional.pad(power, (0, max(0, frames * STRIDE - power.shape[1])))[:, : frames * STRIDE]
        power = power.reshape(len(dry), frames, STRIDE).mean(2)
        loud = (power > power.amax(1, keepdim=True) * 1e-3).float()
        loud = functional.max_pool1d(loud[:, None], 5, stride=1, padding=2)[:, 0]
        everything = torch.rand(len(dry), 1, generator=self._torch) < 0.3
        return torch.where(everything, torch.ones_like(loud), loud)
