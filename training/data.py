"""Voices: reading LibriSpeech and AMI, the held-out list, and the segmentation's bank of perturbed copies."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

RATE = 16000
HELD_OUT_FILE = Path(__file__).with_name("held_out.txt")
SPEED_FACTORS = (1.0, 0.80, 0.86, 0.93, 1.075, 1.155, 1.24)
log = logging.getLogger(__name__)

Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of an RTTM file, times in seconds."""

    start: float
    end: float
    speaker: str


def read_audio(path: Path) -> Audio:
    """Mono float32 samples at 16 kHz; any other rate is refused."""
    samples, rate = sf.read(path, dtype="float32")
    if rate != RATE:
        raise ValueError(f"{path}: expected {RATE} Hz, got {rate}")
    return np.asarray(samples if samples.ndim == 1 else samples.mean(axis=1), dtype=np.float32)


def read_rttm(path: Path) -> list[Turn]:
    """Turns of an RTTM file in file order."""
    turns = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            start, length = float(fields[3]), float(fields[4])
            turns.append(Turn(start, start + length, fields[7]))
    return turns


def speakers_of(folder: Path) -> dict[str, list[Path]]:
    """Files of each LibriSpeech speaker; the speaker is the first part of the file's name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.flac")):
        found.setdefault(path.name.split("-")[0], []).append(path)
    return found


def held_out() -> set[str]:
    """Training speakers kept away from the embedding, for PLDA checks and re-voiced meetings."""
    return set(HELD_OUT_FILE.read_text(encoding="utf-8").split())


def write_held_out(folder: Path, count: int, seed: int) -> None:
    """Draw the held-out list once; it is part of the repository."""
    names = sorted(speakers_of(folder))
    chosen = np.random.default_rng(seed).choice(names, size=count, replace=False)
    HELD_OUT_FILE.write_text("\n".join(sorted(chosen, key=int)) + "\n", encoding="utf-8")


def speed_copies(samples: Audio) -> list[Audio]:
    """The voice at every speed factor (pitch, formants and tempo move together)."""
    import soxr

    return [samples if f == 1.0 else soxr.resample(samples, RATE * f, RATE).astype(np.float32) for f in SPEED_FACTORS]


def vocoded_copies(samples: Audio, count: int, rng: np.random.Generator) -> list[Audio]:
    """The voice with pitch and formants moved independently by the WORLD vocoder, at its own tempo."""
    import pyworld

    x = samples.astype(np.float64)
    f0, times = pyworld.dio(x, RATE)
    f0 = pyworld.stonemask(x, f0, times, RATE)
    envelope = pyworld.cheaptrick(x, f0, times, RATE)
    aperiodicity = pyworld.d4c(x, f0, times, RATE)
    bins = np.arange(envelope.shape[1])
    copies = []
    for _ in range(count):
        pitch = float(np.exp(rng.uniform(np.log(0.70), np.log(1.45))))
        formant = float(np.exp(rng.uniform(np.log(0.84), np.log(1.19))))
        source = np.clip(bins / formant, 0, bins[-1])
        low = np.floor(source).astype(int)
        high = np.minimum(low + 1, bins[-1])
        share = source - low
        warped = envelope[:, low] ** (1 - share) * envelope[:, high] ** share
        noise = aperiodicity[:, low] * (1 - share) + aperiodicity[:, high] * share
        y = pyworld.synthesize(f0 * pitch, np.ascontiguousarray(warped), np.ascontiguousarray(noise), RATE)
        copies.append(y.astype(np.float32))
    return copies


def build_bank(voices: Path, target: Path, kind: str, seed: int, count: int) -> None:
    """Write samples.npy (int16, flat), index.npy [N, 4] (speaker, variant, start, length)."""
    target.mkdir(parents=True, exist_ok=True)
    kept_away = held_out()
    names = [name for name in sorted(speakers_of(voices), key=int) if name not in kept_away]
    files = speakers_of(voices)
    pieces: list[NDArray[np.int16]] = []
    rows: list[tuple[int, int, int, int]] = []
    position = 0
    for number, name in enumerate(names):
        samples = np.concatenate([read_audio(path) for path in files[name]])
        if kind == "speed":
            copies, first = speed_copies(samples), 0
        else:
            rng = np.random.default_rng([seed, number])
            copies, first = vocoded_copies(samples, count, rng), len(SPEED_FACTORS)
        for variant, copy in enumerate(copies, start=first):
            copy = copy * (0.7 / max(float(np.abs(copy).max()), 1e-3))
            pieces.append((copy * 32767).astype(np.int16))
            rows.append((number, variant, position, len(copy)))
            position += len(copy)
        if number % 20 == 0:
            log.info("%s: %d of %d voices", kind, number, len(names))
    np.save(target / "samples.npy", np.concatenate(pieces))
    np.save(target / "index.npy", np.asarray(rows, dtype=np.int64))


def main() -> None:
    """`python -m training.data SHARED WORK speed|vocoder`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("kind", choices=["held-out", "speed", "vocoder"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10, help="vocoded copies of each voice")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    voices = options.shared / "speech" / "librispeech" / "train"
    if options.kind == "held-out":
        write_held_out(voices, 40, options.seed)
        return
    build_bank(voices, options.work / f"bank-{options.kind}", options.kind, options.seed, options.count)


if __name__ == "__main__":
    main()
