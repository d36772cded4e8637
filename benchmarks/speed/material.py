"""What speed is measured on: the bundled meeting, and networks of community-1's shape."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from benchmarks.machine import ROOT
from speakrs_stream.audio.files import open_audio
from speakrs_stream.core.arrays import F32
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.resolve import resolve

MEETING = ROOT / "speakrs_stream" / "demo" / "meeting.flac"
TEACHER = ROOT.parent / "shared" / "models" / "teachers" / "segmentation.onnx"
SEGMENTATION = "segmentation-3.0.onnx"
SHAPES = "community-shapes"
"""What commands call the networks of `community_shapes`."""


def sound(seconds: float, file: Path = MEETING) -> F32:
    """So many seconds of a recording, from its start again where it ends: (n,) float32 at 16 kHz."""
    with open_audio(file) as source:
        whole = np.concatenate(list(source.blocks(30.0)))
    return np.resize(whole, round(seconds * SAMPLE_RATE)).astype(np.float32)


def talk(audio: F32, streams: int) -> list[F32]:
    """The same recording for many streams, each from somewhere else, so that they do not ask the same at once."""
    return [np.roll(audio, -number * len(audio) // max(streams, 1)) for number in range(streams)]


def community_shapes(segmentation: Path | None = None, folder: Path | None = None, width: int = 32) -> ModelBundle:
    """Networks of community-1's shape, made once and kept in the user's cache folder.

    The embedding network is ResNet34 with random weights: what it says means nothing, what it costs does. The
    segmentation must find speech for anything to be embedded, so it is a trained PyanNet where one is at hand.

    segmentation: such a network; None takes the one beside the checkout, else random weights
    folder: where to keep them; None for the cache
    width: 32 for true shapes, less for small networks
    """
    from training.community_shapes import write

    chosen = segmentation or (TEACHER if TEACHER.exists() else None)
    home = folder or user_cache_path("speakrs-stream", appauthor=False) / "benchmarks"
    directory = home / f"community-shapes-{width}-{'trained' if chosen else 'random'}"
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        write(directory, width=width)
        if chosen:
            shutil.copyfile(chosen, directory / SEGMENTATION)
        (directory / "complete").touch()
    return resolve(directory)
