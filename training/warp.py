"""New voices out of one: pitch and speed by resampling, formants by a random warp of the spectral envelope.

The harmonics keep the phases of the recording, so nothing sounds vocoded, and a second of a copy costs some 2 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

RATE = 16000
SIZE = 512
HOP = 128
LIFTER = 30
"""Cepstral coefficients that make the envelope: 1.9 ms, below the pitch period of nearly everybody."""
TREND = 5
"""Cepstral coefficients that make the trend of the envelope, without formants."""
KNOTS = np.array([0, 600, 1200, 2000, 3000, 4200, 5800, 8000], dtype=np.float64)
FINE = np.concatenate([np.arange(0, 2000, 200), np.geomspace(2000, 8000, 11)])
MOST = 3.0
"""Largest gain of a bin, as a natural logarithm of the amplitude (26 dB)."""

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Warp:
    """What makes one voice out of another."""

    pitch: float
    """Factor of pitch, speed and (before the warp) formants."""

    source: Floats
    """Where the envelope of each frequency is read, Hz, at `KNOTS`."""

    gain: Floats
    """Amplitude gain at `FINE`, natural logarithm."""

    sharpness: float = 1.0
    """Factor of the height of formants over the trend of the envelope."""

    breath: float = 0.0
    """Amplitude of noise above 2 kHz, as a share of the envelope."""


def draw(rng: np.random.Generator, width: float = 1.0) -> Warp:
    """A random voice: formants follow the pitch by about a third, as they do between people, and bend on their own.

    `width` scales how far pitch and formants go from the person's own.
    """
    pitch = float(np.exp(width * rng.uniform(np.log(0.72), np.log(1.4))))
    formants = float(np.exp(0.35 * np.log(pitch) + width * rng.uniform(-0.16, 0.16)))
    slopes = np.exp(width * rng.normal(0, 0.12, len(KNOTS) - 1)) * pitch / formants
    source = np.concatenate([[0.0], np.cumsum(np.diff(KNOTS) * slopes)])
    coarse = np.interp(FINE, KNOTS, rng.normal(0, 0.25, len(KNOTS))) + rng.normal(0, 0.35) * (FINE / 4000 - 1)
    gain = coarse + rng.normal(0, 0.2, len(FINE))
    breath = max(0.0, float(rng.normal(-0.1, 0.3)))
    return Warp(pitch, source, gain, float(np.exp(rng.normal(0, 0.15))), breath)


def apply(samples: Audio, warp: Warp, rng: np.random.Generator) -> Audio:
    """The voice changed: about `len(samples) / warp.pitch` samples."""
    x = np.asarray(soxr.resample(samples, RATE * warp.pitch, RATE), dtype=np.float32)
    window = np.sqrt(np.hanning(SIZE + 1)[:-1]).astype(np.float32)
    frames = max(1, -(-len(x) // HOP) + SIZE // HOP - 1)
    lead = SIZE - HOP
    padded = np.zeros(lead + frames * HOP + SIZE, dtype=np.float32)
    padded[lead : lead + len(x)] = x
    cut = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[: frames * HOP : HOP] * window
    pieces = irfft(changed(rfft(cut), warp, rng), SIZE) * window
    out = np.zeros_like(padded)
    for part in range(SIZE // HOP):
        block = pieces[:, part * HOP : (part + 1) * HOP]
        out[part * HOP : (part + frames) * HOP] += block.reshape(-1)
    out *= np.float32(2 * HOP / SIZE)
    return np.asarray(out[lead : lead + len(x)], dtype=np.float32)


def changed(spectrum: NDArray[np.complex64], warp: Warp, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Spectra of frames [F, 257] with the envelope of the new voice, and its breath."""
    cepstrum = irfft(np.log(np.abs(spectrum) + np.float32(1e-5)), SIZE)
    cepstrum[:, LIFTER : SIZE - LIFTER + 1] = 0
    envelope = rfft(cepstrum).real.astype(np.float32)
    cepstrum[:, TREND : SIZE - TREND + 1] *= np.float32(warp.sharpness)
    wanted = rfft(cepstrum).real.astype(np.float32)
    hertz = np.arange(SIZE // 2 + 1) * RATE / SIZE
    at = np.clip(np.interp(hertz, KNOTS, warp.source), 0, RATE / 2) * SIZE / RATE
    low = np.minimum(at.astype(int), SIZE // 2 - 1)
    share = (at - low).astype(np.float32)
    moved = wanted[:, low] * (1 - share) + wanted[:, low + 1] * share
    moved += np.interp(hertz, FINE, warp.gain).astype(np.float32)
    moved = envelope + np.clip(moved - envelope, -MOST, MOST)
    result = spectrum * np.exp(moved - envelope)
    if warp.breath:
        noise = rng.standard_normal((2, *moved.shape), dtype=np.float32)
        level = np.float32(warp.breath) * np.clip((hertz - 1500) / 2000, 0, 1).astype(np.float32)
        result += np.exp(moved) * level * (noise[0] + 1j * noise[1])
    return np.asarray(result, dtype=np.complex64)
