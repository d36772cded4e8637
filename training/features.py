"""Kaldi-style log-mel features in PyTorch, batched: 80 bands, 25 ms frames every 10 ms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FRAME = 400
HOP = 160
FFT = 512
MELS = 80
FLOOR = 1.1920929e-07


def mel_filters() -> Tensor:
    """Triangles linear on the mel scale between 20 Hz and 8 kHz: [257, 80]."""
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), MELS + 2)
    mel = 1127 * np.log(1 + np.arange(FFT // 2) * 16000 / FFT / 700)
    rise = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0, np.minimum(rise, fall))
    return torch.from_numpy(np.concatenate([bank, np.zeros((1, MELS))])).float()


class Fbank:
    """Callable: samples in [-1, 1] [B, n] to log-mel [B, 1 + (n - 400) // 160, 80]."""

    def __init__(self) -> None:
        """Fold DC removal, pre-emphasis and the Hamming window into one 400 x 400 matrix times a real FFT."""
        self._filters = mel_filters()
        self._window = torch.from_numpy(0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))).float()

    def __call__(self, samples: Tensor) -> Tensor:
        frames = (samples * 32768.0).unfold(1, FRAME, HOP)
        frames = frames - frames.mean(dim=2, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
        spectrum = torch.fft.rfft((frames - 0.97 * before) * self._window, n=FFT)
        power = spectrum.real.square() + spectrum.imag.square()
        bands: Tensor = power @ self._filters
        return bands.clamp(min=FLOOR).log()
