"""The commands `throughput`, `shares`, `host`, `latency`, `memory` and `peers`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.machine import setting
from benchmarks.speed.material import MEETING, SHAPES, TEACHER, community_shapes
from benchmarks.speed.timing import Spread, one_core, tell
from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.resolve import resolve

FILE = click.Path(dir_okay=False, path_type=Path)
NAMES = click.option("--bundle", "names", multiple=True, default=("embedded", SHAPES), help="Networks; repeatable.")
RUNS = click.option("--runs", default=5, type=click.IntRange(min=1), help="Measurements of each; the median counts.")
JSON = click.option("--json", "json_file", type=FILE, help="Write figures here too.")
SEGMENTATION = click.option(
    "--segmentation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"PyanNet to use beside the made-up embedding network.  [default: {TEACHER.name} of the teachers, if there]",
)
SECONDS = click.option("--seconds", type=click.FloatRange(min=12.0), default=60.0, help="Audio of each measurement.")


def console() -> Console:
    """As wide as the terminal, or wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else 160)


def bundles(names: Iterable[str], segmentation: Path | None) -> list[ModelBundle]:
    """Bundles by name; `community-shapes` is made."""
    return [community_shapes(segmentation) if name == SHAPES else resolve(name) for name in names]


def conclude(figures: dict[str, Any], json_file: Path | None) -> None:
    """Say where and how this was measured, and write it down."""
    where = asdict(setting())
    click.echo(f"{where['command']}\n{where['cpu']}, {where['cores']} cores, commit {where['commit']}, {where['date']}")
    if json_file is not None:
        json_file.write_text(json.dumps({"setting": where, **figures}, indent=1) + "\n", encoding="utf-8")


@click.command("throughput")
@NAMES
@click.option("--step", "steps", multiple=True, type=float, default=(1.0, 2.0), help="Seconds between windows.")
@SECONDS
@RUNS
@SEGMENTATION
@JSON
def throughput_command(
    names: tuple[str, ...],
    steps: tuple[float, ...],
    seconds: float,
    runs: int,
    segmentation: Path | None,
    json_file: Path | None,
) -> None:
    """Live streams on one core, and recordings in times real time, for exact and fast embeddings."""
    from benchmarks.speed.throughput import cases, figures, measure, table

    chosen = bundles(names, segmentation)
    with one_core():
        found = measure(chosen, cases(chosen, steps), seconds=seconds, runs=runs, report=tell)
    console().print(table(found))
    conclude({"throughput": figures(found)}, json_file)


@click.command("shares")
@NAMES
@click.option("--step", "steps", multiple=True, type=float, default=(1.0,), help="Seconds between windows.")
@SECONDS
@RUNS
@SEGMENTATION
@JSON
def shares_command(
    names: tuple[str, ...],
    steps: tuple[float, ...],
    seconds: float,
    runs: int,
    segmentation: Path | None,
    json_file: Path | None,
) -> None:
    """What makes up the cost of live streams: each network's share, and that of everything else."""
    from benchmarks.speed.multiplications import fastest
    from benchmarks.speed.shares import figures, measure, table

    with one_core():
        found, counts = measure(bundles(names, segmentation), steps, seconds=seconds, runs=runs)
        most = fastest()
    console().print(table(found, counts))
    console().print(
        f"a matrix product of NumPy on this core: {most / 1e9:.1f} thousand million multiplications a second"
    )
    conclude({"shares": figures(found, counts), "matrix_product_per_second": most}, json_file)


@click.command("host")
@NAMES
@click.option(
    "--recording",
    "recordings",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=(MEETING,),
    show_default="the bundled meeting",
    help="What these networks hear; repeatable.",
)
@click.option("--seconds", type=click.FloatRange(min=1.0), default=120.0, help="Of each recording, after a minute.")
@click.option(
    "--hours", multiple=True, type=click.FloatRange(min=0.03), default=(1.0, 8.0), help="Lengths of a meeting."
)
@click.option("--minutes", type=click.FloatRange(min=0.2), default=9.0, help="Of a meeting, up to each length.")
@click.option("--parts", is_flag=True, help="Also take it apart, with a clock at every part.")
@RUNS
@JSON
def host_command(
    names: tuple[str, ...],
    recordings: tuple[Path, ...],
    seconds: float,
    hours: tuple[float, ...],
    minutes: float,
    parts: bool,
    runs: int,
    json_file: Path | None,
) -> None:
    """What a live stream costs beside the networks, early and hours later, their answers known beforehand."""
    from benchmarks.speed.host import GOAL, Request, figures, measure, parts_table, table
    from benchmarks.speed.yardstick import THERE, trunk

    request = Request(
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        runs=runs,
        bundles=names,
        recordings=recordings,
        parts=parts,
    )
    taken: list[float] = []
    timed = trunk(community_shapes())
    found = measure(request, lambda: taken.append(timed()))
    pace = Spread(tuple(taken[1:]))
    console().print(table(found))
    if parts:
        console().print(parts_table(found))
    met = sum(1000 * one.whole.median <= GOAL for one in found)
    click.echo(f"goal {GOAL:g} ms with everything in it: met by {met} of {len(found)}")
    low, middle, high = (f"{1000 * seconds:.0f}" for seconds in (pace.low, pace.median, pace.high))
    click.echo(f"in the same rounds, the trunk of community-1's shape took {middle} ms for a window ({low} to {high});")
    click.echo(f"on the machine on which the goals were set, {1000 * THERE:.0f} ms")
    conclude({"host": figures(found), "goal_ms": GOAL, "trunk_s": list(pace.values), "trunk_there_s": THERE}, json_file)


