"""Processor time of the bundle's networks on one thread, per second of audio as a stream meets it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from training.network import RECEPTIVE_FIELD, STRIDE
from training.teacher import session


def milliseconds(folder: Path, name: str, key: str, shape: tuple[int, ...], repeats: int) -> float:
    """Median processor time of one run, milliseconds."""
    network = session(folder / name)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        network.run(None, {key: values})
        times.append(time.process_time() - begun)
    return round(1000 * float(np.median(times)), 2)


def main() -> None:
    """`python -m training.speed BUNDLE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    second = 24 * STRIDE + RECEPTIVE_FIELD
    found = {
        "segmentation_window_ms": milliseconds(
            options.bundle, "segmentation.onnx", "input", (1, 1, 160_000), options.repeats
        ),
        "trunk_new_second_ms": milliseconds(options.bundle, "trunk.onnx", "fbank", (1, second, 80), options.repeats),
        "trunk_window_ms": milliseconds(options.bundle, "trunk.onnx", "fbank", (1, 998, 80), options.repeats),
        "head_three_speakers_ms": milliseconds(options.bundle, "head.onnx", "statistics", (3, 1024), options.repeats),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
