"""80-band log-mel filter bank as Kaldi computes it, frame by frame as samples arrive.

25 ms frames every 10 ms, DC removed and pre-emphasised inside the frame, Hamming window, 512-point power spectrum,
triangles linear in mel from 20 Hz to 8 kHz, natural logarithm floored at float32 epsilon. No dither. A frame depends on
its own 400 samples only, so any window's filter bank is a slice of the stream's.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from scipy import fft

from speakrs_stream.core.arrays import F32, F64, Array, Tape, frozen
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW

FRAME = 400
HOP = 160
FFT = 512
MELS = 80
PRE_EMPHASIS = 0.97
SCALE = float(1 << 15)
LOW_HZ = 20.0
BANDS = (0, 32, 64, MELS)
"""Edges of groups of filters: each has weight on few bins, so that most of one large product would be zeros."""
FLOOR = float(np.finfo(np.float32).eps)
ROWS = 16
"""Frames that are computed together."""
LAZY = 2 * WINDOW
"""Samples that wait for their frames at most."""
BATCH = 64 * ROWS
"""Frames computed at once; bounds the memory a long push takes."""
PIECE = 80
"""Samples that frames begin and end with multiples of."""
BLOCK = 100
"""Frames whose sum is kept for the means of all windows they lie in."""


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
def _bands() -> tuple[tuple[slice, slice, F32], ...]:
    """Some filters beside one another, the bins any of them has weight on, and their part of `mel_filters`."""
    found = []
    for low, high in pairwise(BANDS):
        bins = np.flatnonzero(mel_filters()[:, low:high].any(axis=1))
        used = slice(int(bins[0]), int(bins[-1]) + 1)
        found.append((slice(low, high), used, frozen(np.ascontiguousarray(mel_filters()[used, low:high]))))
    return tuple(found)


@cache
def _window() -> F32:
    """Hamming window, zeros behind it, times the scale of 16-bit samples: as a power of two it rounds nothing."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    return frozen(np.pad(window.astype(np.float32) * np.float32(SCALE), (0, FFT - FRAME)))


