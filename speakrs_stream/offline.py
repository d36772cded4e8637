"""One call from a recording to its turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import Audio, EmbeddingMode, Engine, Progress
from speakrs_stream.models.bundle import ModelBundle


def diarize(
    audio: Audio,
    *,
    bundle: str | Path | ModelBundle | None = None,
    mode: str = "auto",
    backend: str = "auto",
    step: float | None = None,
    config: PipelineConfig | None = None,
    embedding: EmbeddingMode = "exact",
    sample_rate: int | None = None,
    uri: str | None = None,
    num_speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    hook: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Diarization:
    """Who spoke when in a recording: loads the networks, runs them, clusters. For many recordings keep an `Engine`.

    The first seven settings are those of `Engine`, the others those of `Engine.diarize`; shapes, units and errors
    are told there.
    """
    engine = Engine(bundle, mode=mode, backend=backend, step=step, config=config, embedding=embedding)
    return engine.diarize(
        audio,
        sample_rate=sample_rate,
        uri=uri,
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        hook=hook,
        cancel=cancel,
    )
