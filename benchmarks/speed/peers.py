"""This engine beside other pipelines on the same networks and the same recording, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.peers import sherpa
from benchmarks.peers.documented import pyannote_way, speakrs_way
from benchmarks.peers.environment import PeerUnavailable
from benchmarks.speed.cost import live_cost, offline_cost
from benchmarks.speed.material import SEGMENTATION, sound, talk
from benchmarks.speed.timing import Spread, in_turn
from speakrs_stream.core.arrays import F32
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.engine import Engine
from speakrs_stream.models.bundle import ModelBundle

PYANNOTE, SPEAKRS, SHERPA = "pyannote's way", "speakrs' way, cpu", "sherpa-onnx"
LIVE_FAST, LIVE_EXACT, OFFLINE_FAST, OFFLINE_EXACT = "live, fast", "live, exact", "recording, fast", "recording, exact"
TOGETHER = 4
"""Live streams side by side."""
GOALS: tuple[tuple[str, str, float], ...] = (
    (LIVE_FAST, PYANNOTE, 12.0),
    (LIVE_FAST, SPEAKRS, 4.5),
    (OFFLINE_FAST, SHERPA, 4.0),
)
"""Ours, theirs, and how many times quicker it should be."""


def measure(
    bundle: ModelBundle,
    *,
    seconds: float,
    recording: float,
    runs: int,
    with_sherpa: bool = True,
    width: int = 32,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Spread]:
    """Seconds of processor time per second of audio at a step of 1 s, taken in turn.

    bundle: `material.community_shapes`, of that width
    seconds: of what streams hear, and of what ways with a fixed cost per window are measured on
    recording: seconds of the whole recording; a short one has few windows for its length
    """
    audio, whole = sound(seconds), sound(recording)
    fast = Engine(bundle, mode="cpu", embedding="fast", step=1.0)
    exact = Engine(bundle, mode="cpu", embedding="exact", step=1.0)
    todo: dict[str, Callable[[], float]] = {
        LIVE_FAST: partial(live_cost, fast, talk(audio, TOGETHER), seconds / TOGETHER),
        LIVE_EXACT: partial(live_cost, exact, talk(audio, TOGETHER), seconds / TOGETHER),
        OFFLINE_FAST: partial(offline_cost, fast, whole),
        OFFLINE_EXACT: partial(offline_cost, exact, whole),
        PYANNOTE: partial(_per_window, lambda: pyannote_way(fast.networks, audio, SAMPLE_RATE), audio),
        SPEAKRS: partial(_per_window, lambda: speakrs_way(exact.networks, audio, SAMPLE_RATE), audio),
    }
    with _sherpa(bundle, whole, width, report, wanted=with_sherpa) as peer:
        if peer is not None:
            todo[SHERPA] = peer
        return in_turn(todo, runs, report)


def _per_window(work: Callable[[], int], audio: F32) -> float:
    """Seconds per window, which is per second of a stream at a step of 1 s; the first window costs as the others."""
    begin = process_time()
    work()
    return (process_time() - begin) / ((len(audio) - 10 * SAMPLE_RATE) // SAMPLE_RATE + 1)


@contextmanager
def _sherpa(
    bundle: ModelBundle, audio: F32, width: int, report: Callable[[str], None], *, wanted: bool
) -> Iterator[Callable[[], float] | None]:
    """sherpa-onnx as a measurement; None where it cannot be installed, which is told."""
    with TemporaryDirectory() as name:
        try:
            running = _started(bundle, Path(name), width) if wanted else None
        except PeerUnavailable as error:
            report(f"without {SHERPA}: {error}")
            running = None
        if running is None:
            yield None
            return
        kept = sherpa.keep(audio, Path(name) / "audio.npy")
        try:
            yield lambda: running.seconds(kept)[0] * SAMPLE_RATE / len(audio)
        finally:
            running.close()


def _started(bundle: ModelBundle, folder: Path, width: int) -> sherpa.Sherpa:
    python = sherpa.environment()
    return sherpa.Sherpa(python, *sherpa.prepare(bundle.directory / SEGMENTATION, 1, folder, width))


def table(found: Mapping[str, Spread]) -> Table:
    """Cost, speed, and our advantage."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("on the same networks, one thread")
    for name in ("ms a second of audio", "× real time", "live, fast is × quicker", "recording, fast is × quicker"):
        shown.add_column(name, justify="right")
    for name, cost in found.items():
        shown.add_row(
            name,
            f"{1000 * cost.median:.0f} ({1000 * cost.low:.0f}–{1000 * cost.high:.0f})",
            f"{1 / cost.median:.1f}",
            f"{cost.median / found[LIVE_FAST].median:.1f}",
            f"{cost.median / found[OFFLINE_FAST].median:.1f}",
        )
    return shown


def verdicts(found: Mapping[str, Spread]) -> list[dict[str, Any]]:
    """Each goal: how many times quicker, and whether that is enough."""
    rows = []
    for ours, theirs, goal in GOALS:
        if theirs in found:
            times = found[theirs].median / found[ours].median
            rows.append({"ours": ours, "theirs": theirs, "goal": goal, "times": times, "met": times >= goal})
    return rows
