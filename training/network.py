"""The embedding network: a level-free 2-D stem, residual 1-D blocks, weighted statistics and a linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MELS = 80
STRIDE = 4


def frame_counts(fbank_frames: int) -> int:
    """Number of feature frames that `fbank_frames` input frames give."""
    return (fbank_frames - RECEPTIVE_FIELD) // STRIDE + 1


class Conv2dBlock(nn.Module):
    """Convolution (no padding in time, padding in frequency), batch norm, optional ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], kernel: int = 3, relu: bool = True) -> None:
        super().__init__()
        # axes are [batch, channel, time, mel]
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(0, kernel // 2), bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x


class Residual2d(nn.Module):
    """Two 3x3 convolutions around a shortcut cropped by two frames at each side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv2dBlock(channels, channels, (1, 1))
        self.second = Conv2dBlock(channels, channels, (1, 1), relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x[:, :, 2:-2] + self.second(self.first(x)))


class Residual1d(nn.Module):
    """A time convolution of width 3 and a pointwise one around a shortcut cropped by one frame at each side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 3, bias=False)
        self.wide_norm = nn.BatchNorm1d(channels)
        self.point = nn.Conv1d(channels, channels, 1, bias=False)
        self.point_norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.wide_norm(self.wide(x)))
        return functional.relu(x[:, :, 1:-1] + self.point_norm(self.point(y)))


class Trunk(nn.Module):
    """`fbank` [B, T, 80] to `features` [B, (T - 95) // 4 + 1, C]; every feature sees exactly 95 fbank frames.

    The mean over the mel axis is taken off every frame, so the features do not depend on the level of the
    recording; the per-mel mean and deviation are constants.
    """

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, width: int = 256, channels: int = 512) -> None:
        super().__init__()
        self.register_buffer("mel_mean", torch.zeros(MELS))
        self.register_buffer("mel_scale", torch.ones(MELS))
        self.stem = nn.Sequential(
            Conv2dBlock(1, 24, (2, 2)),
            Conv2dBlock(24, 32, (2, 2)),
            Residual2d(32),
            Residual2d(32),
            Conv2dBlock(32, 64, (1, 2)),
            Residual2d(64),
        )
        self.join = nn.Conv1d(64 * 10, width, 1, bias=False)
        self.join_norm = nn.BatchNorm1d(width)
        self.blocks = nn.Sequential(*[Residual1d(width) for _ in range(4)])
        self.out = nn.Conv1d(width, channels, 1, bias=False)
        self.out_norm = nn.BatchNorm1d(channels)

    def forward(self, fbank: Tensor) -> Tensor:
        x = fbank - fbank.mean(dim=2, keepdim=True)
        x = (x - self.mel_mean) * self.mel_scale
        x = self.stem(x.unsqueeze(1))
        x = x.permute(0, 1, 3, 2).flatten(1, 2)
        x = functional.relu(self.join_norm(self.join(x)))
        x = self.blocks(x)
        x = functional.relu(self.out_norm(self.out(x)))
        return x.transpose(1, 2)


RECEPTIVE_FIELD = 3 + 2 * 2 + 4 * 2 * 4 + 4 * 2 + 4 * 2 * 2 + 4 * 2 * 4
OFFSET = (RECEPTIVE_FIELD - 1) // 2


def weighted_statistics(features: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean and unbiased deviation: features [B, T, C], weights [B, T] to [B, 2C]."""
    w = weights.unsqueeze(2)
    v1 = w.sum(1) + 1e-8
    v2 = (w * w).sum(1)
    mean = (w * features).sum(1) / v1
    var = (w * (features - mean.unsqueeze(1)) ** 2).sum(1) / (v1 - v2 / v1 + 1e-8)
    return torch.cat([mean, var.clamp(min=1e-10).sqrt()], dim=1)


class Embedder(nn.Module):
    """Trunk, pooling and head."""

    def __init__(self, dimension: int = 192, channels: int = 512) -> None:
        super().__init__()
        self.trunk = Trunk(channels=channels)
        self.norm = nn.BatchNorm1d(2 * channels)
        self.head = nn.Linear(2 * channels, dimension)

    def statistics(self, features: Tensor, weights: Tensor) -> Tensor:
        """Normalised statistics [B, 2C]."""
        normed: Tensor = self.norm(weighted_statistics(features.float(), weights))
        return normed

    def forward(self, fbank: Tensor, weights: Tensor) -> Tensor:
        embedding: Tensor = self.head(self.statistics(self.trunk(fbank), weights))
        return embedding
