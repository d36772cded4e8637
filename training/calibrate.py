"""Shifts the segmentation's class biases so that misses and false alarms balance on real and simulated recordings."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.references import find_pairs
from training.data import RATE, read_audio
from training.export import load_segmentation
from training.pyannet import FIELD, FRAME_STEP, FRAMES, POWERSET, PyanNet
from training.segmentation import local_errors, percent
from training.simulate import WINDOW

log = logging.getLogger(__name__)
SILENCE = (0.0, -0.5, -1.0, -1.5, -2.0, -2.5, 0.5)
OVERLAP = (0.0, 0.4, 0.8, 1.2, 1.6, -0.4)
Pieces = list[tuple[NDArray[np.float32], NDArray[np.float64]]]


def pieces(net: PyanNet, folder: Path, hop: float) -> Pieces:
    """(log-probabilities [589, 7], truth [589, n]) of windows every `hop` seconds of audio + RTTM pairs."""
    found = []
    for pair in find_pairs(folder):
        samples = read_audio(pair.audio)
        for start in range(0, len(samples) - WINDOW + 1, int(hop * RATE)):
            with torch.no_grad():
                output = net(torch.from_numpy(samples[None, None, start : start + WINDOW]))[0].numpy()
            first = start / RATE
            middles = first + (np.arange(FRAMES) * FRAME_STEP + FIELD / 2) / RATE
            near = [t for t in pair.reference if t.start < first + 10 and t.end > first]
            names = sorted({t.speaker for t in near})
            truth = np.zeros((FRAMES, len(names)))
            for turn in near:
                truth[(middles >= turn.start) & (middles < turn.end), names.index(turn.speaker)] = 1
            found.append((output, truth))
    return found


def errors(parts: Pieces, silence: float, overlap: float) -> NDArray[np.float64]:
    """Missed, false alarm, confusion, speech in frames with these shifts of the log-probabilities."""
    shift = np.array([silence, 0, 0, 0, overlap, overlap, overlap])
    powerset = POWERSET.numpy()
    total = np.zeros(4)
    for output, truth in parts:
        total += local_errors(powerset[(output + shift).argmax(1)], truth)
    return total


def calibrate(groups: list[Pieces]) -> tuple[float, float]:
    """The shifts with the smallest mean error over the groups."""
    best, lowest = (0.0, 0.0), np.inf
    for silence in SILENCE:
        for overlap in OVERLAP:
            sums = [percent(errors(parts, silence, overlap))["sum"] for parts in groups]
            if float(np.mean(sums)) < lowest:
                best, lowest = (silence, overlap), float(np.mean(sums))
                log.info("silence %+.1f overlap %+.1f: %s", silence, overlap, sums)
    return best


def main() -> None:
    """`python -m training.calibrate SHARED CHECKPOINT OUT DIR…`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+", help="audio + RTTM pairs; every folder weighs the same")
    parser.add_argument("--hop", type=float, default=5.0, help="seconds between windows")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    net = load_segmentation(options.shared, options.checkpoint)
    groups = [pieces(net, folder, options.hop) for folder in options.folders]
    silence, overlap = calibrate(groups)
    with torch.no_grad():
        net.classifier.bias += torch.tensor([silence, 0, 0, 0, overlap, overlap, overlap])
    torch.save(net.state_dict(), options.out)
    before = [percent(errors(parts, 0.0, 0.0)) for parts in groups]
    after = [percent(errors(parts, silence, overlap)) for parts in groups]
    print(json.dumps({"silence": silence, "overlap": overlap, "before": before, "after": after}))


if __name__ == "__main__":
    main()
