"""Clustering and reconciliation at scale without networks: real turn-taking, simulated windows, several methods.

Every method sees the same windows of the same recordings: the product's own identity, greedy matching as diart does it
with its published threshold and with the best one, diart's own block where it can be had; the offline result of the
same windows comes with each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

from benchmarks.live_metrics import MARKS, Tally
from benchmarks.live_run import SimulatedLooks, play
from benchmarks.machine import ROOT
from benchmarks.parity import load_plda
from benchmarks.peers.diart_block import DiartBlock
from benchmarks.peers.greedy import DELTA_NEW, Centroids, Matching, PeerIdentity
from benchmarks.references import read_rttm
from benchmarks.simulation import Simulation, long_meeting
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.session import SpeakerModel
from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled

SHARED = ROOT.parent / "shared"
REFERENCES = (SHARED / "reference" / "ami_dev", SHARED / "reference" / "voxconverse_dev")
"""Folders of RTTMs that are used where none are named."""
PLDA = SHARED / "models" / "community-1"
"""Folder of PLDA tables that is used where none is named."""

OURS = "speakrs-stream"
TUNED = 0.7
"""Threshold with the least confusion of greedy matching on these simulated recordings; see `--deltas`."""
DELAYS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
"""Values of `max_delay` for the curve, seconds."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to tell who is who in the same windows."""

    name: str
    """As it is called in results."""
    live: LiveConfig
    """Settings of the live layer."""
    delta_new: float | None = None
    """Threshold of greedy matching; None for the product's own identity."""
    diart: Path | None = None
    """Python of an environment with diart, whose own block then does the matching."""


def methods(live: LiveConfig, diart: Path | None = None, deltas: Sequence[float] = (DELTA_NEW, TUNED)) -> list[Method]:
    """The product's own and greedy matching at these thresholds; diart's block where its environment is given."""
    found = [Method(OURS, live), *(Method(f"greedy {delta:g}", live, delta) for delta in deltas)]
    return found if diart is None else [*found, Method("diart", live, DELTA_NEW, diart)]


def curve_methods(live: LiveConfig, delays: Iterable[float] = DELAYS) -> list[Method]:
    """The product's own with every `max_delay`."""
    return [Method(f"{delay:g}", replace(live, max_delay=round(delay * SAMPLE_RATE))) for delay in delays]


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to simulate, and what to run on it."""

    name: str
    """Of the recording."""
    turns: tuple[Labelled, ...]
    """Its reference."""
    plda: Path
    """Folder of the PLDA tables voices are drawn from."""
    methods: tuple[Method, ...]
    """What to run."""
    seed: int
    """Same seed, same windows."""
    config: PipelineConfig
    """Settings of the pipeline."""
    check: bool = True
    """Whether to compare the result with that of the windows without a live session."""


def tasks(
    folder: Path,
    plda: Path,
    chosen: Sequence[Method],
    *,
    max_files: int | None = None,
    max_seconds: float | None = None,
    seed: int = 1,
) -> list[Task]:
    """A task for every recording of the RTTMs in a folder, longest first; with `max_files` evenly spread ones.

    Raises FormatError where the folder holds no RTTM with a turn.
    """
    found = []
    for path in sorted(folder.glob("*.rttm")):
        for uri, turns in read_rttm(path).items():
            kept = tuple(cut(turns, max_seconds))
            if kept:
                found.append(Task(uri, kept, plda, tuple(chosen), seed ^ crc32(uri.encode()), PipelineConfig()))
    if not found:
        raise FormatError(f"{folder} holds no .rttm with a turn")
    if max_files is not None and len(found) > max_files:
        found = [found[index * len(found) // max_files] for index in range(max_files)]
    return sorted(found, key=lambda task: -max(turn.end for turn in task.turns))


def cut(turns: Iterable[Labelled], seconds: float | None) -> Iterator[Labelled]:
    """Turns of the first so many seconds."""
    for turn in turns:
        if seconds is None:
            yield turn
        elif turn.start < seconds:
            yield Labelled(turn.start, min(turn.end, seconds), turn.speaker)


def long_task(hours: float, speakers: int, plda: Path, chosen: Sequence[Method], seed: int = 1) -> Task:
    """A long meeting in which everybody leaves for an eighth of it, an hour at most."""
    turns = long_meeting(hours, speakers, seed, absence=min(3600.0, 450.0 * hours))
    name = f"{hours:g} h, {speakers} speakers"
    return Task(name, tuple(turns), plda, tuple(chosen), seed, PipelineConfig(), check=hours <= 1)


def simulate(task: Task) -> dict[str, Tally]:
    """Run every method on a recording: name -> figures."""
    plda = load_plda(task.plda)
    layout = EmbeddingLayout(kind="multimask", dimension=plda.lda.shape[0], window_mean=True)
    model = SpeakerModel(layout, plda)
    looks = SimulatedLooks(Simulation(task.turns, plda, seed=task.seed), task.config.step)
    found = {}
    for method in task.methods:
        own = method.delta_new is None
        identity = None
        if not own:
            identity = PeerIdentity(method.live, task.config.clustering, plda, _matching(method))
        check = task.check and own
        marks = MARKS if own else ()
        played = play(looks, task.config, method.live, model, identity, check=check, marks=marks)
        found[method.name] = played.judged(task.turns)
    return found


def _matching(method: Method) -> Matching:
    delta = DELTA_NEW if method.delta_new is None else method.delta_new
    return Centroids(delta) if method.diart is None else _diart(method.diart).begin(delta)


@cache
def _diart(python: Path) -> DiartBlock:
    return DiartBlock(python)


def run(work: Sequence[Task], jobs: int) -> Iterator[tuple[Task, dict[str, Tally]]]:
    """Run tasks in `jobs` processes; yields them as they are done."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(simulate, task): task for task in work}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()


def gathered(done: Iterable[tuple[Task, Mapping[str, Tally]]]) -> dict[str, list[Tally]]:
    """Figures of many recordings by method."""
    by_method: dict[str, list[Tally]] = {}
    for _, found in sorted(done, key=lambda one: one[0].name):
        for name, figures in found.items():
            by_method.setdefault(name, []).append(figures)
    return by_method
