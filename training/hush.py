"""Teaches a segmentation what is not speech, and holds it to its own answers on everything else.

    python -m training.hush SHARED WORK NETWORK --stores NAME …

NETWORK is what `training.export` or `training.fast` wrote, or a checkpoint; the stores are those of `training.windows`.
The convolutions stay as they are, so a bundle's two segmentations go on sharing theirs.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.distil import held_windows
from training.pools import Pool, layers_of, sound_windows, stored, unaltered
from training.pyannet import PyanNet, shifted
from training.restore import restored_segmentation
from training.segmentation import real_errors, simulated_errors
from training.sounds import SOUNDS, Draw, heard
from training.student import Student
from training.tunes import bells, song, tones

log = logging.getLogger(__name__)
MEASURED: dict[str, Draw] = SOUNDS | {"song": song, "tones": tones, "bells": bells}
UNSURE = 4.0
"""Odds, as a logarithm, beyond which it does not matter how sure the network is."""


def heard_loss(output: Tensor, sure: float) -> Tensor:
    """How far nobody is from being `sure` enough, where nobody speaks; nothing pulls further than that."""
    return functional.relu(math.log(sure) - output[..., 0]).mean()


def odds(output: Tensor, first: int) -> Tensor:
    """Logarithm of the odds of the classes from `first` on against those before it: [B, T]."""
    return torch.logsumexp(output[..., first:], -1) - torch.logsumexp(output[..., :first], -1)


def kept_loss(output: Tensor, answers: Tensor, near: float) -> Tensor:
    """Divergence from given answers; frames where they hardly know whether anybody speaks weigh up to 1 + near."""
    weights = 1 + near * torch.exp(-odds(answers, 1).abs())
    each = functional.kl_div(output, answers, log_target=True, reduction="none").sum(-1)
    return (each * weights).sum() / weights.sum()


def decided_loss(output: Tensor, answers: Tensor) -> Tensor:
    """Distance of the odds of somebody, and of two at once, where the answers were not sure of them."""
    total = output.new_zeros(())
    for first in (1, 4):
        theirs = odds(answers, first)
        apart = (odds(output, first) - theirs).abs().clamp(max=UNSURE)
        total = total + (apart * (theirs.abs() < UNSURE)).mean()
    return total


def inside_loss(ours: list[Tensor], theirs: list[Tensor], spread: list[float]) -> Tensor:
    """Mean squared difference of the LSTM layers, in units of their variance."""
    apart = [functional.mse_loss(a.float(), b.float()) / s for a, b, s in zip(ours, theirs, spread, strict=True)]
    return torch.stack(apart).mean()


def trained(net: PyanNet) -> list[nn.Parameter]:
    """The weights behind the convolutions."""
    modules: list[nn.Module] = [net.lstm, net.linear, net.classifier] + ([net.join] if isinstance(net, Student) else [])
    return [parameter for module in modules for parameter in module.parameters()]


def losses(
    net: PyanNet,
    shipped: PyanNet,
    spread: list[float],
    batch: list[tuple[Tensor, Tensor | None]],
    o: argparse.Namespace,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of what is heard in the sounds, the batch's first part, and of what is kept in the others."""
    features = torch.cat([one for one, _ in batch])
    answers = torch.cat([one for _, one in batch if one is not None])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.bfloat16):
        ours = layers_of(net, features)
        output = net.answers(ours[-1]).float()
        with torch.no_grad():
            theirs = layers_of(shipped, features)
    kept = slice(o.sounds, o.sounds + sum(o.kept))
    return (
        heard_loss(output[: o.sounds], o.sure),
        kept_loss(output[o.sounds :], answers, o.near),
        decided_loss(output[o.sounds :], answers),
        inside_loss([x[kept] for x in ours], [x[kept] for x in theirs], spread),
    )


def teach(
    start: PyanNet, shipped: PyanNet, pools: list[Pool], options: argparse.Namespace, report: Callable[[PyanNet], None]
) -> PyanNet:
    """The averaged network after the steps asked for; the first of the pools is that of the sounds."""
    net, average = copy.deepcopy(start).train(), copy.deepcopy(start).eval()
    parameters = trained(net)
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
    rng = np.random.default_rng([options.seed, 2])
    counts = [options.sounds, *options.kept, *options.away]
    with torch.no_grad():
        spread = [float(x.flatten(0, 1).var(0).mean()) for x in layers_of(shipped, pools[1].features[:32].float())]
    weights = torch.tensor([options.hush, options.keep, options.decided, options.inside])
    begun, sums = time.monotonic(), np.zeros(len(weights))
    for step in range(1, options.steps + 1):
        share = 0.05 + 0.475 * (1 + math.cos(math.pi * step / options.steps))
        optimizer.param_groups[0]["lr"] = options.learning_rate * min(1.0, step / 10) * share
        batch = [pool.draw(count, rng) for pool, count in zip(pools, counts, strict=True)]
        parts = torch.stack(losses(net, shipped, spread, batch, options))
        optimizer.zero_grad()
        (parts * weights).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            for ours, new in zip(average.parameters(), net.parameters(), strict=True):
                ours.lerp_(new, 1 - min(0.97, (1 + step) / (10 + step)))
        sums += parts.detach().numpy()
        if step % options.measure == 0 or step == options.steps:
            log.info(
                "step %d %.0f s losses %s", step, time.monotonic() - begun, (sums / options.measure).round(4).tolist()
            )
            sums[:] = 0
            report(average)
    return average


