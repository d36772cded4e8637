"""Recordings with a reference, played through the product's stream by the sample clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.live_metrics import MARKS, Tally
from benchmarks.live_run import ClockedIdentity, Played, piece_of, play
from benchmarks.outputs import Outputs, inferred, inferred_previews
from benchmarks.references import Pair
from benchmarks.simulate import cut
from benchmarks.simulation import Looked
from speakrs_stream.core.arrays import F32
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.powerset import unpack
from speakrs_stream.core.session import SpeakerModel
from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import BLOCK_SECONDS, Engine, open_source
from speakrs_stream.scoring import Labelled
from speakrs_stream.stream import Stream


class RecordedLooks:
    """What the networks said about a recording."""

    def __init__(self, windows: Outputs, previews: Outputs) -> None:
        self.samples = windows.samples
        self._windows = windows.state
        self._previews = previews.state

    def window(self, index: int) -> Looked:
        """A window; the last may be padded with silence."""
        return Looked(unpack(self._windows["packed"][index]), self._windows["embeddings"][index])

    def preview(self, steps: int) -> Looked:
        """The first `steps` steps, padded with silence."""
        return Looked(unpack(self._previews["packed"][steps - 1]), self._previews["embeddings"][steps - 1])


def measure(
    engine: Engine, pair: Pair, live: LiveConfig, *, cache: Path | None = None, seconds: float | None = None
) -> Tally:
    """Play one recording, or its first `seconds`, and judge what was shown.

    With `cache` the networks' outputs are kept there and used again; without it the product's stream hears the audio.
    """
    reference = list(cut(pair.reference, seconds))
    if cache is None:
        return stream(engine, pair, live, seconds).judged(reference)
    windows, previews = (get(engine, pair.audio, cache, seconds) for get in (inferred, inferred_previews))
    layout = EmbeddingLayout(kind="multimask", dimension=engine.model.layout.dimension, window_mean=True)
    played = play(RecordedLooks(windows, previews), engine.config, live, SpeakerModel(layout, engine.model.plda))
    return played.judged(reference)


def stream(engine: Engine, pair: Pair, live: LiveConfig, seconds: float | None = None) -> Played:
    """Play one recording through a `Stream`, as `Engine.stream` makes it, with a clock at the identity."""
    identity = ClockedIdentity(live, engine.config.clustering, engine.model.plda)
    session = LiveSession(engine.config, live, engine.model, identity)
    listener = Stream(engine, engine.config, live, uri=pair.uri, session=session)
    played = Played(0)
    waiting = [round(mark * SAMPLE_RATE) for mark in MARKS]
    for piece in pieces(pair.audio, piece_of(engine.config.step), seconds):
        begin = time.perf_counter()
        events = listener.push(piece)
        played.pushes.append(time.perf_counter() - begin)
        played.arrivals += [(listener.samples, event) for event in events]
        while waiting and listener.samples >= waiting[0]:
            del waiting[0]
            played.snapshots.append((listener.samples, len(listener.snapshot())))
    result = listener.finish()
    played.samples = result.samples
    played.arrivals += [(result.samples, event) for event in listener.final_events]
    played.snapshots.append((result.samples, len(listener.snapshot())))
    played.reclusters = identity.reclusters
    played.offline = [Labelled(turn.start, turn.end, turn.speaker) for turn in result.turns]
    played.same = result.turns == whole(engine, pair, seconds).turns
    return played


def whole(engine: Engine, pair: Pair, seconds: float | None) -> Diarization:
    """The recording, or its first `seconds`, diarized as a whole."""
    if seconds is None:
        return engine.diarize(pair.audio, uri=pair.uri)
    rows = list(pieces(pair.audio, SAMPLE_RATE, seconds))
    return engine.diarize(np.concatenate([*rows, np.zeros(0, np.float32)]), sample_rate=SAMPLE_RATE, uri=pair.uri)


def pieces(audio: Path, size: int, seconds: float | None) -> Iterator[F32]:
    """A file at 16 kHz in pieces of `size` samples, the first `seconds` of it; the last piece may be shorter."""
    left = None if seconds is None else round(seconds * SAMPLE_RATE)
    rest = np.zeros(0, np.float32)
    with open_source(audio, None) as source:
        for block in source.blocks(BLOCK_SECONDS):
            rest = np.concatenate([rest, block if left is None else block[:left]])
            left = None if left is None else max(left - len(block), 0)
            whole = len(rest) // size * size
            yield from rest[:whole].reshape(-1, size)
            rest = rest[whole:]
            if left == 0:
                break
    if len(rest):
        yield rest
