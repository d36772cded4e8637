"""A store of windows to teach a student with: simulated ones, and real ones made new in many ways."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import soxr
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from training.data import RATE, read_audio
from training.pyannet import FRAMES
from training.simulate import WINDOW, Audio, Simulator, Voices

log = logging.getLogger(__name__)
UNKNOWN = 255


def excerpt(clips: list[Audio], length: int, rng: np.random.Generator) -> Audio:
    """`length` samples from a random place of a random clip, played up to a fifth faster or slower."""
    clip = clips[int(rng.integers(len(clips)))]
    factor = float(np.exp(rng.uniform(-0.2, 0.2))) if rng.random() < 0.7 else 1.0
    needed = min(round(length * factor) + 64, len(clip))
    start = int(rng.integers(0, len(clip) - needed + 1))
    piece = clip[start : start + needed]
    if factor != 1.0:
        piece = soxr.resample(piece, RATE * factor, RATE, quality="MQ").astype(np.float32)
    return np.pad(piece[:length], (0, max(0, length - len(piece))))


def real_window(clips: list[Audio], simulator: Simulator, rng: np.random.Generator) -> Audio:
    """Real audio made new: one excerpt, two spliced, or two at once; a little noise, another level."""
    kind = rng.random()
    samples = excerpt(clips, WINDOW, rng)
    if kind < 0.3:
        cut = int(rng.uniform(0.1, 0.9) * WINDOW)
        fade = np.clip((np.arange(WINDOW) - cut) / 800 + 0.5, 0, 1).astype(np.float32)
        samples = samples * (1 - fade) + excerpt(clips, WINDOW, rng) * fade
    elif kind < 0.5:
        length = int(rng.uniform(0.1, 1.0) * WINDOW)
        at = int(rng.integers(0, WINDOW - length + 1))
        samples[at : at + length] += excerpt(clips, length, rng) * 10 ** (rng.uniform(-10, 6) / 20)
    if rng.random() < 0.3:
        size = next_fast_len(WINDOW + 4000, real=True)
        strength = 10 ** (-rng.uniform(25, 55) / 20) * float(np.std(samples)) / 0.05
        spectrum = rfft(samples, size) + simulator.noise(size, strength)
        samples = irfft(spectrum, size)[:WINDOW].astype(np.float32)
    return levelled(samples, rng)


def levelled(samples: Audio, rng: np.random.Generator) -> Audio:
    """Another level, below clipping."""
    peak = float(np.abs(samples).max()) + 1e-9
    return np.asarray(samples * min(0.9 / peak, 10 ** (rng.uniform(-15, 10) / 20)), dtype=np.float32)


def joined(samples: Audio, other: Audio, rng: np.random.Generator) -> Audio:
    """A simulated conversation in the same recording, 22 dB below to 6 dB above."""
    gain = float(np.std(samples)) / (float(np.std(other)) + 1e-6) * 10 ** (rng.uniform(-22, 6) / 20)
    return np.asarray(samples + other * gain, dtype=np.float32)


def elsewhere(samples: Audio, rooms: NDArray[np.float32], rng: np.random.Generator) -> Audio:
    """Gains over frequency for every other window, and for a fifth one more room."""
    channel, room = rng.random() < 0.5, rng.random() < 0.2
    if not channel and not room:
        return samples
    size = next_fast_len(WINDOW + rooms.shape[2], real=True)
    spectrum = rfft(samples, size)
    if room:
        spectrum *= rfft(rooms[int(rng.integers(len(rooms))), int(rng.integers(rooms.shape[1]))], size)
    if channel:
        places = np.sqrt(np.linspace(0, 1, len(spectrum)))
        spectrum *= 10 ** (np.interp(places, np.linspace(0, 1, 10), rng.normal(0, 3.5, 10)) / 20)
    return np.asarray(irfft(spectrum, size)[:WINDOW], dtype=np.float32)


def to_integers(samples: Audio) -> NDArray[np.int16]:
    """Samples as they are stored."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def build(options: argparse.Namespace) -> None:
    """Write samples.npy [N, 160000] and active.npy [N, 589, 3] (255: nobody knows)."""
    references = sorted((options.shared / "reference").glob("*/*.rttm"))
    used = references[::10] if options.measured else [r for i, r in enumerate(references) if i % 10]
    voices = Voices([f.parent for f in sorted(options.work.glob("bank-*/index.npy"))])
    simulator = Simulator(used, voices, options.work / "rooms.npy", options.seed)
    rooms = np.load(options.work / "rooms.npy", mmap_mode="r")
    rng = np.random.default_rng([options.seed, 1])
    clips = sorted((options.shared / "speech" / "ami").glob("*.flac"))
    real = [read_audio(path) for path in clips[: len(clips) // 2]]
    folder = options.work / options.name
    folder.mkdir(parents=True, exist_ok=True)
    samples = open_memmap(folder / "samples.npy", "w+", np.int16, (options.count, WINDOW))
    active = open_memmap(folder / "active.npy", "w+", np.uint8, (options.count, FRAMES, 3))
    for row in range(options.count):
        if rng.random() < options.real:
            window = real_window(real, simulator, rng)
            if rng.random() < 0.45:
                window = joined(window, simulator.window().samples, rng)
            window = elsewhere(window, rooms, rng)
            samples[row], active[row] = to_integers(levelled(window, rng)), UNKNOWN
        else:
            simulated = simulator.window()
            samples[row], active[row] = to_integers(simulated.samples), simulated.active
        if row % 400 == 0:
            (folder / "ready").write_text(str(row + 1))
            log.info("%s: %d of %d windows", options.name, row, options.count)
    (folder / "ready").write_text(str(options.count))


def main() -> None:
    """`python -m training.windows SHARED WORK NAME --count 6000`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("name")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--real", type=float, default=0.6, help="share of altered real excerpts")
    parser.add_argument("--measured", action="store_true", help="take the references kept for measuring")
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    build(options)


if __name__ == "__main__":
    main()
