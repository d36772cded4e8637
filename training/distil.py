"""Trains the slower LSTM on stored windows: on PyanNet's answers, and on the true ones where they are known."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.pyannet import FIELD, FRAME_STEP, FRAMES, POWERSET, load_exported
from training.segmentation import PERMUTATIONS, permutation_loss, real_errors, simulated_errors
from training.simulate import Audio
from training.student import Student, start_from
from training.windows import UNKNOWN

log = logging.getLogger(__name__)
CHUNK = 16


def class_orders() -> Tensor:
    """What becomes of the seven classes when the speakers are permuted: [6, 7]."""
    rows = [[int(v) for v in row] for row in POWERSET]
    return torch.tensor([[rows.index([row[k] for k in p]) for row in rows] for p in PERMUTATIONS])


def taught_loss(output: Tensor, teacher: Tensor) -> Tensor:
    """Divergence from the teacher's log-probabilities [B, T, 7] under the best permutation of each window."""
    orders = class_orders()
    each = [
        functional.kl_div(output, teacher[..., o], log_target=True, reduction="none").sum(-1).mean(1) for o in orders
    ]
    return torch.stack(each).min(dim=0).values.mean()


class Store:
    """Stored windows as the features of the convolutions, in memory."""

    def __init__(self, folders: list[Path], student: Student, cut: float, seed: int) -> None:
        self._folders, self._student, self._cut = folders, student, cut
        self._rng = np.random.default_rng([seed, 3])
        self._taken = dict.fromkeys(folders, 0)
        self._rows: dict[bool, list[int]] = {False: [], True: []}
        self.features: list[Tensor] = []
        self.active: list[Tensor] = []
        self.teacher: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.features)

    def grow(self, most: int) -> None:
        """Take at most `most` more windows of each folder."""
        for folder in self._folders:
            ready, taken = int((folder / "ready").read_text()), self._taken[folder]
            last = min(ready, taken + most)
            samples, active, teacher = (np.load(folder / f"{n}.npy", "r") for n in ("samples", "active", "teacher"))
            for first in range(taken, last, CHUNK):
                rows = slice(first, min(first + CHUNK, last))
                wave = samples[rows].astype(np.float32)[:, None] / np.float32(32768)
                self._take(wave, active[rows].copy(), teacher[rows].copy())
            self._taken[folder] = last

    def _take(self, wave: Audio, active: NDArray[np.uint8], teacher: NDArray[np.float16]) -> None:
        """Keep a few windows, some of them ended by digital silence, as the first looks at a stream are."""
        for row in np.flatnonzero(self._rng.random(len(wave)) < self._cut):
            frame = int(self._rng.integers(30, FRAMES - 10))
            wave[row, 0, round(frame * FRAME_STEP + FIELD / 2) :] = 0
            teacher[row, frame:] = np.log(np.array([0.97] + [0.005] * (len(POWERSET) - 1)))
            if active[row, 0, 0] != UNKNOWN:
                active[row, frame:] = 0
        for row, first in enumerate(active[:, 0, 0], start=len(self)):
            self._rows[first == UNKNOWN].append(row)
        with torch.no_grad():
            self.features.extend(self._student.encode(torch.from_numpy(wave)).half())
        self.active.extend(torch.from_numpy(active))
        self.teacher.extend(torch.from_numpy(teacher))

    def draw(self, count: int, real: float, rng: np.random.Generator) -> list[int]:
        """Random windows, a share `real` of them real ones."""
        kinds = rng.random(count) < real
        return [int(rng.choice(self._rows[bool(kind)])) for kind in kinds]


def rate_at(options: argparse.Namespace, share: float) -> float:
    """Learning rate after `share` of the time: a quick rise, then half a cosine."""
    warm = min(1.0, share / 0.02 + 0.02)
    return float(options.learning_rate * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * share))))


