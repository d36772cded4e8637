"""Equal error rates of an embedding: 2 s cuts of LibriSpeech, single-speaker cuts of AMI within a clip."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data import RATE, Turn, held_out, read_audio, read_rttm, speakers_of
from training.features import Fbank
from training.meetings import STEP, WINDOW, Meeting, Network, embeddings, load, training_items
from training.network import OFFSET, STRIDE, Embedder, weighted_statistics
from training.teacher import DVector, network, session

Embed = Callable[[NDArray[np.float32], float, float], NDArray[np.float32] | None]
"""(samples, first second, last second) to an embedding of that stretch, or None when it is too short."""

SHORTEST = 5
"""Features that a stretch must have."""


def equal_error_rate(same: NDArray[np.float64], different: NDArray[np.float64]) -> float:
    """Rate at which misses equal false alarms, in percent."""
    scores = np.concatenate([same, different])
    labels = np.concatenate([np.ones(len(same)), np.zeros(len(different))])
    labels = labels[np.argsort(scores, kind="stable")]
    miss = np.cumsum(labels) / len(same)
    false = 1 - np.cumsum(1 - labels) / len(different)
    at = int(np.argmin(np.abs(miss - false)))
    return float(50 * (miss[at] + false[at]))


def pair_rates(vectors: NDArray[np.float32], speakers: list[str], groups: list[str], within: bool) -> float:
    """EER over pairs: of different groups (utterances) when not `within`, else of the same group (clip)."""
    same, different = pair_scores(vectors, speakers, groups, within)
    return equal_error_rate(same, different)


def pair_scores(
    vectors: NDArray[np.float32], speakers: list[str], groups: list[str], within: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines of same-speaker pairs and of different-speaker pairs."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit @ unit.T).astype(np.float64)
    who, where = np.asarray(speakers), np.asarray(groups)
    upper = np.triu(np.ones_like(cosines, dtype=bool), 1)
    alike = who[:, None] == who[None, :]
    together = where[:, None] == where[None, :]
    if within:
        return cosines[upper & together & alike], cosines[upper & together & ~alike]
    return cosines[upper & ~together & alike], cosines[upper & ~alike]


def solo_stretches(turns: list[Turn], shortest: float, longest: float) -> list[Turn]:
    """Stretches in which exactly one person talks, cut to at most `longest` seconds."""
    edges = sorted({t.start for t in turns} | {t.end for t in turns})
    solo: list[Turn] = []
    for left, right in pairwise(edges):
        active = {t.speaker for t in turns if t.start < right - 1e-6 and t.end > left + 1e-6}
        if len(active) != 1:
            continue
        name = active.pop()
        if solo and solo[-1].speaker == name and abs(solo[-1].end - left) < 1e-6:
            solo[-1] = Turn(solo[-1].start, right, name)
        else:
            solo.append(Turn(left, right, name))
    cuts = []
    for turn in solo:
        start = turn.start
        while turn.end - start >= shortest:
            end = min(start + longest, turn.end)
            cuts.append(Turn(start, end, turn.speaker))
            start = end
    return cuts


def librispeech_rate(folder: Path, embed: Embed, seconds: float) -> float:
    """EER of isolated cuts of `seconds`; pairs come from different utterances."""
    vectors, speakers, groups = [], [], []
    for name, files in speakers_of(folder).items():
        for path in files:
            samples = read_audio(path)
            for start in np.arange(0, len(samples) / RATE - seconds, seconds):
                piece = samples[int(start * RATE) : int((start + seconds) * RATE)]
                vector = embed(piece, 0.0, seconds)
                if vector is not None:
                    vectors.append(vector)
                    speakers.append(name)
                    groups.append(path.name)
    return pair_rates(np.stack(vectors), speakers, groups, within=False)


def held_out_rate(folder: Path, embed: Embed, seconds: float) -> float:
    """EER of cuts of the held-out training speakers (one utterance each, so same-speaker pairs share it)."""
    vectors, speakers = [], []
    away = held_out()
    for name, files in speakers_of(folder).items():
        if name not in away:
            continue
        samples = read_audio(files[0])
        for start in np.arange(0, len(samples) / RATE - seconds, seconds):
            vector = embed(samples[int(start * RATE) : int((start + seconds) * RATE)], 0.0, seconds)
            if vector is not None:
                vectors.append(vector)
                speakers.append(name)
    return pair_rates(np.stack(vectors), speakers, ["all"] * len(speakers), within=True)


def ami_rate(clips: list[Path], embed: Embed) -> float:
    """EER of single-speaker cuts of 1-3 s within each clip; scores of all clips are pooled."""
    same, different = [], []
    for clip in clips:
        samples = read_audio(clip)
        cuts = solo_stretches(read_rttm(clip.with_suffix(".rttm")), 1.0, 3.0)
        pairs = [(embed(samples, c.start, c.end), c.speaker) for c in cuts]
        kept = [(v, s) for v, s in pairs if v is not None]
        if len(kept) < 2:
            continue
        scores = pair_scores(np.stack([v for v, _ in kept]), [s for _, s in kept], [clip.name] * len(kept), within=True)
        same.append(scores[0])
        different.append(scores[1])
    return equal_error_rate(np.concatenate(same), np.concatenate(different))


def stretch(features: int, first: float, last: float) -> Tensor:
    """Weights [1, features] that keep the features between two times, seconds."""
    times = (torch.arange(features) * STRIDE + OFFSET) * 0.01 + 0.0125
    return ((times >= first) & (times < last)).float()[None]


def student(model: Embedder) -> Embed:
    """Embeds with the network as the pipeline does: the whole piece through the trunk, a mask for the stretch."""
    fbank = Fbank()

    @torch.no_grad()
    def embed(samples: NDArray[np.float32], first: float, last: float) -> NDArray[np.float32] | None:
        frames = fbank(torch.from_numpy(np.ascontiguousarray(samples))[None])
        features = model.trunk(frames)
        weights = stretch(features.shape[1], first, last)
        if float(weights.sum()) < SHORTEST:
            return None
        statistics = model.statistics(features, weights)
        return np.asarray(model.head(statistics)[0].numpy())

    return embed


def bundled(bundle: Path) -> Embed:
    """Embeds with the networks of a bundle, as they ship."""
    trunk, head = session(bundle / "trunk.onnx"), session(bundle / "head.onnx")
    fbank = Fbank()

    def embed(samples: NDArray[np.float32], first: float, last: float) -> NDArray[np.float32] | None:
        frames = fbank(torch.from_numpy(np.ascontiguousarray(samples))[None]).numpy()
        features = torch.from_numpy(trunk.run(None, {"fbank": frames})[0])
        weights = stretch(features.shape[1], first, last)
        if float(weights.sum()) < SHORTEST:
            return None
        statistics = weighted_statistics(features, weights).numpy()
        return np.asarray(head.run(None, {"statistics": statistics})[0][0])

    return embed


def teacher(folder: Path) -> Embed:
    """Embeds with the d-vector teacher."""
    dvector = DVector(folder)

    def embed(samples: NDArray[np.float32], first: float, last: float) -> NDArray[np.float32]:
        return dvector.utterance(samples[int(first * RATE) : int(last * RATE)], hop=0.4)

    return embed


def local_scores(meeting: Meeting, trunk: Network, head: Network) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines between local speakers of windows of one meeting that share no audio: of the same person, of others."""
    vectors = embeddings(meeting, trunk, head)
    rows = [(vectors[w, i], w, name) for w, i, name in training_items(meeting) if np.isfinite(vectors[w, i]).all()]
    if len(rows) < 2:
        return np.empty(0), np.empty(0)
    unit = np.stack([vector / np.linalg.norm(vector) for vector, _, _ in rows])
    windows, names = np.array([w for _, w, _ in rows]), np.array([name for _, _, name in rows])
    cosines = (unit @ unit.T).astype(np.float64)
    apart = windows[None] - windows[:, None] >= WINDOW // STEP
    alike = names[:, None] == names[None]
    return cosines[apart & alike], cosines[apart & ~alike]


