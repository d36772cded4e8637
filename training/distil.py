"""Trains the slower LSTM on stored windows: to be like PyanNet inside, to answer as it does, and truly where known."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.pyannet import FIELD, FRAME_STEP, FRAMES, POWERSET, PyanNet, load_exported
from training.segmentation import PERMUTATIONS, permutation_loss, real_errors, simulated_errors
from training.simulate import Audio
from training.student import Student, layer_outputs, start_from
from training.windows import UNKNOWN

log = logging.getLogger(__name__)
CHUNK = 16
TAUGHT_LAYERS = (1, 3)
"""LSTM layers of PyanNet whose outputs the student is shown."""
NEAR = 8
"""Frames around a change of who speaks that count twice."""


def class_orders() -> Tensor:
    """What becomes of the seven classes when the speakers are permuted: [6, 7]."""
    rows = [[int(v) for v in row] for row in POWERSET]
    return torch.tensor([[rows.index([row[k] for k in p]) for row in rows] for p in PERMUTATIONS])


def near_changes(teacher: Tensor) -> Tensor:
    """Weight of every frame, mean 1, from the teacher's log-probabilities: [B, T]."""
    classes = teacher.argmax(-1)
    changes = functional.pad((classes[:, 1:] != classes[:, :-1]).float(), (1, 0))[:, None]
    weights = 1 + functional.max_pool1d(changes, 2 * NEAR + 1, stride=1, padding=NEAR)[:, 0]
    return weights / weights.mean()


def taught_loss(output: Tensor, teacher: Tensor) -> Tensor:
    """Divergence from the teacher's log-probabilities [B, T, 7] under the best permutation of each window."""
    weights = near_changes(teacher)
    each = [
        (functional.kl_div(output, teacher[..., o], log_target=True, reduction="none").sum(-1) * weights).mean(1)
        for o in class_orders()
    ]
    return torch.stack(each).min(dim=0).values.mean()


@dataclass(frozen=True, slots=True)
class Lesson:
    """One window."""

    features: Tensor
    """Of the convolutions, [589, 60], float16."""
    active: Tensor
    """Who speaks, [589, 3]; 255 where nobody knows."""
    answers: Tensor
    """PyanNet's log-probabilities, [589, 7], float16."""
    inside: Tensor
    """Outputs of its LSTM's `TAUGHT_LAYERS`, averaged over the frames of a step: [steps, 512], float16."""


