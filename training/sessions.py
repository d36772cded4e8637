"""Voices that differ from one phrase to the next, as people do between recordings.

Where there is one utterance of a person, meetings repeat it, and the voice resembles itself more than it should. Here
every voice gets several copies of its utterance with a slightly other pitch, formants, spectral tilt and channel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from training import warp
from training.data import RATE, held_out, read_audio, speakers_of


def mild(rng: np.random.Generator, strength: float) -> warp.Warp:
    """A change that leaves the person the same: at strength 1, pitch by 3 %, formants by 2 %, channel by 2 dB."""
    pitch = float(np.exp(rng.normal(0, 0.03 * strength)))
    slopes = np.exp(rng.normal(0, 0.02 * strength, len(warp.KNOTS) - 1)) * pitch
    source = np.concatenate([[0.0], np.cumsum(np.diff(warp.KNOTS) * slopes)])
    gain = np.interp(warp.FINE, warp.KNOTS, rng.normal(0, 0.23 * strength, len(warp.KNOTS)))
    return warp.Warp(pitch, source, gain)


def main() -> None:
    """`python -m training.sessions VOICES OUT [--held-out] [--sessions 6]`: OUT/SPEAKER-0-SESSION.flac."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("voices", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", action="store_true", help="the voices kept away from training, not the others")
    parser.add_argument("--copies", type=int, default=0, help="speak as so many new people made of each instead")
    parser.add_argument("--sessions", type=int, default=6)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=31)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    away = held_out()
    for name, files in speakers_of(options.voices).items():
        if (name in away) != options.held_out:
            continue
        samples = np.concatenate([read_audio(path) for path in files])
        people = {name: samples}
        if options.copies:
            people = {f"{name}{copy:02d}": warp.apply(samples, warp.draw(rng), rng) for copy in range(options.copies)}
        for person, voice in people.items():
            for session in range(options.sessions):
                changed = warp.apply(voice, mild(rng, options.strength), rng)
                changed *= 0.7 / max(float(np.abs(changed).max()), 1e-3)
                soundfile.write(options.out / f"{person}-0-{session:04d}.flac", changed, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
