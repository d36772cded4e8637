"""Network outputs of a recording, kept on disk so that everything after the networks can be tried in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.core.history import History
from speakrs_stream.core.session import Outcome, outcome
from speakrs_stream.engine import Engine
from speakrs_stream.tuning.outputs import Outputs, infer

__all__ = ["Outputs", "concluded", "infer", "inferred", "inferred_previews"]


def inferred(engine: Engine, audio: Path, cache: Path | None, seconds: float | None = None) -> Outputs:
    """The networks' outputs, from `cache` where this bundle has heard this file at this step before."""
    return _remembered(engine, audio, cache, seconds, "", lambda: infer(engine, audio, seconds))


def inferred_previews(engine: Engine, audio: Path, cache: Path | None, seconds: float | None = None) -> Outputs:
    """What a live stream looks at before its first whole window: its first step, two steps …, padded with silence."""

    def make() -> Outputs:
        step = engine.config.step
        total = None if seconds is None else round(seconds * SAMPLE_RATE)
        states = []
        for length in range(step, WINDOW if total is None else min(WINDOW, total + 1), step):
            looked = infer(engine, audio, length / SAMPLE_RATE)
            if looked.samples < length:
                break
            states.append(looked.state)
        if not states:
            return Outputs(0, History(engine.model.layout.dimension).state())
        return Outputs(step * len(states), {name: np.concatenate([one[name] for one in states]) for name in states[0]})

    return _remembered(engine, audio, cache, seconds, " previews", make)


def _remembered(
    engine: Engine, audio: Path, cache: Path | None, seconds: float | None, what: str, make: Callable[[], Outputs]
) -> Outputs:
    """What `make` gives, from `cache` where it was made before."""
    if cache is None:
        return make()
    content = hashlib.sha256(audio.read_bytes()).hexdigest()
    key = f"{engine.bundle.sha256} {engine.backend_name} {engine.config.step} {content}{what}"
    key += "" if seconds is None else f" {seconds:g}"
    path = cache / f"{audio.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if (kept := _load(path)) is not None:
        return kept
    outputs = make()
    cache.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part.npz")
    arrays: dict[str, Any] = {"samples": np.int64(outputs.samples), **outputs.state}
    np.savez_compressed(beside, **arrays)
    beside.replace(path)
    return outputs


def concluded(engine: Engine, outputs: Outputs, bounds: SpeakerBounds) -> Outcome:
    """Everything after the networks, with the engine's configuration."""
    history, count = outputs.history(engine.config)
    return outcome(history, count, engine.model.plda, engine.config, outputs.samples, bounds)


def _load(path: Path) -> Outputs | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile):
        return None
    return Outputs(int(arrays.pop("samples")), arrays) if {"samples", "packed", "embeddings"} <= set(arrays) else None