class Store:
    """Stored windows as the features of the convolutions, with what PyanNet makes of them, in memory."""

    def __init__(self, folders: list[Path], pyannet: PyanNet, student: Student, cut: float, seed: int) -> None:
        self._folders, self._pyannet, self._cut = folders, pyannet.eval(), cut
        self._rate, self._steps = student.rate, student.steps
        self._rng = np.random.default_rng([seed, 3])
        self._taken = dict.fromkeys(folders, 0)
        self._rows: dict[bool, list[int]] = {False: [], True: []}
        self.lessons: list[Lesson] = []

    def __len__(self) -> int:
        return len(self.lessons)

    def grow(self, most: int) -> None:
        """Take at most `most` more windows of each folder."""
        for folder in self._folders:
            ready, taken = int((folder / "ready").read_text()), self._taken[folder]
            last = min(ready, taken + most)
            samples, active = (np.load(folder / f"{n}.npy", "r") for n in ("samples", "active"))
            for first in range(taken, last, CHUNK):
                rows = slice(first, min(first + CHUNK, last))
                wave = samples[rows].astype(np.float32)[:, None] / np.float32(32768)
                self._take(wave, active[rows].copy())
            self._taken[folder] = last

    @torch.no_grad()
    def _take(self, wave: Audio, active: NDArray[np.uint8]) -> None:
        """Keep a few windows, some of them ended by digital silence, as the first looks at a stream are."""
        ends = {}
        for row in np.flatnonzero(self._rng.random(len(wave)) < self._cut):
            ends[int(row)] = frame = int(self._rng.integers(30, FRAMES - 10))
            wave[row, 0, round(frame * FRAME_STEP + FIELD / 2) :] = 0
            if active[row, 0, 0] != UNKNOWN:
                active[row, frame:] = 0
        features = self._pyannet.encode(torch.from_numpy(wave))
        layers = layer_outputs(self._pyannet.lstm, features)
        answers = self._pyannet.answers(layers[-1])
        for row, frame in ends.items():
            answers[row, frame:] = torch.tensor([0.97] + [0.005] * (len(POWERSET) - 1)).log()
        inside = torch.cat([layers[n] for n in TAUGHT_LAYERS], dim=-1).transpose(1, 2)
        inside = functional.pad(inside, (0, self._rate * self._steps - FRAMES), mode="replicate")
        inside = functional.avg_pool1d(inside, self._rate).transpose(1, 2)
        for row, first in enumerate(active[:, 0, 0]):
            self._rows[first == UNKNOWN].append(len(self))
            known = torch.from_numpy(active[row])
            self.lessons.append(Lesson(features[row].half(), known, answers[row].half(), inside[row].half()))

    def draw(self, count: int, real: float, rng: np.random.Generator) -> list[Lesson]:
        """Random windows, a share `real` of them real ones."""
        kinds = rng.random(count) < real
        return [self.lessons[int(rng.choice(self._rows[bool(kind)]))] for kind in kinds]

    def spread(self) -> Tensor:
        """Mean variance of the outputs of each of the taught layers."""
        inside = torch.stack([lesson.inside for lesson in self.lessons[:64]]).float()
        return inside.reshape(-1, len(TAUGHT_LAYERS), inside.shape[-1] // len(TAUGHT_LAYERS)).var(0).mean(-1)


def losses(student: Student, lessons: list[Lesson], spread: Tensor, bfloat16: bool) -> tuple[Tensor, Tensor, Tensor]:
    """How far the student is from the teacher's answers, from the true ones, and from the teacher inside."""
    features = torch.stack([lesson.features for lesson in lessons]).float()
    active = torch.stack([lesson.active for lesson in lessons])
    answers = torch.stack([lesson.answers for lesson in lessons]).float()
    wanted = torch.stack([lesson.inside for lesson in lessons]).float().chunk(len(TAUGHT_LAYERS), dim=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        layers = layer_outputs(student.lstm, student.joined(features))
        output = student.answers(layers[-1]).float()
    taught = taught_loss(output, answers)
    known = active[:, 0, 0] != UNKNOWN
    truth = permutation_loss(output[known], active[known].float()) if bool(known.any()) else taught * 0
    # a student with fewer layers is shown the same two places of its own
    ours = [layers[round((n + 1) * len(layers) / 4) - 1].float() for n in TAUGHT_LAYERS]
    parts = [functional.mse_loss(a, b) / s for a, b, s in zip(ours, wanted, spread, strict=True)]
    return taught, truth, torch.stack(parts).sum()


def rate_at(options: argparse.Namespace, share: float, step: int) -> float:
    """Learning rate after `share` of the time: a quick rise, then half a cosine."""
    return float(options.learning_rate * min(1.0, step / 60) * (0.02 + 0.49 * (1 + math.cos(math.pi * share))))


def distil(options: argparse.Namespace) -> None:
    """Train for the minutes asked, keep an average of the weights, measure, save."""
    student, pyannet = Student(options.rate, options.layers), load_exported(options.pyannet)
    start_from(student, pyannet)
    if options.start is not None:
        student.load_state_dict(torch.load(options.start, weights_only=True))
    store = Store([options.work / n for n in options.windows], pyannet, student, options.cut, options.seed)
    store.grow(options.first)
    spread = store.spread()
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
    modules: list[nn.Module] = [student.join, student.lstm, student.linear, student.classifier]
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.decay, betas=(0.9, 0.99))
    begun, seconds, sums, step = time.monotonic(), 60 * options.minutes, np.zeros(3), 0
    looked = begun
    while (passed := time.monotonic() - begun) < seconds:
        step += 1
        optimizer.param_groups[0]["lr"] = rate_at(options, passed / seconds, step)
        lessons = store.draw(options.batch, options.real, rng)
        taught, truth, inside = losses(student, lessons, spread, options.bfloat16)
        optimizer.zero_grad()
        (taught + options.truth * truth + options.inside * inside).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        share = 1 - min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), student.parameters(), strict=True):
                ours.lerp_(theirs, share)
        sums += [float(taught.detach()), float(truth.detach()), float(inside.detach())]
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
    parser.add_argument("--rate", type=int, default=5, help="frames of 17 ms in a step of the LSTM")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--measure", type=float, default=8, help="minutes between measurements")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--first", type=int, default=500, help="windows taken from each store at the start")
    parser.add_argument("--grow", type=int, default=96, help="windows taken from each store every 50 steps")
    parser.add_argument("--real", type=float, default=0.6, help="share of real windows in a batch")
    parser.add_argument("--cut", type=float, default=0.1, help="share of windows that end in digital silence")
    parser.add_argument("--truth", type=float, default=0.25, help="weight of the true answers beside the teacher's")
    parser.add_argument("--inside", type=float, default=0.5, help="weight of being like the teacher inside")
    parser.add_argument("--learning-rate", type=float, default=4e-4)
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
