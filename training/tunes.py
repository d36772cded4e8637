"""Music and tones more various than those of `sounds.py`, to teach with; and bells, which nothing is taught with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.grid import WINDOW
from training.data import RATE
from training.sounds import bursts, shaped

SCALES = ([0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9])
Chance = np.random.Generator
Sound = NDArray[np.float64]


class Instrument:
    """Notes of one colour: harmonics, vibrato, attack and decay."""

    def __init__(self, rng: Chance) -> None:
        count = int(rng.integers(1, 14))
        self._harmonics = np.arange(1, count + 1) ** -rng.uniform(0.3, 2.2) * 10 ** (rng.normal(0, 4, count) / 20)
        self._vibrato = (rng.uniform(3.5, 7), rng.uniform(0, 0.012) * (rng.random() < 0.5))
        self._attack = float(np.exp(rng.uniform(np.log(0.003), np.log(0.15))))
        self._decay = 0.0 if rng.random() < 0.4 else rng.uniform(0.5, 8)
        self._chorus = rng.uniform(0, 0.006) * (rng.random() < 0.4)

    def note(self, number: float, length: int) -> Sound:
        """A note of the MIDI scale, `length` samples long."""
        time = np.arange(length) / RATE
        hertz = 440 * 2 ** ((number - 69) / 12)
        speed, depth = self._vibrato
        phase = 2 * np.pi * hertz * (time - depth / (2 * np.pi * speed) * np.cos(2 * np.pi * speed * time))
        out = np.zeros(length)
        for order, strength in enumerate(self._harmonics, start=1):
            if hertz * order < 7600:
                out += strength * np.sin(order * phase)
                if self._chorus:
                    out += strength * np.sin(order * phase * (1 + self._chorus))
        ends = np.minimum(time / self._attack, 1) * np.minimum(time[::-1] / 0.03, 1)
        return np.asarray(out * np.exp(-self._decay * time) * ends)


def put(out: Sound, at: int, piece: Sound) -> None:
    """Add a piece from a place on, as far as there is room."""
    piece = piece[: max(0, len(out) - at)]
    out[at : at + len(piece)] += piece


def drums(rng: Chance, beat: float) -> Sound:
    """A drum, a snare and a cymbal, each on some eighths of a bar."""
    out = np.zeros(WINDOW)
    pattern = rng.random((3, 8)) < np.array([[0.35], [0.25], [0.6]])
    colours = [shaped(rng, [0, 90, 300, 8000], [0, 0, -25, -60]) * 8, shaped(rng, [0, 8000], [0, 0])]
    colours.append(shaped(rng, [0, 3000, 6000, 8000], [-50, -20, 0, 0]))
    for number in range(int(20 / beat)):
        at = int(number * beat / 2 * RATE)
        for hit, colour, seconds in zip(pattern[:, number % 8], colours, (0.15, 0.12, 0.06), strict=True):
            if hit:
                length = min(int(seconds * RATE), WINDOW - at)
                put(out, at, colour[at : at + length] * np.exp(-np.linspace(0, 6, length)))
    return out


def song(rng: Chance) -> Sound:
    """One to three instruments in one key, in a tune, in chords or in broken ones, with drums or without."""
    out = np.zeros(WINDOW)
    beat, scale = rng.uniform(0.25, 1.0), SCALES[int(rng.integers(len(SCALES)))]
    for _ in range(int(rng.integers(1, 4))):
        player, root, kind = Instrument(rng), int(rng.integers(33, 68)), int(rng.integers(3))
        step, number, place = 0, 0, float(rng.uniform(-1, 0))
        layer = np.zeros(WINDOW)
        while place < 10:
            length = beat * float(rng.choice([0.5, 1, 1, 2, 4])) if kind < 2 else beat / 2
            step = int(rng.integers(7)) if number % 4 == 0 or kind == 1 else step + int(rng.integers(-2, 3))
            degrees = [step, step + 2, step + 4] if kind == 1 else [step + 2 * (number % 4)] if kind == 2 else [step]
            for degree in degrees:
                octave, within = divmod(degree, len(scale))
                tone = player.note(root + 12 * octave + scale[within], int(length * RATE * rng.uniform(0.7, 1.6)))
                if place >= 0 and rng.random() < 0.9:
                    put(layer, int(place * RATE), tone)
            place, number = place + length, number + 1
        out += layer / (float(np.abs(layer).max()) + 1e-9) * rng.uniform(0.3, 1)
    if rng.random() < 0.6:
        beats = drums(rng, beat)
        out += beats / (float(np.abs(beats).max()) + 1e-9) * rng.uniform(0.2, 1)
    return out


def tones(rng: Chance) -> Sound:
    """A telephone that rings, dials or is busy, and beeps."""
    envelope = np.zeros(WINDOW)
    sounding, pause = rng.uniform(0.05, 1.5), rng.uniform(0.05, 2.0)
    place, out, kind = rng.uniform(0, 1), np.zeros(WINDOW), rng.random()
    pair = rng.uniform(300, 1800, 2)
    while place < 10:
        first, last = int(place * RATE), min(WINDOW, int((place + sounding) * RATE))
        time = np.arange(last - first) / RATE
        envelope[first:last] = np.minimum(time / 0.005, 1) * np.minimum(time[::-1] / 0.005, 1)
        if kind < 0.4:
            pair = rng.uniform(300, 1800, 2)
        out[first:last] = np.sin(2 * np.pi * pair[0] * time) + (kind < 0.7) * np.sin(2 * np.pi * pair[1] * time)
        place += sounding + pause
    return out * envelope


def bells(rng: Chance) -> Sound:
    """Notes whose frequency is modulated, gliding, over a swelling noise: taught with nowhere, to be measured by."""
    out = shaped(rng, [0, 200, 1000, 8000], [-10, 0, -10, -30]) * bursts(rng, 4, (2.0, 6.0), 0.5) * 0.2
    root, place = int(rng.integers(45, 72)), 0.0
    while place < 10:
        length = int(rng.uniform(0.2, 2.0) * RATE)
        time = np.arange(length) / RATE
        hertz = 440 * 2 ** ((root + int(rng.choice([0, 3, 5, 7, 10, 12])) - 69) / 12)
        swing = rng.uniform(0.5, 6) * np.exp(-rng.uniform(0.5, 4) * time)
        phase = 2 * np.pi * hertz * time * (1 + rng.uniform(-0.03, 0.03) * time)
        tone = np.sin(phase + swing * np.sin(phase * float(rng.choice([0.5, 1, 1.4, 2, 3.5]))))
        put(out, int(place * RATE), tone * np.exp(-2 * time) * np.minimum(time[::-1] / 0.02, 1))
        place += rng.uniform(0.15, 0.8)
    return out
