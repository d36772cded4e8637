"""Fine-tunes the segmentation on simulated conversations, held to its teacher on real recordings."""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.data import RATE, read_audio, read_rttm
from training.pyannet import FIELD, FRAME_STEP, FRAMES, POWERSET, PyanNet, load_teacher
from training.simulate import WINDOW, Simulator, Voices

log = logging.getLogger(__name__)
PERMUTATIONS = list(itertools.permutations(range(3)))


def powerset_classes(active: Tensor) -> Tensor:
    """Class of every frame for each of the six permutations of the speakers: [6, B, T]; three at once become two."""
    code = torch.full((8,), 4, dtype=torch.long)
    for number, row in enumerate(POWERSET.long()):
        code[int(row @ torch.tensor([1, 2, 4]))] = number
    powers = torch.tensor([1, 2, 4])
    return torch.stack([code[(active[..., list(p)].long() * powers).sum(-1)] for p in PERMUTATIONS])


def permutation_loss(output: Tensor, active: Tensor) -> Tensor:
    """Negative log-likelihood under the best permutation of the speakers of each window."""
    classes = powerset_classes(active)
    losses = torch.stack([functional.nll_loss(output.transpose(1, 2), c, reduction="none").mean(1) for c in classes])
    return losses.min(dim=0).values.mean()


