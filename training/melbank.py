"""What the embedding hears: log-mel frames of every voice and its warped copies, dry, in a room, coded; real clips."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import oaconvolve
from torch import Tensor

from training import warp
from training.codecs import through_codec
from training.data import Audio, held_out, read_audio, speakers_of
from training.features import MELS, Fbank
from training.network import OFFSET
from training.teacher import DVector

CLASSES = 64
"""Class numbers kept for the copies of one voice."""
TEACHER_HOP = 2.4
KINDS = ("dry", "room", "codec")
"""Files of a bank, by number of the kind; `codec` is there only where it was asked for."""
CODED_DRY = 0.55
"""How many of the coded copies are dry; the others are in the room."""
log = logging.getLogger(__name__)


def levelled(samples: Audio) -> Audio:
    """Scaled to a peak of 0.7 and rounded to 16 bits."""
    scaled = samples * (0.7 / max(float(np.abs(samples).max()), 1e-3))
    return np.asarray(np.round(scaled * 32767) / 32768, dtype=np.float32)


def in_room(samples: Audio, rooms: NDArray[np.float32], rng: np.random.Generator) -> Audio:
    """The voice from a random seat of a random room, as long as before."""
    response = rooms[int(rng.integers(len(rooms))), int(rng.integers(rooms.shape[1]))]
    return levelled(oaconvolve(samples, response)[: len(samples)].astype(np.float32))


def build(
    voices: Path,
    rooms: NDArray[np.float32],
    target: Path,
    part: int,
    count: int,
    width: float,
    teacher: DVector,
    seed: int,
    codecs: bool = False,
) -> None:
    """Write copies `part * count …` of every voice; copy 0 is the voice itself.

    `dry.npy`, `room.npy` and with `codecs` `codec.npy` are float16 log-mel frames [F, 80], `index.npy` [N, 4] speaker,
    copy, first frame, frames, `teacher.npy` [N, 256].
    """
    target.mkdir(parents=True, exist_ok=True)
    away = held_out()
    files = speakers_of(voices)
    fbank = Fbank()
    kinds = KINDS if codecs else KINDS[:2]
    heard: dict[str, list[NDArray[np.float16]]] = {kind: [] for kind in kinds}
    rows: list[tuple[int, int, int, int]] = []
    vectors: list[NDArray[np.float32]] = []
    position = 0
    for number, name in enumerate(name for name in sorted(files, key=int) if name not in away):
        samples = np.concatenate([read_audio(path) for path in files[name]])
        rng = np.random.default_rng([seed, part, number])
        coding = np.random.default_rng([seed, part, number, 1])
        for copy in range(part * count, (part + 1) * count):
            changed = levelled(warp.apply(samples, warp.draw(rng, width), rng) if copy else samples)
            sounds = [changed, in_room(changed, rooms, rng)]
            if codecs:
                sounds.append(through_codec(sounds[int(coding.random() > CODED_DRY)], coding))
            frames = fbank(torch.from_numpy(np.stack(sounds))).numpy().astype(np.float16)
            for kind, found in zip(kinds, frames, strict=True):
                heard[kind].append(found)
            rows.append((number, copy, position, frames.shape[1]))
            vectors.append(teacher.utterance(changed, TEACHER_HOP))
            position += frames.shape[1]
        if number % 20 == 0:
            log.info("part %d: voice %d", part, number)
    for kind, pieces in heard.items():
        np.save(target / f"{kind}.npy", np.concatenate(pieces).reshape(-1, MELS))
    np.save(target / "teacher.npy", np.stack(vectors))
    np.save(target / "index.npy", np.asarray(rows, dtype=np.int64))


class MelBank:
    """Voices of one or more folders, read from memory-mapped files."""

    def __init__(self, folders: list[Path]) -> None:
        self.coded = all((folder / "codec.npy").exists() for folder in folders)
        """Whether every voice has coded copies."""
        kinds = KINDS if self.coded else KINDS[:2]
        self._frames = [[np.load(folder / f"{kind}.npy", mmap_mode="r") for kind in kinds] for folder in folders]
        index = [np.load(folder / "index.npy") for folder in folders]
        self._index = np.concatenate([np.c_[np.full(len(rows), i), rows] for i, rows in enumerate(index)])
        self.teacher = np.concatenate([np.load(folder / "teacher.npy") for folder in folders])
        self.speakers = int(self._index[:, 1].max()) + 1

    def __len__(self) -> int:
        return len(self._index)

    def speaker(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Speaker number of each item."""
        return np.asarray(self._index[items, 1])

    def classes(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class number of each item."""
        return np.asarray(self._index[items, 1] * CLASSES + self._index[items, 2])

    def crops(
        self, items: NDArray[np.int64], kinds: NDArray[np.int64], frames: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Random crops of given kinds and dry, [B, frames, 80] each; tempo changes by up to 18 %."""
        heard = np.empty((len(items), frames, MELS), dtype=np.float16)
        dry = np.empty_like(heard)
        tempos = np.exp(rng.uniform(-0.17, 0.17, len(items)) * (rng.random(len(items)) < 0.6))
        for row, item in enumerate(items):
            folder, _, _, first, size = self._index[item]
            at = (np.arange(frames) * tempos[row]).astype(np.int64)
            spare = size - 1 - at[-1]
            at = at + int(rng.integers(spare)) if spare > 0 else at % size
            files = self._frames[folder]
            dry[row] = files[0][first + at]
            heard[row] = files[kinds[row]][first + at]
        return torch.from_numpy(heard.astype(np.float32)), torch.from_numpy(dry.astype(np.float32))


class Real:
    """Unlabelled recordings with the teacher's vectors of every stretch, both computed once."""

    def __init__(self, clips: list[Path], teacher: DVector) -> None:
        fbank = Fbank()
        self._frames: list[Tensor] = []
        self._partials: list[NDArray[np.float32]] = []
        for path in clips:
            samples = read_audio(path)
            self._frames.append(fbank(torch.from_numpy(samples)[None])[0])
            mels = teacher.mel(samples)
            starts = range(0, len(mels) - 160, 20)
            self._partials.append(teacher.partials(np.stack([mels[s : s + 160] for s in starts])))

    def draw(self, frames: int, rng: np.random.Generator) -> tuple[Tensor, NDArray[np.float32]]:
        """A random crop [frames, 80] and the teacher's vector of its middle (what its features are centred on)."""
        clip = int(rng.integers(len(self._frames)))
        partials = self._partials[clip]
        start = int(rng.integers(0, len(self._frames[clip]) - frames))
        first = (start + OFFSET) // 20
        last = max(first, (start + frames - OFFSET - 160) // 20)
        chosen = partials[min(first, len(partials) - 1) : last + 1]
        mean = chosen.mean(axis=0)
        return self._frames[clip][start : start + frames], mean / np.linalg.norm(mean)


def main() -> None:
    """`python -m training.melbank SHARED WORK --part 0 --copies 8`: WORK/mel-0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--copies", type=int, default=8, help="copies of each voice in this part")
    parser.add_argument("--width", type=float, default=1.0, help="how far the copies go from the person")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--codecs", action="store_true", help="a coded copy of each as well; training then draws it")
    options = parser.parse_args()
    if (options.part + 1) * options.copies > CLASSES:
        raise SystemExit(f"--part and --copies: at most {CLASSES} copies of a voice")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    voices = options.shared / "speech" / "librispeech" / "train"
    teacher = DVector(options.shared / "models" / "teachers")
    rooms = np.load(options.work / "rooms.npy")
    target = options.work / f"mel-{options.part}"
    build(voices, rooms, target, options.part, options.copies, options.width, teacher, options.seed, options.codecs)


if __name__ == "__main__":
    main()
