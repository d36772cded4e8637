"""Network outputs of a recording, kept on disk so that everything after the networks can be tried in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from speakrs_stream.core.aggregation import SpeakerCount
from speakrs_stream.core.arrays import Array
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.grid import SAMPLE_RATE, WINDOW
from speakrs_stream.core.history import History
from speakrs_stream.core.session import Outcome, Session, outcome
from speakrs_stream.driver import answer
from speakrs_stream.engine import BLOCK_SECONDS, Engine, open_source


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What the networks said about a whole recording."""

    samples: int
    """Length of the audio at 16 kHz."""

    state: dict[str, Array]
    """As `History.state()` gives it."""

    def history(self, config: PipelineConfig) -> tuple[History, SpeakerCount]:
        """Windows and speaker counts as a session would hold them; `config` gives the step."""
        history, count = History(self.state["embeddings"].shape[2]), SpeakerCount(config.step)
        history.restore(self.state)
        for window in range(len(history)):
            count.push(history.activations(window, window + 1)[0])
        return history, count


def infer(engine: Engine, audio: Path, seconds: float | None = None) -> Outputs:
    """Run the networks over a file, or its first `seconds`, read piece by piece."""
    session = Session(engine.config, engine.model)
    left = None if seconds is None else round(seconds * SAMPLE_RATE)
    with open_source(audio, None) as source:
        for block in source.blocks(BLOCK_SECONDS):
            session.push(block if left is None else block[: left - session.samples])
            for _ in answer(session, engine.networks):
                pass
            if session.samples == left:
                break
    session.finish()
    for _ in answer(session, engine.networks):
        pass
    return Outputs(session.samples, session.history.state())


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
