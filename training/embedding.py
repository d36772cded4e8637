"""Trains the embedding: AAM-softmax on perturbed speakers and distillation of the d-vector teacher."""

from __future__ import annotations

import argparse
import copy
import logging
import math
import queue
import signal
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from training.augment import Augmenter, Batch
from training.evaluate import rates, student
from training.melbank import CLASSES, MelBank, Real
from training.network import MELS, Embedder
from training.restore import restored
from training.teacher import DVector
from training.teaching import Teaching

log = logging.getLogger(__name__)
LENGTHS = (20, 34, 52)


def banks(work: Path) -> list[Path]:
    """Folders of finished banks."""
    return [file.parent for file in sorted(work.glob("mel-*/index.npy"))]


def make_batches(out: Queue[Batch], work: str, shared: str, seed: int, count: int) -> None:
    """Worker process: batches for ever; banks that appear later are picked up."""
    torch.set_num_threads(1)
    folder = Path(work)
    teachers = DVector(Path(shared) / "models" / "teachers")
    clips = sorted((Path(shared) / "speech" / "ami").glob("*.flac"))
    generator = torch.Generator().manual_seed(seed)
    real = Real(clips[: len(clips) // 2], teachers)
    known = -1
    number = 0
    while True:
        if number % 50 == 0:
            folders = banks(folder)
            if len(folders) != known:
                known = len(folders)
                augmenter = Augmenter(MelBank(folders), seed + number, real)
        length = LENGTHS[int(torch.randint(len(LENGTHS), (1,), generator=generator))]
        out.put(augmenter.batch(count, length))
        number += 1


class Average:
    """Exponential moving average of weights and buffers."""

    def __init__(self, model: Embedder) -> None:
        self.model = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.steps = 0

    def update(self, model: Embedder, decay: float = 0.999) -> None:
        """Take one step towards `model`, faster at the start."""
        self.steps += 1
        rate = 1 - min(decay, (1 + self.steps) / (20 + self.steps))
        ours, theirs = self.model.state_dict(), model.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], rate)
            else:
                value.copy_(theirs[name])


def fit_mel_constants(model: Embedder, batches: list[Batch]) -> None:
    """Set the constants of the feature normalisation from some batches."""
    frames = torch.cat([b.fbank.reshape(-1, MELS) for b in batches])
    frames = frames - frames.mean(dim=1, keepdim=True)
    model.trunk.mel_mean.copy_(frames.mean(0))
    model.trunk.mel_scale.copy_(1 / frames.std(0))


