"""The commands `live` and `simulate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.live_goals import Goal, goals
from benchmarks.live_metrics import Tally
from benchmarks.live_report import (
    curve_plot,
    curve_table,
    der_table,
    figures_table,
    files_table,
    goals_table,
    plot,
)
from benchmarks.live_summary import summarize
from benchmarks.machine import setting
from benchmarks.parity import load_plda
from benchmarks.references import find_pairs
from benchmarks.simulate import (
    OURS,
    PLDA,
    REFERENCES,
    TUNED,
    Task,
    curve_methods,
    gathered,
    long_task,
    methods,
    run,
    tasks,
)
from benchmarks.simulation import calibration
from speakrs_stream.stream import live_config

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WIDTH = 150
"""Columns of the tables where the output is no terminal."""


@click.command("live")
@click.argument("folder", type=FOLDER)
@click.option("--bundle", help="Bundle name or directory.  [default: embedded]")
@click.option("--backend", default="auto", help="Runtime: auto, cpu, cuda …")
@click.option("--threads", default=1, type=click.IntRange(min=1), help="Threads of one inference.")
@click.option("--step", type=float, help="Seconds between windows.  [default: the bundle's]")
@click.option("--max-delay", type=float, help="Seconds after which labels are final.  [default: the product's]")
@click.option("--recluster", type=float, help="Seconds between re-clusterings.  [default: the product's]")
@click.option("--max-seconds", type=click.FloatRange(min=1.0), help="Only the beginning of each recording.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the networks' outputs here and use them again (speed is not measured then).",
)
@click.option("--json", "json_file", type=FILE, help="Write figures here too.")
@click.option("--plot", "plot_file", type=FILE, help="Draw DER by age here: .svg or .png.")
def live_command(
    folder: Path,
    bundle: str | None,
    backend: str,
    threads: int,
    step: float | None,
    max_delay: float | None,
    recluster: float | None,
    max_seconds: float | None,
    cache: Path | None,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Play audio files in FOLDER that have an .rttm beside them as live streams, and judge what was shown."""
    from benchmarks.live import measure
    from speakrs_stream.engine import Engine

    pairs = find_pairs(folder)
    live = live_config(None, max_delay=max_delay, recluster=recluster)
    engine = Engine(bundle, backend=backend, step=step, threads=threads)
    tallies = {}
    for pair in pairs:
        tallies[pair.uri] = measure(engine, pair, live, cache=cache, seconds=max_seconds)
        click.echo(f"{len(tallies)}/{len(pairs)} {pair.uri}", err=True)
    files = {uri: summarize([one]) for uri, one in tallies.items()}
    total = summarize(list(tallies.values()))
    judged = goals(total)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(files_table(files))
    for part in ("all", "0-1 min", "1+ min"):
        console.print(der_table(folder.name, {"live": total}, part))
    console.print(figures_table({folder.name: total}))
    console.print(goals_table({folder.name: judged}))
    if plot_file is not None:
        plot({folder.name: total}, plot_file)
    bundle_said = {"name": engine.bundle.name, "sha256": engine.bundle.sha256, "backend": engine.backend_name}
    plain = [goal.plain() for goal in judged]
    _write(json_file, {"bundle": bundle_said, "total": total, "goals": plain, "files": files})