def local_errors(hard: NDArray[np.float32], truth: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Missed, false alarm, confusion and total speech in frames of one window, best permutation; truth [T, n]."""
    people = truth.shape[1]
    best = None
    spoken, found = truth.sum(1), hard.sum(1)
    for choice in itertools.permutations(range(max(3, people)), 3):
        order = [c if c < people else None for c in choice]
        correct = sum((hard[:, k] * truth[:, o]) for k, o in enumerate(order) if o is not None)
        correct = np.asarray(correct, dtype=np.float64) if people else np.zeros(len(hard))
        errors = np.array(
            [
                np.maximum(spoken - found, 0).sum(),
                np.maximum(found - spoken, 0).sum(),
                (np.minimum(spoken, found) - correct).sum(),
                spoken.sum(),
            ]
        )
        if best is None or errors[2] < best[2]:
            best = errors
    assert best is not None
    return best


def decide(net: Callable[[Tensor], Tensor], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binary activity [B, 589, 3] of windows [B, 160000]."""
    with torch.no_grad():
        classes = net(torch.from_numpy(samples)[:, None]).argmax(-1)
    return np.asarray(POWERSET[classes].numpy())


def real_errors(net: Callable[[Tensor], Tensor], clips: list[Path]) -> dict[str, float]:
    """Missed, false alarm and local confusion in percent of speech over windows every 5 s of real clips."""
    total = np.zeros(4)
    for clip in clips:
        samples = read_audio(clip)
        turns = read_rttm(clip.with_suffix(".rttm"))
        for start in range(0, len(samples) - WINDOW + 1, 5 * RATE):
            first = start / RATE
            middles = first + (np.arange(FRAMES) * FRAME_STEP + FIELD / 2) / RATE
            names = sorted({t.speaker for t in turns if t.start < first + 10 and t.end > first})
            truth = np.zeros((FRAMES, len(names)))
            for t in turns:
                if t.speaker in names:
                    truth[(middles >= t.start) & (middles < t.end), names.index(t.speaker)] = 1
            total += local_errors(decide(net, samples[None, start : start + WINDOW])[0], truth)
    return percent(total)


def simulated_errors(net: PyanNet, windows: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The same on simulated windows."""
    total = np.zeros(4)
    for samples, active in windows:
        hard = decide(net, samples[:, 0].numpy())
        for row, truth in zip(hard, active.numpy(), strict=True):
            total += local_errors(row, truth)
    return percent(total)


def percent(total: NDArray[np.float64]) -> dict[str, float]:
    """Error parts in percent of the speech, and their sum."""
    parts = 100 * total[:3] / max(total[3], 1)
    values = {"missed": parts[0], "false_alarm": parts[1], "confusion": parts[2], "sum": parts.sum()}
    return {k: round(float(v), 2) for k, v in values.items()}


def real_windows(clips: list[NDArray[np.float32]], count: int, rng: np.random.Generator) -> Tensor:
    """Random windows of unlabelled recordings at random levels with a little noise: [count, 1, 160000]."""
    out = np.zeros((count, 1, WINDOW), dtype=np.float32)
    for row in range(count):
        clip = clips[int(rng.integers(len(clips)))]
        start = int(rng.integers(0, len(clip) - WINDOW))
        piece = clip[start : start + WINDOW]
        noise = (
            rng.standard_normal(WINDOW).astype(np.float32) * float(np.std(piece)) * 10 ** (-rng.uniform(20, 50) / 20)
        )
        out[row, 0] = piece + noise
    return torch.from_numpy(out)


def fine_tune(options: argparse.Namespace) -> None:
    """Train, keep an average of the weights, measure, save."""
    shared: Path = options.shared
    references = sorted((shared / "reference").glob("*/*.rttm"))
    measured = references[::10]
    used = [path for path in references if path not in measured]
    banks = [f.parent for f in sorted(options.work.glob("bank-*/index.npy"))]
    voices = Voices(banks)
    simulator = Simulator(used, voices, options.work / "rooms.npy", options.seed)
    checking = Simulator(measured, voices, options.work / "rooms.npy", 99)
    held = [checking.batch(8) for _ in range(8)]
    clips = sorted((shared / "speech" / "ami").glob("*.flac"))
    real = [read_audio(path) for path in clips[: len(clips) // 2]]
    teacher = load_teacher(shared / "models" / "teachers" / "segmentation.onnx").eval()
    net = copy.deepcopy(teacher)
    if options.start is not None:
        net.load_state_dict(torch.load(options.start, weights_only=True))
    average = copy.deepcopy(net).eval()
    for parameter in net.filters.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=options.rate, weight_decay=0.0)
    rng = np.random.default_rng(options.seed)

    def measure(network: PyanNet, step: int) -> None:
        found = {
            "simulated": simulated_errors(network, held),
            "ami": real_errors(network, clips),
            "ami_unseen_half": real_errors(network, clips[len(clips) // 2 :]),
        }
        log.info("step %d %s", step, json.dumps(found))

    measure(average, 0)
    begun, sums = time.monotonic(), np.zeros(2)
    for step in range(1, options.steps + 1):
        for group in optimizer.param_groups:
            warm = min(1.0, step / 30)
            group["lr"] = options.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / options.steps)))
        samples, active = simulator.batch(options.batch)
        target = real_windows(real, options.real, rng)
        net.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = net(torch.cat([samples, target])).float()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            wanted = teacher(target).float()
        loss = permutation_loss(output[: options.batch], active)
        held_to = functional.kl_div(output[options.batch :], wanted, log_target=True, reduction="none").sum(-1).mean()
        optimizer.zero_grad()
        (loss + options.hold * held_to).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        rate = 1 - min(0.99, (1 + step) / (10 + step))
        for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
            ours.data.lerp_(theirs.data, rate)
        sums += [float(loss.detach()), float(held_to.detach())]
        if step % 25 == 0:
            log.info("step %d %.0f s losses %s", step, time.monotonic() - begun, (sums / 25).round(4).tolist())
            sums[:] = 0
            torch.save(average.state_dict(), options.work / f"{options.name}.pt")
        if step % options.measure == 0:
            measure(average, step)
    torch.save(average.state_dict(), options.work / f"{options.name}.pt")
    measure(average, options.steps)


def main() -> None:
    """`python -m training.segmentation SHARED WORK --steps 500`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="segmentation")
    parser.add_argument("--start", type=Path, help="weights to go on from; the teacher's without")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--measure", type=int, default=125)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--real", type=int, default=2)
    parser.add_argument("--hold", type=float, default=1.0, help="weight of staying with the teacher on real audio")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    fine_tune(options)


if __name__ == "__main__":
    main()
