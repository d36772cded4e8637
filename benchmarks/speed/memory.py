"""What a stream holds after a minute, an hour, eight hours: bytes of its snapshot, and growth of the process.

Windows are made up, with community-1's dimensions: six voices take turns, two speak at times. Each measurement runs in
a process of its own, in which there is nothing but the stream.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.live_run import logits
from benchmarks.simulation import Looked
from speakrs_stream.core.arrays import Array
from speakrs_stream.core.clustering.plda import Plda, unit
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import FRAMES_PER_WINDOW, SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import MAIN, LiveSession
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from speakrs_stream.core.session import SpeakerModel

DIMENSION, COMPONENTS, VOICES = 256, 128, 6
HOURS = (1 / 60, 1.0, 8.0)


@dataclass(frozen=True, slots=True)
class Held:
    """A stream's memory at some length."""

    hours: float
    """How long the stream was."""
    snapshot: int
    """Bytes of a snapshot."""
    resident: int | None
    """Bytes by which the process grew since before the stream; None where the system does not say."""
    mean_ms: float
    """Milliseconds of work for a stream-second over the last tenth, networks not included."""


def model(seed: int = 0) -> SpeakerModel:
    """A PLDA of community-1's size."""
    rng = np.random.default_rng(seed)
    lda = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0][:, :COMPONENTS]
    psi = np.geomspace(25.9, 0.57, COMPONENTS)
    plda = Plda(np.zeros(DIMENSION), lda, np.zeros(COMPONENTS), np.zeros(COMPONENTS), np.eye(COMPONENTS), psi)
    return SpeakerModel(EmbeddingLayout(kind="multimask", dimension=DIMENSION, window_mean=True), plda)


class Talk:
    """Windows of a meeting without end, each made when it is asked for and forgotten then."""

    def __init__(self, seed: int = 0) -> None:
        self._voices = unit(np.random.default_rng(seed).standard_normal((VOICES, DIMENSION)))
        self._seed = seed

    def look(self, start: int) -> Looked:
        """What networks would say of the window that starts at a sample."""
        second = start // SAMPLE_RATE
        rng = np.random.default_rng([self._seed, second])
        active = np.zeros((FRAMES_PER_WINDOW, LOCAL_SPEAKERS), np.uint8)
        rows = np.full((LOCAL_SPEAKERS, DIMENSION), np.nan, np.float32)
        for local, block in enumerate(range(second // 5, second // 5 + LOCAL_SPEAKERS)):
            low, high = max(0, 5 * block - second), min(10, 5 * block + 5 - second)
            if high <= low:
                continue
            frames = slice(*(round(at * FRAMES_PER_WINDOW / 10) for at in (low, high)))
            active[frames, local] = 1
            voice = self._voices[(block * 7 + block // 11) % VOICES]
            rows[local] = 4.9 * (voice + 0.5 * rng.standard_normal(DIMENSION) / np.sqrt(DIMENSION * (high - low)))
        return Looked(active, rows)


def play(hours: float) -> Held:
    """A stream of that length, in this process."""
    talk, session = (
        Talk(),
        LiveSession(PipelineConfig(clustering=ClusteringConfig(threshold=0.6, Fa=0.07, Fb=0.8)), LiveConfig(), model()),
    )
    silence = np.zeros(SAMPLE_RATE, np.float32)
    _second(session, talk, silence)
    before = resident()
    seconds = max(12, round(hours * 3600))
    begin = process_time()
    for second in range(1, seconds):
        if second == seconds - seconds // 10:
            begin = process_time()
        _second(session, talk, silence)
    took = process_time() - begin
    after = resident()
    grown = None if before is None or after is None else after - before
    return Held(hours, len(session.snapshot("benchmark")), grown, 1000 * took / max(1, seconds // 10))


def _second(session: LiveSession, talk: Talk, silence: Array) -> None:
    session.push(silence)
    while jobs := session.jobs():
        for job in jobs:
            source, index, _ = job.about
            look = talk.look(index * session.config.step if source == MAIN else 0)
            session.resolve(job.id, logits(look.activations) if job.model == "segmentation" else look.embeddings)


def resident(status: Path = Path("/proc/self/status")) -> int | None:
    """Bytes of this process in memory; None where the system does not say."""
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), None)


def measure(hours: Sequence[float] = HOURS) -> list[Held]:
    """Each length in a process of its own, one after the other."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.map(play, hours, chunksize=1)


def loaded(bundle: str = "embedded") -> Mapping[str, int | None]:
    """Bytes of a process that has done nothing, loaded a bundle's networks, and answered for a minute."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return dict(pool.apply(_loaded, (bundle,)))


def _loaded(bundle: str) -> dict[str, int | None]:
    start = resident()
    from benchmarks.speed.cost import live_cost
    from benchmarks.speed.material import sound
    from speakrs_stream.engine import Engine

    engine = Engine(bundle, mode="cpu")
    networks = resident()
    live_cost(engine, [sound(30.0)], 50.0)
    return {"python": start, "networks loaded": networks, "one stream, one minute": resident()}


def table(held: Sequence[Held]) -> Table:
    """Sizes by length."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("length", "snapshot, MB", "process grew by, MB", "MB an hour", "ms a stream-second"):
        shown.add_column(name, justify="right")
    for one in held:
        length = f"{one.hours:g} h" if one.hours >= 1 else f"{60 * one.hours:g} min"
        grown = "–" if one.resident is None else f"{one.resident / 1e6:.1f}"
        shown.add_row(
            length, f"{one.snapshot / 1e6:.2f}", grown, f"{one.snapshot / 1e6 / one.hours:.1f}", f"{one.mean_ms:.2f}"
        )
    return shown


def platform_says() -> str:
    """Where resident sizes come from."""
    return "resident set of /proc/self/status" if sys.platform == "linux" else "resident set not known on this system"
