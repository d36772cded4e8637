"""Missed speech, false alarms and local confusion of segmentation networks, window by window, on the AMI excerpts.

    python -m training.local SHARED NETWORK.onnx…

prints them in per cent of speech over windows every 5 s, of all excerpts and of the half whose audio trains nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.segmentation import real_errors
from training.teacher import session


class Stored:
    """A network's file, asked as the networks in training are."""

    def __init__(self, path: Path) -> None:
        self._session = session(path)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, samples: Tensor) -> Tensor:
        (found,) = self._session.run(None, {self._input: samples.numpy()})
        return torch.from_numpy(np.asarray(found))


def errors(network: Path, clips: list[Path]) -> dict[str, dict[str, float]]:
    """Parts and sum for all excerpts, and for the second half of them."""
    net = Stored(network)
    return {"ami": real_errors(net, clips), "ami_unseen_half": real_errors(net, clips[len(clips) // 2 :])}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("networks", type=Path, nargs="+")
    given = parser.parse_args()
    clips = sorted((given.shared / "speech" / "ami").glob("*.flac"))
    if not clips:
        raise SystemExit(f"{given.shared / 'speech' / 'ami'}: no excerpts there")
    for network in given.networks:
        print(network.name, json.dumps(errors(network, clips)), flush=True)


if __name__ == "__main__":
    main()