def fbank(samples: F32, first: int = 0) -> F32:
    """Log-mel features of samples (n,) in ±1: (1 + (n - 400) // 160, 80) float32, not mean-normalised.

    first: index in its stream of the frame that begins with the first sample. Frames are computed in blocks of `ROWS`
    counted from the stream's start, because matrix products round differently with the number of rows: with blocks of
    one shape a frame comes out the same to the last bit however the stream was chopped.
    """
    count = fbank_count(len(samples))
    out = np.empty((count, MELS), np.float32)
    heard = min(count, _last_sound(samples) // HOP + 1)
    out[heard:] = np.log(np.float32(FLOOR))  # padding takes no time
    start = 0
    while start < heard:
        place = (first + start) % ROWS
        end = min(start + BATCH - place, heard)
        out[start:end] = _log_mel(samples[start * HOP : (end - 1) * HOP + FRAME], place)
        start = end
    return out


def _last_sound(samples: F32) -> int:
    """Index of the last sample that is not 0; -1 where there is none."""
    if not len(samples) or samples[-1]:
        return len(samples) - 1
    sound = np.flatnonzero(samples)
    return int(sound[-1]) if len(sound) else -1


def _log_mel(samples: F32, place: int) -> F32:
    """Features of the frames in `samples`, the first of which is number `place` of its block."""
    samples = np.ascontiguousarray(samples, np.float32)
    count = fbank_count(len(samples))
    rows = -(-(place + count) // ROWS) * ROWS
    frames = np.zeros((rows, FFT), np.float32)  # each with the zeros behind it that its spectrum takes
    size = samples.itemsize
    view: F32 = np.ndarray((count, FRAME), samples.dtype, samples, strides=(HOP * size, size))  # frames overlap
    np.subtract(view, _means(samples, count), out=frames[place : place + count, :FRAME])
    first = frames[:, 0] * np.float32(1 - PRE_EMPHASIS)
    before = frames.ravel()[:-1] * np.float32(PRE_EMPHASIS)  # one long row is quicker than many
    frames.ravel()[1:] -= before
    frames[:, 0] = first
    frames *= _window()
    spectrum = fft.rfft(frames, axis=1)
    power = spectrum.real**2
    power += spectrum.imag**2
    blocks = power.reshape(-1, ROWS, FFT // 2 + 1)
    energy = np.empty((len(blocks), ROWS, MELS), np.float32)
    for filters, bins, weights in _bands():  # a product of (ROWS, bins) and (bins, filters) for each block
        np.matmul(blocks[..., bins], weights, out=energy[..., filters])
    log_mel: F32 = energy.reshape(rows, MELS)[place : place + count]
    np.maximum(log_mel, np.float32(FLOOR), out=log_mel)
    return np.log(log_mel, out=log_mel)


def _summed(frames: F32) -> F64:
    return np.asarray(np.add.reduce(frames, axis=0, dtype=np.float64))


def _means(samples: F32, count: int) -> F32:
    """Mean of each of the first `count` frames, (count, 1): of sums of pieces that neighbouring frames share."""
    parts = FRAME // PIECE
    sums = np.add.reduce(samples[: (count - 1) * HOP + FRAME].reshape(-1, PIECE), axis=1)
    every = HOP // PIECE
    total = sums[: (count - 1) * every + 1 : every].copy()
    for part in range(1, parts):
        total += sums[part : part + (count - 1) * every + 1 : every]
    total /= np.float32(FRAME)
    return np.asarray(total[:, None], np.float32)


class Fbank:
    """The stream's filter bank: push samples of any length, read frames by absolute index.

    Frames are computed when they are read, many at once, or when `LAZY` samples wait.
    """

    def __init__(self) -> None:
        self._samples = Tape()
        self._frames = Tape((MELS,))
        self._sums: dict[int, F64] = {}  # of blocks

    def push(self, samples: F32) -> None:
        """Add samples (n,) float32 in ±1."""
        self._samples.append(samples)
        if self._samples.end - self._samples.start > LAZY:
            self._compute()

    @property
    def frames(self) -> Tape:
        """Log-mel frames; frame i sees samples 160 i to 160 i + 400."""
        self._compute()
        return self._frames

    def _compute(self) -> None:
        first = self._frames.end
        if self._samples.end < first * HOP + FRAME:
            return
        new = fbank(self._samples.get(first * HOP, self._samples.end), first)
        if len(new):
            self._frames.append(new)
            self._samples.forget(self._frames.end * HOP)

    def mean(self, start: int, end: int) -> F32:
        """Mean (80,) of frames start..end, at least one, summed in float64."""
        total = np.zeros(MELS)
        at = start
        while at < end:
            block, place = divmod(at, BLOCK)
            until = min(at + BLOCK - place, end)
            total += self._sum(block) if until - at == BLOCK else _summed(self.frames.get(at, until))
            at = until
        return np.asarray(total / (end - start), np.float32)

    def _sum(self, block: int) -> F64:
        if block not in self._sums:
            self._sums[block] = _summed(self.frames.get(block * BLOCK, (block + 1) * BLOCK))
        return self._sums[block]

    def forget(self, before: int) -> None:
        """Drop frames below absolute index `before`."""
        self.frames.forget(before)
        self._sums = {block: total for block, total in self._sums.items() if block * BLOCK >= before}

    def state(self) -> tuple[list[int], dict[str, Array]]:
        """Plain values and arrays for a snapshot."""
        frames = self.frames
        arrays = {"samples": self._samples.all().copy(), "frames": frames.all().copy()}
        return [self._samples.start, frames.start], arrays

    def restore(self, plain: list[int], arrays: dict[str, Array]) -> None:
        """Take over what `state` saved."""
        self._samples = Tape.of(arrays["samples"], plain[0])
        self._frames = Tape.of(arrays["frames"], plain[1])
