"""What a live stream costs beside the networks: processor time around `push`, `jobs` and `resolve` of a live session.

What the networks say is known beforehand and takes no time: simulated windows with community-1's dimensions, in
silence and with noise for sound, so that its filter bank is computed; and what a bundle's networks said about a
recording, with the gate in front. A made-up meeting is driven once to each stretch that is measured and saved there;
every measurement then starts from what was saved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.live_run import Answers, SimulatedLooks
from benchmarks.parity import load_plda
from benchmarks.references import read_rttm
from benchmarks.simulate import PLDA, REFERENCES, long_task
from benchmarks.simulation import Simulation
from benchmarks.speed.clocks import PARTS, RECLUSTERING, WHOLE, Clocks
from benchmarks.speed.material import MEETING, SHAPES, community_shapes, sound
from benchmarks.speed.memory import model as made_up
from benchmarks.speed.timing import Spread, one_core, tell
from speakrs_stream.audio.live import LiveInput
from speakrs_stream.core.arrays import F32, Array
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.core.embedding.extraction import EmbeddingLayout
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.jobs import Job
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.session import SpeakerModel
from speakrs_stream.driver import run as infer
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError
from speakrs_stream.models.resolve import resolve

GOAL = 1.5
"""Milliseconds for a second of sound at a step of 1 s, everything but the networks in it."""
FIRST = 60
"""Seconds in front of the first stretch: while a stream is younger, every step is clustered again."""
WARM = 20
"""Seconds in front of every stretch that are heard and not measured: more than anything keeps of sound."""
PEOPLE = 12
AMI = REFERENCES[0] / "ES2011a.rttm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure."""

    hours: tuple[float, ...] = (1.0, 8.0)
    """Lengths at which the made-up meeting is measured besides its beginning."""
    minutes: float = 9.0
    """Length of a stretch of a simulated meeting."""
    seconds: float = 120.0
    """Length of a stretch of a recording."""
    runs: int = 5
    """Measurements of each."""
    bundles: tuple[str, ...] = ("embedded", SHAPES)
    """Networks that are asked about the recordings."""
    recordings: tuple[Path, ...] = (MEETING,)
    """What they hear."""
    parts: bool = False
    """Whether to take the cost apart, too."""
    rttm: Path = AMI
    """Reference whose turn-taking is simulated."""
    plda: Path = PLDA
    """Folder of PLDA tables; made-up ones are used where it is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A stretch of a stream, which can be played any number of times."""

    what: str
    """What is heard."""
    where: str
    """Which part of it."""
    begin: Callable[[], LiveSession]
    """The stream `warm` seconds before the stretch."""
    warm: int
    """Seconds in front of the stretch."""
    seconds: int
    """Its length."""
    sound: F32
    """(n,) what is heard from `begin` on, again from its start where it ends; whole seconds."""
    answer: Callable[[Job], Array]
    """What the networks say."""
    gated: bool = False
    """Whether sound goes through the gate first."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a stretch cost, in seconds of work for a second of sound."""

    what: str
    """What was heard."""
    where: str
    """Which part of it."""
    whole: Spread
    """Everything but the networks."""
    plain: Spread
    """The same without re-clusterings."""
    parts: Mapping[str, float]
    """Of one more run, in which every part was clocked; empty where none was."""


def drive(stretch: Stretch, clocks: Clocks) -> tuple[float, dict[str, float]]:
    """Play a stretch: seconds of work for a second of sound, and what of it each clock saw."""
    session, gate = stretch.begin(), LiveInput() if stretch.gated else None
    spent, before = 0.0, dict(clocks.spent)
    for second in range(stretch.warm + stretch.seconds):
        if second == stretch.warm:
            spent, before = 0.0, dict(clocks.spent)
        at = second * SAMPLE_RATE % len(stretch.sound)
        heard = stretch.sound[at : at + SAMPLE_RATE]
        begin = time.thread_time()
        session.push(gate.push(heard) if gate is not None else heard)
        while jobs := session.jobs():
            spent += time.thread_time() - begin
            answers = [stretch.answer(job) for job in jobs]
            begin = time.thread_time()
            for job, said in zip(jobs, answers, strict=True):
                session.resolve(job.id, said)
        spent += time.thread_time() - begin
    seen = {part: (took - before[part]) / stretch.seconds for part, took in clocks.spent.items()}
    return spent / stretch.seconds, seen