def claims(net: PyanNet, pools: dict[str, Pool]) -> dict[str, float]:
    """Share of frames of each sound in which the network hears somebody, in percent."""
    with torch.no_grad():
        found = {k: net.answers(layers_of(net, p.features.float())[-1]).argmax(-1) > 0 for k, p in pools.items()}
    return {name: round(100 * float(frames.float().mean()), 1) for name, frames in found.items()}


def pools_of(shipped: PyanNet, options: argparse.Namespace) -> list[Pool]:
    """Sounds; each store; recordings as they are; with `--away` the first store and recordings, moved away."""
    rooms, rng = np.load(options.work / "rooms.npy"), np.random.default_rng([options.seed, 4])
    clips = sorted((options.shared / "speech" / "ami").glob("*.flac"))
    real = list(unaltered(clips[: len(clips) // 2], options.every))
    pools = [Pool.of(shipped, sound_windows(rooms, options.count, rng))]
    pools += [Pool.answered(shipped, stored(options.work / name)) for name in options.stores]
    pools.append(Pool.answered(shipped, iter(real)))
    if options.away:
        simulated = list(stored(options.work / options.stores[0]))
        pools += [Pool.away(shipped, windows, rooms, rng) for windows in (simulated, real)]
    return pools


def hush(options: argparse.Namespace) -> None:
    """Make the windows, teach, measure, save."""
    shipped = restored_segmentation(options.network)
    start = shipped if options.start is None else restored_segmentation(options.start)
    pools = pools_of(shipped, options)
    log.info("windows: %s", [len(pool) for pool in pools])
    measured = {}
    for name, draw in MEASURED.items():
        rng = np.random.default_rng(3)
        measured[name] = Pool.of(shipped, (heard(draw, rng) for _ in range(options.measured)))
    held, clips = held_windows(options.work / "held"), sorted((options.shared / "speech" / "ami").glob("*.flac"))

    def report(net: PyanNet) -> None:
        biased = shifted(net, options.silence, options.overlap).eval()
        found = {
            "simulated": simulated_errors(biased, held),
            "ami": real_errors(biased, clips),
            "ami_unseen_half": real_errors(biased, clips[len(clips) // 2 :]),
            "heard": claims(biased, measured),
        }
        log.info(json.dumps(found))
        torch.save(biased.state_dict(), options.work / f"{options.name}.pt")
        torch.save(net.state_dict(), options.work / f"{options.name}-plain.pt")

    report(start)
    teach(start, shipped, pools, options, report)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("network", type=Path, help="the network whose answers are kept")
    parser.add_argument("--stores", nargs="+", required=True, help="in WORK, by training.windows")
    parser.add_argument("--start", type=Path, help="weights to go on from; those of NETWORK without")
    parser.add_argument(
        "--name", default="hushed", help="of the checkpoint; NAME-plain.pt is without --silence, --overlap"
    )
    parser.add_argument("--silence", type=float, default=0.0, help="added to the logit of nobody, beside NETWORK's own")
    parser.add_argument("--overlap", type=float, default=0.0, help="added to the logits of two at once")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--measure", type=int, default=40, help="steps between measurements")
    parser.add_argument("--measured", type=int, default=20, help="windows of each sound to measure with")
    parser.add_argument("--count", type=int, default=700, help="windows of sounds to teach with")
    parser.add_argument("--every", type=float, default=0.25, help="seconds between windows of unaltered recordings")
    parser.add_argument("--sounds", type=int, default=5, help="windows of sounds in a step")
    parser.add_argument("--kept", type=int, nargs="+", help="windows of each store and of unaltered ones in a step")
    parser.add_argument("--away", type=int, nargs=2, default=[], help="the same, simulated and real from farther away")
    parser.add_argument("--sure", type=float, default=0.75, help="how sure of nobody is enough")
    parser.add_argument("--hush", type=float, default=1.0, help="weight of nobody being heard in sounds")
    parser.add_argument("--keep", type=float, default=4.0, help="weight of the network's own answers")
    parser.add_argument("--near", type=float, default=3.0, help="further weight of answers that were not sure")
    parser.add_argument("--decided", type=float, default=0.0, help="weight of their odds")
    parser.add_argument("--inside", type=float, default=1.0, help="weight of being like it inside")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.kept = options.kept or [4] * len(options.stores) + [8]
    if len(options.kept) != len(options.stores) + 1:
        parser.error("--kept takes a number for each store and one for unaltered recordings")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    hush(options)


if __name__ == "__main__":
    main()