def learning_rate(progress: float, step: int, top: float, warm_up: int = 200) -> float:
    """Linear warm-up over so many steps, then a cosine to nearly zero at progress 1."""
    return top * min(1.0, (step + 1) / warm_up) * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Run:
    """One training run: resumable, with a wall-clock budget."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.checkpoint = options.work / f"{options.name}.pt"
        bank = MelBank(banks(options.work))
        self.placed: list[str] = []
        torch.manual_seed(options.seed)
        self.model = Embedder()
        mean = torch.from_numpy(bank.teacher.mean(axis=0))
        self.teaching = Teaching(bank.speakers * CLASSES, self.model.head.out_features, mean, options.subcentres)
        self.average = Average(self.model)
        parameters = [*self.model.parameters(), *self.teaching.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=0.03)
        self.step, self.spent = 0, 0.0
        self.stopping = False
        if self.checkpoint.exists():
            self.load()

    def load(self) -> None:
        """Continue from the checkpoint."""
        saved = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.teaching.load_state_dict(saved["teaching"])
        self.average.model.load_state_dict(saved["average"])
        self.average.steps = self.step = saved["step"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.spent, self.placed = saved["spent"], saved["placed"]

    def save(self) -> None:
        """Write the checkpoint beside, then rename."""
        state = {
            "model": self.model.state_dict(),
            "teaching": self.teaching.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "placed": self.placed,
        }
        beside = self.checkpoint.with_suffix(".tmp")
        torch.save(state, beside)
        beside.replace(self.checkpoint)

    def train(self) -> None:
        """Run until the budget is spent."""
        options = self.options
        context = mp.get_context("spawn")
        batches: Queue[Batch] = context.Queue(maxsize=4)
        first_seed = 1000 + 17 * self.step + 100_003 * options.seed
        workers = [
            context.Process(
                target=make_batches,
                args=(batches, str(options.work), str(options.shared), first_seed + i, options.batch),
                daemon=True,
            )
            for i in range(options.workers)
        ]
        for worker in workers:
            worker.start()
        if self.step == 0:
            self.begin([batches.get() for _ in range(16 if options.start else 3)])
        trunk = torch.compile(self.model.trunk, dynamic=False) if options.compile else self.model.trunk
        clock = time.monotonic()
        sums, measured = torch.zeros(4), self.spent
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        while self.progress() < 1 and not self.stopping:
            if self.step % 50 == 0:
                self.place_voices()
            self.one_step(batches, trunk, sums)
            now = time.monotonic()
            self.spent += now - clock
            clock = now
            if self.step % 50 == 0:
                values = " ".join(f"{v:.3f}" for v in (sums / 50).tolist())
                log.info("step %d spent %.0f s losses %s", self.step, self.spent, values)
                sums.zero_()
            if self.step % 250 == 0:
                self.save()
            if self.spent - measured > options.measure * 60:
                measured = self.spent
                self.measure()
                clock = time.monotonic()
        self.save()
        if not self.stopping:
            self.measure()
        for worker in workers:
            worker.terminate()

    def progress(self) -> float:
        """Share of the budget that is used: of the steps, if they are given, else of the minutes."""
        if self.options.steps is not None:
            return float(self.step / self.options.steps)
        return float(self.spent / (self.options.minutes * 60))

    def begin(self, batches: list[Batch]) -> None:
        """Constants of the features, or with `--start` everything that a bundle holds."""
        if self.options.start is None:
            fit_mel_constants(self.model, batches)
        else:
            start = restored(self.options.start, max(batches, key=lambda b: b.fbank.shape[1])).eval()
            self.model.load_state_dict(start.state_dict())
            with torch.no_grad():
                known = torch.cat([start(b.fbank, b.weights) for b in batches])
            self.teaching.fit(known, torch.cat([b.targets for b in batches]))
        self.average = Average(self.model)

    def place_voices(self) -> None:
        """Give voices of banks that have come since the last time a place among the classes."""
        for folder in banks(self.options.work):
            if folder.name not in self.placed:
                bank = MelBank([folder])
                classes = bank.classes(np.arange(len(bank)))
                self.teaching.place(torch.from_numpy(classes), torch.from_numpy(bank.teacher))
                self.placed.append(folder.name)

    def one_step(self, batches: Queue[Batch], trunk: Callable[[Tensor], Tensor], sums: Tensor) -> None:
        """One optimizer step."""
        options = self.options
        try:
            batch = batches.get(timeout=300)
        except queue.Empty:
            raise RuntimeError("no batch within five minutes: a worker has died") from None
        progress = self.progress()
        warm_up = 200 if options.steps is None else max(1, min(200, options.steps // 10))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(progress, self.step, options.rate, warm_up)
        self.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = trunk(batch.fbank)
        embedding = self.model.head(self.model.statistics(features, batch.weights))
        margin = 0.2 * min(1.0, progress / 0.3)
        aam, distance, relation = self.teaching(embedding, batch.classes, batch.targets, margin)
        loss = options.aam * aam + options.distil * distance + options.relate * relation
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        sums += torch.stack([aam.detach(), distance.detach(), relation.detach(), norm])

    def measure(self) -> None:
        """Log the equal error rates of the averaged network."""
        found = rates(self.options.shared, student(self.average.model))
        log.info("step %d spent %.0f s EER %s", self.step, self.spent, {k: round(v, 2) for k, v in found.items()})


def main() -> None:
    """`python -m training.embedding SHARED WORK --minutes 80`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="embedding")
    parser.add_argument("--minutes", type=float, default=80.0, help="wall-clock budget of the whole run")
    parser.add_argument("--steps", type=int, help="budget in steps instead, of which a tenth is warm-up")
    parser.add_argument("--measure", type=float, default=10.0, help="minutes between measurements")
    parser.add_argument("--start", type=Path, help="folder of a bundle whose embedding is trained further")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--aam", type=float, default=0.1)
    parser.add_argument("--distil", type=float, default=16.0)
    parser.add_argument("--relate", type=float, default=150.0)
    parser.add_argument("--subcentres", type=int, default=1, help="centres of each class; the nearest counts")
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    Run(options).train()


if __name__ == "__main__":
    main()