# -- simulated meetings --------------------------------------------------------------------------------------


def simulated(
    name: str, simulation: Simulation, model: SpeakerModel, spans: Mapping[str, tuple[int, int]]
) -> list[Stretch]:
    """Stretches of a simulated meeting, in silence and with noise; spans: name -> seconds from and to, in order."""
    config, live = PipelineConfig(step=SAMPLE_RATE), LiveConfig()
    looks = SimulatedLooks(simulation, config.step)
    session, answers = LiveSession(config, live, model), Answers(looks, config.step)
    silence = np.zeros(SAMPLE_RATE, np.float32)
    noise = (0.1 * np.random.default_rng(0).standard_normal(WARM * SAMPLE_RATE)).astype(np.float32)
    out = []
    for where, (start, end) in spans.items():
        while (at := session.samples) < (start - WARM) * SAMPLE_RATE:
            answers.prepare(at, at + SAMPLE_RATE)
            session.push(silence)
            while jobs := session.jobs():
                for job in jobs:
                    session.resolve(job.id, answers.of(job))
        begin = partial(LiveSession.restore, session.snapshot("host"), config, live, model, "host")
        known = Answers(looks, config.step)
        known.prepare((start - WARM) * SAMPLE_RATE, end * SAMPLE_RATE)
        for kind, heard in (("silent", silence), ("noise", noise)):
            out.append(Stretch(f"{name}, {kind}", where, begin, WARM, end - start, heard, known.of))
    return sorted(out, key=lambda stretch: stretch.what, reverse=True)  # silent ones first


def meetings(request: Request) -> list[Stretch]:
    """Stretches of the simulated meetings that the material here allows."""
    if request.plda.is_dir():
        plda = load_plda(request.plda)
        layout = EmbeddingLayout(kind="multimask", dimension=plda.lda.shape[0], window_mean=True)
        model = SpeakerModel(layout, plda)
    else:
        tell(f"no PLDA tables at {request.plda}: made-up ones are used")
        model = made_up()
    length = round(60 * request.minutes)
    first = {f"minutes 1 to {1 + request.minutes:g}": (FIRST, FIRST + length)}
    found = []
    if request.rttm.is_file():
        for uri, turns in read_rttm(request.rttm).items():
            simulation = Simulation(turns, model.plda, seed=1 ^ crc32(uri.encode()), seconds=FIRST + length)
            found += simulated(uri, simulation, model, first)
    else:
        tell(f"skipped: no reference at {request.rttm}")
    ends = {hours: round(3600 * hours) for hours in sorted(request.hours)}
    for hours, end in ends.items():
        if end - length < FIRST:
            raise ConfigError(
                f"{hours:g} h are too few for a stretch of {request.minutes:g} min after the first minute"
            )
    spans = first | {f"hour {hours:g}": (end - length, end) for hours, end in ends.items()}
    end = max(end for _, end in spans.values())
    task = long_task(end / 3600, PEOPLE, request.plda, ())
    simulation = Simulation(task.turns, model.plda, seed=task.seed, seconds=end)
    return [*found, *simulated(f"{PEOPLE} people", simulation, model, spans)]


# -- recordings ----------------------------------------------------------------------------------------------