def meetings_rate(folder: Path, trunk: Network, head: Network) -> float:
    """EER between local speakers of cached meetings (`training.meetings`); scores of all meetings are pooled."""
    scores = [local_scores(load(path), trunk, head) for path in sorted(folder.glob("*.npz"))]
    return equal_error_rate(np.concatenate([s for s, _ in scores]), np.concatenate([d for _, d in scores]))


def networks(model: Embedder) -> tuple[Network, Network]:
    """Trunk and head of a checkpoint as functions of arrays."""

    @torch.no_grad()
    def trunk(fbank: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model.trunk(torch.from_numpy(fbank)).numpy())

    @torch.no_grad()
    def head(statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model.head(model.norm(torch.from_numpy(statistics))).numpy())

    return trunk, head


def rates(shared: Path, embed: Embed) -> dict[str, float]:
    """All equal error rates, in percent."""
    speech = shared / "speech"
    clips = sorted((speech / "ami").glob("*.flac"))
    return {
        "librispeech_dev_2s": librispeech_rate(speech / "librispeech" / "dev", embed, 2.0),
        "held_out_2s": held_out_rate(speech / "librispeech" / "train", embed, 2.0),
        "ami_all": ami_rate(clips, embed),
        "ami_unseen_half": ami_rate(clips[len(clips) // 2 :], embed),
    }


def main() -> None:
    """`python -m training.evaluate SHARED [--checkpoint FILE | --bundle DIR [--meetings CACHE…]]`; else the teacher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--meetings", type=Path, nargs="*", default=[], help="folders of cached meetings")
    options = parser.parse_args()
    parts: tuple[Network, Network] | None = None
    if options.bundle is not None:
        embed = bundled(options.bundle)
        parts = network(options.bundle / "trunk.onnx"), network(options.bundle / "head.onnx")
    elif options.checkpoint is None:
        embed = teacher(options.shared / "models" / "teachers")
    else:
        model = Embedder()
        model.load_state_dict(torch.load(options.checkpoint, weights_only=True)["average"])
        embed = student(model.eval())
        parts = networks(model)
    if options.meetings and parts is None:
        parser.error("--meetings needs --checkpoint or --bundle")
    found = rates(options.shared, embed)
    found |= {folder.name: meetings_rate(folder, *parts) for folder in options.meetings if parts is not None}
    print(json.dumps({k: round(v, 2) for k, v in found.items()}))


if __name__ == "__main__":
    main()