def distil(options: argparse.Namespace) -> None:
    """Train for the minutes asked, keep an average of the weights, measure, save."""
    student = Student(options.rate, options.layers)
    start_from(student, load_exported(options.pyannet))
    if options.start is not None:
        student.load_state_dict(torch.load(options.start, weights_only=True))
    store = Store([options.work / n for n in options.windows], student, options.cut, options.seed)
    store.grow(options.first)
    log.info("%d windows", len(store))
    held = held_windows(options.work / "held")
    clips = sorted((options.shared / "speech" / "ami").glob("*.flac"))
    average = copy.deepcopy(student).eval()

    def measure(step: int) -> None:
        found = {
            "simulated": simulated_errors(average, held),
            "ami": real_errors(average, clips),
            "ami_unseen_half": real_errors(average, clips[len(clips) // 2 :]),
        }
        log.info("step %d %s", step, json.dumps(found))
        torch.save(average.state_dict(), options.work / f"{options.name}.pt")

    measure(0)
    rng = np.random.default_rng([options.seed, 2])
    modules = [student.join, student.lstm, student.linear, student.classifier]
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.decay)
    begun, seconds, sums, step = time.monotonic(), 60 * options.minutes, np.zeros(2), 0
    looked = begun
    while (passed := time.monotonic() - begun) < seconds:
        step += 1
        optimizer.param_groups[0]["lr"] = rate_at(options, passed / seconds)
        rows = store.draw(options.batch, options.real, rng)
        active = torch.stack([store.active[i] for i in rows])
        known = active[:, 0, 0] != UNKNOWN
        features = torch.stack([store.features[i] for i in rows]).float()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bfloat16):
            output = student.decode(features).float()
        taught = taught_loss(output, torch.stack([store.teacher[i] for i in rows]).float())
        loss = permutation_loss(output[known], active[known].float()) if bool(known.any()) else taught * 0
        optimizer.zero_grad()
        (taught + options.truth * loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        share = 1 - min(0.995, (1 + step) / (10 + step))
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), student.parameters(), strict=True):
                ours.lerp_(theirs, share)
        sums += [float(taught.detach()), float(loss.detach())]
        if step % 50 == 0:
            log.info("step %d %.0f s of %d windows, losses %s", step, passed, len(store), (sums / 50).round(4).tolist())
            sums[:] = 0
            store.grow(options.grow)
        if time.monotonic() - looked > 60 * options.measure:
            measure(step)
            looked = time.monotonic()
    measure(step)


def held_windows(folder: Path) -> list[tuple[Tensor, Tensor]]:
    """The windows kept for measuring, in eights."""
    samples, active = (np.load(folder / f"{n}.npy").astype(np.float32) for n in ("samples", "active"))
    wave = torch.from_numpy(samples / np.float32(32768))[:, None]
    return list(zip(wave.split(8), torch.from_numpy(active).split(8), strict=True))


def main() -> None:
    """`python -m training.distil SHARED WORK --pyannet PYANNET.onnx --windows NAME … --minutes 60`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pyannet", type=Path, required=True, help="the exported PyanNet that teaches")
    parser.add_argument("--windows", nargs="+", required=True, help="stores in WORK, by training.windows")
    parser.add_argument("--name", default="student")
    parser.add_argument("--start", type=Path, help="weights to go on from; PyanNet's without")
    parser.add_argument("--rate", type=int, default=3, help="frames of 17 ms in a step of the LSTM")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--measure", type=float, default=8, help="minutes between measurements")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--first", type=int, default=1500, help="windows taken from each store at the start")
    parser.add_argument("--grow", type=int, default=256, help="windows taken from each store every 50 steps")
    parser.add_argument("--real", type=float, default=0.4, help="share of real windows in a batch")
    parser.add_argument("--cut", type=float, default=0.1, help="share of windows that end in digital silence")
    parser.add_argument("--truth", type=float, default=0.5, help="weight of the true answers beside the teacher's")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--decay", type=float, default=1e-3)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    distil(options)


if __name__ == "__main__":
    main()