def recorded(name: str, file: Path, seconds: float) -> Stretch:
    """A recording, once its first minute is over, and what a bundle's networks say about it."""
    engine = Engine(community_shapes() if name == SHAPES else resolve(name), mode="cpu", embedding="fast")
    said: dict[tuple[str, tuple[int, int, int]], Array] = {}
    length = round(seconds)

    def answer(job: Job) -> Array:
        key = job.model, job.about
        if key not in said:
            said[key] = infer([job], engine.networks)[0].copy()
        return said[key]

    begin = partial(LiveSession, engine.config, LiveConfig(), engine.model)
    what, where = f"{engine.bundle.name}, {file.stem}", f"minutes 1 to {1 + seconds / 60:g}"
    return Stretch(what, where, begin, FIRST, length, sound(FIRST + length, file), answer, gated=True)


# -- measuring -----------------------------------------------------------------------------------------------


def measure(request: Request, beside: Callable[[], None] = lambda: None) -> list[Host]:
    """Everything that was asked for, in turn, on one core; `beside` is called in the middle of every round."""
    with one_core():
        stretches = meetings(request)
        for name in request.bundles:
            stretches += [recorded(name, file, request.seconds) for file in request.recordings]
        taken: dict[Stretch, list[tuple[float, dict[str, float]]]] = {stretch: [] for stretch in stretches}
        for number in range(request.runs + 1):
            for place, (stretch, rows) in enumerate(taken.items()):
                if place == len(taken) // 2:
                    beside()
                with Clocks(WHOLE) as clocks:
                    rows.append(drive(stretch, clocks))
            tell(f"round {number} of {request.runs}" if number else "warm")
        return [_host(stretch, rows[1:], request.parts) for stretch, rows in taken.items()]


def _host(stretch: Stretch, rows: Sequence[tuple[float, dict[str, float]]], parts: bool) -> Host:
    whole = Spread(tuple(spent for spent, _ in rows))
    plain = Spread(tuple(spent - seen[RECLUSTERING] for spent, seen in rows))
    return Host(stretch.what, stretch.where, whole, plain, dict(taken_apart(stretch)) if parts else {})


def taken_apart(stretch: Stretch) -> Iterator[tuple[str, float]]:
    """What every part of a stretch's cost took, the clocks' own work included."""
    with Clocks(PARTS) as clocks:
        whole, seen = drive(stretch, clocks)
    yield from seen.items()
    yield "the rest", whole - sum(seen.values())


# -- showing -------------------------------------------------------------------------------------------------


def table(found: Sequence[Host]) -> Table:
    """Milliseconds by stretch, and how they grow."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("heard")
    shown.add_column("stretch")
    for name in ("ms a stream-second", "× the first stretch", "without re-clustering", "× the first stretch"):
        shown.add_column(name, justify="right")
    for one in found:
        first = next(other for other in found if other.what == one.what)
        cells = []
        for cost, start in ((one.whole, first.whole), (one.plain, first.plain)):
            cells += [_ms(cost), "" if one is first else f"{cost.median / start.median:.2f}"]
        shown.add_row(one.what, one.where, *cells)
    return shown


def _ms(cost: Spread) -> str:
    return f"{1000 * cost.median:.2f} ({1000 * cost.low:.2f}–{1000 * cost.high:.2f})"


def parts_table(found: Sequence[Host]) -> Table:
    """Milliseconds of each part, a column for each stretch."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("ms a stream-second", no_wrap=True)
    for one in found:
        shown.add_column(f"{one.what}, {one.where}", justify="right")
    for part in found[0].parts if found else ():
        took = [1000 * one.parts[part] for one in found]
        shown.add_row(part, *("" if ms < 0.005 else f"{ms:.2f}" for ms in took))
    shown.add_row("sum", *(f"{1000 * sum(one.parts.values()):.2f}" for one in found))
    return shown


def figures(found: Sequence[Host]) -> list[dict[str, object]]:
    """The same for a file."""
    return [
        {
            "heard": one.what,
            "stretch": one.where,
            "seconds_per_second": list(one.whole.values),
            "without_reclustering": list(one.plain.values),
            "parts": dict(one.parts),
        }
        for one in found
    ]