@click.command("simulate")
@click.option("--rttm", "folders", multiple=True, type=FOLDER, help="Folder of RTTMs; repeatable.  [default: shared]")
@click.option("--plda", type=FOLDER, help="Folder with plda_mean1.npy …  [default: shared/models/community-1]")
@click.option("--max-seconds", type=click.FloatRange(min=1.0), help="Only the beginning of each recording.")
@click.option("--max-files", type=click.IntRange(min=1), help="Only so many recordings of each folder, spread evenly.")
@click.option("--long", "hours", type=click.FloatRange(min=0.02), help="Also a made-up meeting of so many hours.")
@click.option("--speakers", default=12, type=click.IntRange(min=2), help="People in that meeting.")
@click.option("--only-long", is_flag=True, help="Leave the folders out.")
@click.option("--max-delay", type=float, help="Seconds after which labels are final.  [default: the product's]")
@click.option("--recluster", type=float, help="Seconds between re-clusterings.  [default: the product's]")
@click.option("--deltas", default=f"1,{TUNED:g}", help="Thresholds of greedy matching, separated by commas.")
@click.option("--diart", is_flag=True, help="Run diart's own block too, in an environment made for it.")
@click.option("--curve", is_flag=True, help="Instead of methods, compare values of max_delay.")
@click.option("--seed", default=1, help="Same seed, same windows.")
@click.option("--jobs", default=2, type=click.IntRange(min=1), help="Processes, one thread each.")
@click.option("--json", "json_file", type=FILE, help="Write figures here too.")
@click.option("--plot", "plot_file", type=FILE, help="Draw DER by age (with --curve: by max_delay) here: .svg or .png.")
def simulate_command(
    folders: tuple[Path, ...],
    plda: Path | None,
    max_seconds: float | None,
    max_files: int | None,
    hours: float | None,
    speakers: int,
    only_long: bool,
    max_delay: float | None,
    recluster: float | None,
    deltas: str,
    diart: bool,
    curve: bool,
    seed: int,
    jobs: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Drive clustering and reconciliation with simulated windows of real turn-taking, and others' methods too."""
    live = live_config(None, max_delay=max_delay, recluster=recluster)
    tables = plda or PLDA
    if not tables.is_dir():
        click.echo(f"skipped: no PLDA tables at {_shown(tables)}; name a folder with --plda", err=True)
        return
    chosen = curve_methods(live) if curve else methods(live, _diart() if diart else None, _numbers(deltas))
    work: dict[str, list[Task]] = {}
    for folder in () if only_long else folders or REFERENCES:
        if folder.is_dir():
            work[folder.name] = tasks(folder, tables, chosen, max_files=max_files, max_seconds=max_seconds, seed=seed)
        else:
            click.echo(f"skipped: {_shown(folder)} is not there; name folders with --rttm", err=True)
    if hours is not None:
        task = long_task(hours, speakers, tables, chosen, seed)
        work[task.name] = [task]
    voices = asdict(calibration(load_plda(tables)))
    results = {name: gathered(_watched(name, some, jobs)) for name, some in work.items()}
    summaries = {
        name: {method: summarize(tallies) for method, tallies in by_method.items()}
        for name, by_method in results.items()
    }
    if not summaries:
        return
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(
        f"simulated voices: cosine {voices['within']} within a speaker (5th percentile {voices['within_p5']}), "
        f"{voices['between']} between two (95th percentile {voices['between_p95']})"
    )
    if curve:
        curves = {name: {float(delay): one for delay, one in some.items()} for name, some in summaries.items()}
        console.print(curve_table(curves))
        if plot_file is not None:
            curve_plot(curves, plot_file)
        _write(json_file, {"voices": voices, "curve": summaries})
        return
    judged = {name: _judged(some) for name, some in summaries.items()}
    groups = {f"{name}: {method}": one for name, some in summaries.items() for method, one in some.items()}
    for name, some in summaries.items():
        for part in ("all", "1+ min"):
            console.print(der_table(name, some, part))
    console.print(figures_table({name: some[OURS] for name, some in summaries.items()}))
    console.print(goals_table(judged))
    if plot_file is not None:
        plot(groups, plot_file)
    plain = {name: [goal.plain() for goal in some] for name, some in judged.items()}
    _write(json_file, {"voices": voices, "sets": summaries, "goals": plain})


def _judged(by_method: Mapping[str, Mapping[str, Any]]) -> list[Goal]:
    return goals(by_method[OURS], {name: one for name, one in by_method.items() if name != OURS})


def _watched(name: str, work: Sequence[Task], jobs: int) -> list[tuple[Task, dict[str, Tally]]]:
    done = []
    for one in run(work, jobs):
        done.append(one)
        click.echo(f"{name} {len(done)}/{len(work)} {one[0].name}", err=True)
    return done


def _diart() -> Path | None:
    from benchmarks.peers.diart_block import environment
    from benchmarks.peers.environment import PeerUnavailable

    try:
        return environment()
    except PeerUnavailable as error:
        click.echo(f"without diart: {error}", err=True)
        return None


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise click.BadParameter(f"expected numbers separated by commas, got {text}") from None


def _shown(path: Path) -> str:
    """A path without what lies above the checkout's neighbours."""
    return "/".join(path.parts[-3:])


def _write(path: Path | None, figures: Mapping[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"setting": asdict(setting()), **figures}, indent=1) + "\n", encoding="utf-8")