@click.command("latency")
@click.option("--bundle", "name", default="embedded", help="Networks.")
@click.option("--step", default=1.0, help="Seconds between windows.")
@click.option("--seconds", type=click.FloatRange(min=5.0), default=30.0, help="How long each load is played.")
@click.option("--streams", type=click.IntRange(min=1), help="Streams that a core carries.  [default: measured first]")
@RUNS
@SEGMENTATION
@JSON
def latency_command(
    name: str,
    step: float,
    seconds: float,
    streams: int | None,
    runs: int,
    segmentation: Path | None,
    json_file: Path | None,
) -> None:
    """How soon a sound is shown with one stream, half of what a core carries, and all of it; and a cold start."""
    from benchmarks.speed.cold import cold_start
    from benchmarks.speed.latency import SHARES, figures, measure, table
    from benchmarks.speed.throughput import STREAMS, Case
    from benchmarks.speed.throughput import measure as costs
    from speakrs_stream.engine import Engine

    (bundle,) = bundles([name], segmentation)
    with one_core():
        if streams is None:
            case = Case(bundle.name, "fast", step, STREAMS[-1])
            streams = max(2, int(1 / costs([bundle], [case], seconds=32.0, runs=3)[case].median))
        engine = Engine(bundle, mode="cpu", embedding="fast", step=step)
        found = {}
        for share in SHARES:
            count = max(1, round(share * streams))
            found["one stream" if not share else f"{share:.0%} of capacity"] = measure(engine, count, seconds)
    start = cold_start(name, runs) if name != SHAPES else None
    console().print(table(found, step))
    if start is not None:
        click.echo(f"cold start to first event: {start.median:.2f} s ({start.low:.2f}–{start.high:.2f})")
    cold = None if start is None else list(start.values)
    conclude({"latency": figures(found, step), "capacity": streams, "cold_start_s": cold}, json_file)


@click.command("memory")
@click.option("--hours", multiple=True, type=click.FloatRange(min=0.005), default=(1 / 60, 1.0, 8.0), help="Lengths.")
@click.option("--networks/--no-networks", default=True, help="Also what loaded networks take.")
@JSON
def memory_command(hours: tuple[float, ...], networks: bool, json_file: Path | None) -> None:
    """What a stream holds at some lengths, and a process with networks loaded."""
    from benchmarks.speed.memory import loaded, measure, platform_says, table

    held = measure(hours)
    console().print(table(held))
    sizes = loaded() if networks else {}
    for what, size in sizes.items():
        click.echo(f"{what}: {'–' if size is None else f'{size / 1e6:.0f} MB'}")
    click.echo(platform_says())
    conclude({"memory": [asdict(one) for one in held], "process": dict(sizes)}, json_file)


@click.command("peers")
@SECONDS
@RUNS
@SEGMENTATION
@click.option(
    "--recording", default=60.0, show_default=True, type=click.FloatRange(12), help="Seconds of the whole recording."
)
@click.option("--sherpa/--no-sherpa", default=True, help="Also sherpa-onnx, installed into an environment of its own.")
@JSON
def peers_command(
    seconds: float, runs: int, segmentation: Path | None, recording: float, sherpa: bool, json_file: Path | None
) -> None:
    """This engine beside other pipelines on the same networks, one thread each, in one run."""
    from benchmarks.speed.peers import measure, table, verdicts

    bundle = community_shapes(segmentation)
    with one_core() if not sherpa else nullcontext():
        found = measure(bundle, seconds=seconds, recording=recording, runs=runs, with_sherpa=sherpa, report=tell)
    console().print(table(found))
    judged = verdicts(found)
    for row in judged:
        verdict = "met" if row["met"] else "NOT met"
        click.echo(f"{row['ours']}: {row['times']:.1f} × as quick as {row['theirs']}; goal {row['goal']:g}: {verdict}")
    times = {name: list(cost.values) for name, cost in found.items()}
    conclude({"seconds_per_second": times, "goals": judged}, json_file)
