"""Recordings as the pipeline sees them: cached segmentations and filter banks, embeddings by any checkpoint."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.references import find_pairs
from speakrs_stream.core.activity import Activity
from speakrs_stream.core.embedding.pooling import pool, resample_centred
from speakrs_stream.core.powerset import decode
from speakrs_stream.core.session import window_count
from speakrs_stream.scoring import Labelled
from training.data import read_audio
from training.features import Fbank
from training.network import OFFSET, STRIDE, frame_counts
from training.teacher import session

log = logging.getLogger(__name__)
WINDOW = 160_000
STEP = 16_000
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """What is kept of one recording."""

    uri: str
    samples: int
    """Length of the audio, samples."""
    activity: NDArray[np.uint8]
    """Segmentation decisions [windows, 589, 3]."""
    fbank: NDArray[np.float32]
    """Filter bank of the padded recording [frames, 80]."""
    reference: tuple[Labelled, ...]
    """True turns, seconds."""


def listen(
    uri: str, audio: NDArray[np.float32], reference: tuple[Labelled, ...], network: object, every: int = 1
) -> Meeting:
    """Segment one recording window by window; windows that `every` skips are left silent."""
    windows = window_count(len(audio), STEP)
    padded = np.zeros((windows - 1) * STEP + WINDOW + 400, dtype=np.float32)
    padded[: len(audio)] = audio[: len(padded)]
    activity = np.zeros((windows, 589, 3), dtype=np.uint8)
    for window in range(0, windows, every):
        piece = padded[window * STEP : window * STEP + WINDOW]
        activity[window] = decode(network.run(None, {"input": piece[None, None]})[0][0])  # type: ignore[attr-defined]
    fbank = Fbank()(torch.from_numpy(padded)[None])[0].numpy()
    return Meeting(uri, len(audio), activity, fbank, reference)


def save(meeting: Meeting, path: Path) -> None:
    """Write one meeting."""
    np.savez(
        path,
        samples=meeting.samples,
        activity=meeting.activity,
        fbank=meeting.fbank.astype(np.float16),
        turns=np.array([(t.start, t.end) for t in meeting.reference], dtype=np.float64).reshape(-1, 2),
        speakers=np.array([t.speaker for t in meeting.reference]),
    )


def load(path: Path) -> Meeting:
    """Read one meeting."""
    with np.load(path) as held:
        turns = tuple(
            Labelled(float(a), float(b), str(s)) for (a, b), s in zip(held["turns"], held["speakers"], strict=True)
        )
        fbank = held["fbank"].astype(np.float32)
        return Meeting(path.stem, int(held["samples"]), held["activity"], fbank, turns)


def embeddings(meeting: Meeting, trunk: Network, head: Network) -> NDArray[np.float32]:
    """Embeddings [windows, 3, D], NaN for the silent; trunk [1, T, 80] to [1, t, C], head [3, 2C] to [3, D]."""
    features = trunk(meeting.fbank[None])[0]
    count = frame_counts(998)
    result: NDArray[np.float32] | None = None
    for window, activity in enumerate(meeting.activity):
        first = window * STEP // 160 // STRIDE
        weights = resample_centred(Activity(activity).masks(), count, STRIDE, OFFSET)
        statistics = pool(features[first : first + count], weights[:, : len(features) - first])
        good = np.asarray(np.isfinite(statistics).all(axis=1))
        filled = np.where(good[:, None], statistics, 0).astype(np.float32)
        vectors = head(filled)
        if result is None:
            result = np.full((len(meeting.activity), 3, vectors.shape[1]), np.nan, dtype=np.float32)
        result[window, good] = vectors[good]
    assert result is not None
    return result


def training_items(meeting: Meeting, purity: float = 0.7, ratio: float = 0.2) -> list[tuple[int, int, str]]:
    """(window, local speaker, true speaker) of local speakers with enough clean speech that is mostly one person's."""
    middles = (np.arange(589) * 270 + 495.5) / 16000
    items = []
    for window, activity in enumerate(meeting.activity):
        who = Activity(activity)
        clean = who.clean
        for local in range(3):
            if clean[local] < ratio * 589:
                continue
            alone = who.alone[local] > 0
            times = middles[alone] + window * STEP / 16000
            heard: dict[str, int] = {}
            for turn in meeting.reference:
                shared = int(((times >= turn.start) & (times < turn.end)).sum())
                heard[turn.speaker] = heard.get(turn.speaker, 0) + shared
            name = max(heard, key=lambda n: heard[n], default="")
            if name and heard[name] >= purity * alone.sum():
                items.append((window, local, name))
    return items


def main() -> None:
    """`python -m training.meetings OUT BUNDLE DIR…`: audio + RTTM pairs to cached files, OUT/<folder>-<uri>.npz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("bundle", type=Path, help="folder with segmentation.onnx")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1, help="segment every n-th window only (enough for the PLDA)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    network = session(options.bundle / "segmentation.onnx")
    for folder in options.folders:
        for pair in find_pairs(folder):
            listened = listen(pair.uri, read_audio(pair.audio), pair.reference, network, options.every)
            save(listened, options.out / f"{folder.name}-{pair.uri}.npz")
            log.info("%s %s", folder.name, pair.uri)


if __name__ == "__main__":
    main()
