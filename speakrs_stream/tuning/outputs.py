"""What the networks said about a recording, kept on disk, so that everything after them can be tried in no time.

A file is known by its content, the bundle and the step. What is kept has no sound in it, but voice prints.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from speakrs_stream.core.aggregation import SpeakerCount
from speakrs_stream.core.arrays import Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.history import History
from speakrs_stream.core.session import Session
from speakrs_stream.driver import answer
from speakrs_stream.engine import BLOCK_SECONDS, Engine, Progress, open_source
from speakrs_stream.errors import OutputError


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
            count.push(history.activity(window))
        return history, count


def infer(
    engine: Engine, audio: Path, seconds: float | None = None, hook: Callable[[Progress], None] = lambda progress: None
) -> Outputs:
    """Run the networks over a file, or its first `seconds`, read piece by piece. hook: told how far it is."""
    session = Session(engine.config, engine.model)
    left = None if seconds is None else round(seconds * SAMPLE_RATE)
    with open_source(audio, None) as source:
        for block in source.blocks(BLOCK_SECONDS):
            session.push(block if left is None else block[: left - session.samples])
            for _ in answer(session, engine.networks):
                pass
            hook(Progress("inference", session.samples, source.samples))
            if session.samples == left:
                break
    session.finish()
    for _ in answer(session, engine.networks):
        pass
    return Outputs(session.samples, session.history.state())


def key_of(engine: Engine, audio: Path) -> str:
    """What makes the outputs of a file what they are; OutputError where it cannot be read."""
    try:
        with audio.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise OutputError(f"{audio} cannot be read: {error.strerror}") from error
    return f"{engine.bundle.sha256} {engine.backend_name} {engine.config.step} {engine.config.embedding} {content}"


def inferred(
    engine: Engine, audio: Path, cache: Path, hook: Callable[[Progress], None] = lambda progress: None
) -> Outputs:
    """The networks' outputs, from `cache` where this bundle has heard this sound at this step before."""
    name = hashlib.sha256(key_of(engine, audio).encode()).hexdigest()[:32]
    path = cache / f"{name}.npz"
    if (kept := _load(path)) is not None:
        return kept
    outputs = infer(engine, audio, hook=hook)
    arrays: dict[str, Any] = {"samples": np.int64(outputs.samples), **outputs.state}
    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            np.savez_compressed(file, **arrays)
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"cannot keep network outputs in {cache}: {error.strerror}; name another --cache") from error
    return outputs


def _load(path: Path) -> Outputs | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile):
        return None
    return Outputs(int(arrays.pop("samples")), arrays) if {"samples", "packed", "embeddings"} <= set(arrays) else None
