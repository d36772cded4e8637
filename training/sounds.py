"""What a segmentation takes for speech that is none: silence, hum, noise, clicks, breath, laughter, music; synthetic.

`python -m training.sounds BUNDLE…`; a bundle is a folder with segmentation.onnx, or a network's file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.grid import WINDOW
from speakrs_stream.core.powerset import decode
from training.data import RATE, Audio
from training.teacher import session

Draw = Callable[[np.random.Generator], NDArray[np.float64]]
"""From a source of chance to ten seconds of a sound, at any level."""
TIMES = np.arange(WINDOW) / RATE


def shaped(rng: np.random.Generator, hertz: list[float], decibels: list[float]) -> NDArray[np.float64]:
    """Noise whose power follows a line through points of frequency and level."""
    spectrum = np.fft.rfft(rng.standard_normal(WINDOW))
    level = np.interp(np.fft.rfftfreq(WINDOW, 1 / RATE), hertz, decibels)
    return np.asarray(np.fft.irfft(spectrum * 10 ** (level / 20), WINDOW))


def bursts(rng: np.random.Generator, count: int, seconds: tuple[float, float], rise: float) -> NDArray[np.float64]:
    """An envelope, 0 to 1, of `count` bursts that rise for a share of their length and then fall."""
    out = np.zeros(WINDOW)
    for _ in range(count):
        length = int(rng.uniform(*seconds) * RATE)
        at = int(rng.integers(WINDOW - length))
        place = np.linspace(0, 1, length)
        out[at : at + length] += np.where(place < rise, place / rise, (1 - place) / (1 - rise))
    return np.minimum(out, 1)


def silence(rng: np.random.Generator) -> NDArray[np.float64]:
    """A quiet room: noise that falls with frequency."""
    return shaped(rng, [0, 100, 1000, 8000], [0, 0, -12, -30])


def hum(rng: np.random.Generator) -> NDArray[np.float64]:
    """Mains and a fan."""
    base = rng.uniform(45, 65)
    tones = sum(np.sin(2 * np.pi * base * h * TIMES) / h for h in range(1, 9))
    return np.asarray(tones + 0.3 * shaped(rng, [0, 300, 8000], [0, 0, -25]))


def clicks(rng: np.random.Generator) -> NDArray[np.float64]:
    """A keyboard, cups, a pen."""
    envelope = bursts(rng, int(rng.integers(10, 60)), (0.004, 0.05), 0.05)
    return envelope * shaped(rng, [0, 500, 3000, 8000], [-10, 0, 0, -6])


def breath(rng: np.random.Generator) -> NDArray[np.float64]:
    """In and out, near the microphone."""
    envelope = bursts(rng, int(rng.integers(3, 9)), (0.3, 1.2), rng.uniform(0.3, 0.7)) ** 2
    return envelope * shaped(rng, [0, 400, 1200, 3000, 8000], [-20, -6, 0, -6, -20])


def laughter(rng: np.random.Generator) -> NDArray[np.float64]:
    """Series of voiced and breathy calls, four to six a second, that sink; nobody says anything."""
    out = np.zeros(WINDOW)
    for _ in range(int(rng.integers(1, 4))):
        rate, pitch, calls = rng.uniform(4, 6), rng.uniform(160, 420), int(rng.integers(4, 10))
        start = rng.uniform(0, max(0.1, 10 - calls / rate))
        for call in range(calls):
            first, length = int((start + call / rate) * RATE), int(RATE / rate * rng.uniform(0.4, 0.6))
            length = min(length, WINDOW - first)
            if length < 800:
                break
            swell = np.sin(np.pi * np.arange(length) / length)
            glide = pitch * (1 - 0.03 * call) * (1 + 0.08 * swell)
            phase = 2 * np.pi * np.cumsum(glide) / RATE
            voiced = sum(np.sin(h * phase) * np.exp(-(((h * pitch - 800) / 700) ** 2)) for h in range(1, 14))
            envelope = swell**0.7 * 0.85**call
            out[first : first + length] += envelope * (voiced + 0.3 * rng.standard_normal(length))
    return out


def music(rng: np.random.Generator) -> NDArray[np.float64]:
    """Chords and a tune of plucked and held notes over a beat."""
    out = np.zeros(WINDOW)
    beat, root = rng.uniform(0.3, 0.7), rng.integers(36, 55)
    scale, held = [0, 2, 4, 5, 7, 9, 11], rng.random() < 0.5
    for number in range(int(10 / beat)):
        first = int(number * beat * RATE)
        notes = [root + 12 + scale[int(rng.integers(7))]]
        if number % 4 == 0:
            step = int(rng.integers(7))
            notes += [root + scale[(step + k) % 7] for k in (0, 2, 4)]
        for note in notes:
            length = min(int(beat * RATE * rng.integers(1, 4)), WINDOW - first)
            time = np.arange(length) / RATE
            hertz = 440 * 2 ** ((int(note) - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hertz * h * time) / h**1.3 for h in range(1, 9) if hertz * h < 7500)
            fade = np.minimum(time / 0.02, 1) * (1 if held else np.exp(-4 * time)) * np.minimum((time[::-1]) / 0.02, 1)
            out[first : first + length] += tone * fade
    drum = np.zeros(WINDOW)
    for number in range(int(10 / beat)):
        first = int(number * beat * RATE)
        length = min(1600, WINDOW - first)
        drum[first : first + length] = np.exp(-np.linspace(0, 6, length))
    return np.asarray(out / np.abs(out).max() + 0.3 * drum * shaped(rng, [0, 200, 8000], [0, 0, -15]) / 3)


SOUNDS: dict[str, Draw] = {f.__name__: f for f in (silence, hum, clicks, breath, laughter, music)}


def heard(draw: Draw, rng: np.random.Generator) -> Audio:
    """One window of a sound at -55 to -15 dBFS over a quiet room 20 to 40 dB below."""
    sound, room = draw(rng), silence(rng)
    level = 10 ** (rng.uniform(-55, -15) / 20)
    sound = sound * (level / max(float(np.sqrt(np.mean(sound**2))), 1e-9))
    room = room * (level * 10 ** (-rng.uniform(20, 40) / 20) / float(np.sqrt(np.mean(room**2))))
    return np.asarray(np.clip(sound + room, -1, 1), dtype=np.float32)


def claimed(network: Path, windows: int, seed: int) -> dict[str, float]:
    """Share of frames of each sound in which the network hears somebody, in percent."""
    run = session(network)
    found = {}
    for name, draw in SOUNDS.items():
        rng = np.random.default_rng(seed)
        shares = []
        for _ in range(windows):
            scores = run.run(None, {"input": heard(draw, rng)[None, None]})[0][0]
            shares.append(float(decode(scores).any(axis=1).mean()))
        found[name] = round(100 * float(np.mean(shares)), 1)
    return found


def main() -> None:
    """`python -m training.sounds BUNDLE…`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--windows", type=int, default=60, help="of ten seconds, of each sound")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    for path in options.bundles:
        network = path / "segmentation.onnx" if path.is_dir() else path
        print(json.dumps({str(path): claimed(network, options.windows, options.seed)}))


if __name__ == "__main__":
    main()
