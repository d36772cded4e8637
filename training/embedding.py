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

import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional

from training.augment import Augmenter, Bank, Batch
from training.data import VARIANTS
from training.evaluate import rates, student
from training.network import MELS, Embedder
from training.teacher import DVector

log = logging.getLogger(__name__)
LENGTHS = (24, 36, 50)
SCALE = 30.0


class Teaching(nn.Module):
    """What is used in training only: class centres and the regression onto the teacher."""

    teacher_mean: Tensor

    def __init__(self, classes: int, dimension: int, teacher_mean: Tensor) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, dimension))
        self.regression = nn.Linear(dimension, teacher_mean.shape[0])
        self.register_buffer("teacher_mean", teacher_mean)

    def forward(
        self, embedding: Tensor, classes: Tensor, targets: Tensor, margin: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """AAM-softmax loss, 1 - cosine to the centred teacher, and mean squared error of the cosine matrices."""
        unit = functional.normalize(embedding)
        known = classes >= 0
        cosine = unit[known] @ functional.normalize(self.centres).T
        labels = classes[known]
        own = cosine.gather(1, labels[:, None])
        shifted = own * math.cos(margin) - (1 - own.square()).clamp(min=1e-6).sqrt() * math.sin(margin)
        logits = cosine.scatter(1, labels[:, None], torch.where(own > -math.cos(margin), shifted, own - margin))
        aam = functional.cross_entropy(SCALE * logits, labels)
        centred = functional.normalize(targets - self.teacher_mean)
        distance = (1 - functional.cosine_similarity(self.regression(embedding), centred)).mean()
        relation = (unit @ unit.T - centred @ centred.T).square().mean()
        return aam, distance, relation


def make_batches(out: Queue[Batch], work: str, shared: str, seed: int, count: int) -> None:
    """Worker process: batches for ever; banks that appear later are picked up."""
    torch.set_num_threads(1)
    folder = Path(work)
    teachers = DVector(Path(shared) / "models" / "teachers")
    clips = sorted((Path(shared) / "speech" / "ami").glob("*.flac"))
    generator = torch.Generator().manual_seed(seed)
    known = -1
    number = 0
    while True:
        if number % 50 == 0:
            folders = [f.parent for f in sorted(folder.glob("bank-*/index.npy"))]
            if len(folders) != known:
                known = len(folders)
                augmenter = Augmenter(
                    Bank(folders), folder / "rooms.npy", seed + number, teachers, clips[: len(clips) // 2]
                )
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


def learning_rate(progress: float, step: int, top: float) -> float:
    """Linear warm-up over 200 steps, then a cosine to nearly zero at progress 1."""
    return top * min(1.0, (step + 1) / 200) * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Run:
    """One training run: resumable, with a wall-clock budget."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.checkpoint = options.work / f"{options.name}.pt"
        bank = Bank([f.parent for f in sorted(options.work.glob("bank-*/index.npy"))])
        self.model = Embedder()
        mean = torch.from_numpy(bank.teacher.mean(axis=0))
        self.teaching = Teaching(bank.speakers * VARIANTS, self.model.head.out_features, mean)
        self.average = Average(self.model)
        parameters = [*self.model.parameters(), *self.teaching.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=0.03)
        self.step, self.spent = 0, 0.0
        self.stopping = False
        self.replay: list[Batch] = []
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
        self.spent = saved["spent"]

    def save(self) -> None:
        """Write the checkpoint beside, then rename."""
        state = {
            "model": self.model.state_dict(),
            "teaching": self.teaching.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
        }
        beside = self.checkpoint.with_suffix(".tmp")
        torch.save(state, beside)
        beside.replace(self.checkpoint)

    def train(self) -> None:
        """Run until the budget is spent."""
        options = self.options
        context = mp.get_context("spawn")
        batches: Queue[Batch] = context.Queue(maxsize=4)
        workers = [
            context.Process(
                target=make_batches,
                args=(batches, str(options.work), str(options.shared), 1000 + 17 * self.step + i, options.batch),
                daemon=True,
            )
            for i in range(options.workers)
        ]
        for worker in workers:
            worker.start()
        if self.step == 0:
            fit_mel_constants(self.model, [batches.get() for _ in range(3)])
            self.average = Average(self.model)
        trunk = torch.compile(self.model.trunk, dynamic=False) if options.compile else self.model.trunk
        budget = options.minutes * 60
        clock = time.monotonic()
        sums, measured = torch.zeros(4), self.spent
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        while self.spent < budget and not self.stopping:
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

    def one_step(self, batches: Queue[Batch], trunk: Callable[[Tensor], Tensor], sums: Tensor) -> None:
        """One optimizer step."""
        options = self.options
        batch = self.next_batch(batches)
        progress = self.spent / (options.minutes * 60)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(progress, self.step, options.rate)
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

    def next_batch(self, batches: Queue[Batch]) -> Batch:
        """A new batch; with `--twice` every other step takes one seen a while ago: making them is half of the cost."""
        if self.options.twice and len(self.replay) >= 24 and self.step % 2:
            return self.replay.pop(int(torch.randint(16, (1,))))
        try:
            batch = batches.get(timeout=300)
        except queue.Empty:
            raise RuntimeError("no batch within five minutes: a worker has died") from None
        if self.options.twice:
            self.replay.append(batch)
        return batch

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
    parser.add_argument("--measure", type=float, default=10.0, help="minutes between measurements")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--aam", type=float, default=1.0)
    parser.add_argument("--distil", type=float, default=8.0)
    parser.add_argument("--relate", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--twice", action="store_true", help="use every batch twice, some 24 steps apart")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    Run(options).train()


if __name__ == "__main__":
    main()
