"""80-band log-mel filter bank as Kaldi computes it, frame by frame as samples arrive.

25 ms frames every 10 ms, DC removed and pre-emphasised inside the frame, Hamming window, 512-point power spectrum,
triangles linear in mel from 20 Hz to 8 kHz, natural logarithm floored at float32 epsilon. No dither. A frame depends on
its own 400 samples only, so any window's filter bank is a slice of the stream's.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

from speakrs_stream.core.arrays import F32, F64, Tape, frozen
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW

FRAME = 400
HOP = 160
FFT = 512
MELS = 80
PRE_EMPHASIS = 0.97
SCALE = float(1 << 15)
LOW_HZ = 20.0
FLOOR = float(np.finfo(np.float32).eps)


def fbank_count(samples: int) -> int:
    """Whole frames in `samples` samples."""
    return 0 if samples < FRAME else 1 + (samples - FRAME) // HOP


FBANK_PER_WINDOW = fbank_count(WINDOW)  # 998


@cache
def mel_filters() -> F32:
    """Triangular filters over FFT bins: (257, 80) float32; the Nyquist bin has no weight."""

    def mel(hertz: F64) -> F64:
        return np.asarray(1127.0 * np.log1p(hertz / 700.0))

    low, high = mel(np.array([LOW_HZ, SAMPLE_RATE / 2]))
    edges = np.linspace(low, high, MELS + 2)
    bins = mel(np.arange(FFT // 2, dtype=np.float64) * (SAMPLE_RATE / FFT))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters = np.zeros((FFT // 2 + 1, MELS))
    filters[:-1] = np.maximum(0.0, np.minimum(up, down))
    return frozen(filters.astype(np.float32))


@cache
def _window() -> F32:
    return frozen((0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))).astype(np.float32))


def fbank(samples: F32) -> F32:
    """Log-mel features of samples (n,) in ±1: (1 + (n - 400) // 160, 80) float32, not mean-normalised."""
    count = fbank_count(len(samples))
    if count == 0:
        return np.zeros((0, MELS), np.float32)
    scaled = np.asarray(samples, np.float32) * np.float32(SCALE)
    frames = np.lib.stride_tricks.sliding_window_view(scaled, FRAME)[::HOP][:count].copy()
    frames -= frames.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    emphasised = np.empty_like(frames)
    emphasised[:, 1:] = frames[:, 1:] - np.float32(PRE_EMPHASIS) * frames[:, :-1]
    emphasised[:, 0] = frames[:, 0] * np.float32(1 - PRE_EMPHASIS)
    emphasised *= _window()
    spectrum = fft.rfft(emphasised, FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(np.maximum(power @ mel_filters(), np.float32(FLOOR)))


class Fbank:
    """The stream's filter bank: push samples of any length, read frames by absolute index."""

    def __init__(self) -> None:
        self._samples = Tape()
        self.frames = Tape((MELS,))
        """Log-mel frames; frame i sees samples 160 i to 160 i + 400."""

    def push(self, samples: F32) -> None:
        """Add samples (n,) float32 in ±1."""
        self._samples.append(samples)
        first = self.frames.end * HOP
        new = fbank(self._samples.get(first, self._samples.end))
        if len(new):
            self.frames.append(new)
            self._samples.forget(self.frames.end * HOP)

    def forget(self, before: int) -> None:
        """Drop frames below absolute index `before`."""
        self.frames.forget(before)
