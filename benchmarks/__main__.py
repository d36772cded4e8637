"""Command line of the benchmarks: `python -m benchmarks COMMAND`."""

from __future__ import annotations

from speakrs_stream.threads import one_thread

one_thread()  # as the command line does it, before NumPy is loaded

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import click

from benchmarks.live_commands import live_command, simulate_command
from benchmarks.server_commands import server_command
from benchmarks.speed.commands import (
    host_command,
    latency_command,
    memory_command,
    peers_command,
    shares_command,
    throughput_command,
)
from speakrs_stream.core.config import ClusteringConfig, PipelineConfig
from speakrs_stream.errors import ConfigError, SpeakrsError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUTPUT = click.Path(file_okay=False, path_type=Path)


class Group(click.Group):
    """Shows errors raised on purpose as one line and leaves with code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SpeakrsError as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Measure quality and make the material for it."""


@main.command("revoice")
@click.argument("out", type=OUTPUT)
@click.option("--rttm", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of RTTMs, or one.")
@click.option("--voices", required=True, type=FOLDER, help="Folder of SPEAKER-CHAPTER-UTTERANCE.flac.")
@click.option(
    "--speakers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use only the voices this file lists, one per line.",
)
@click.option("--seed", default=0, help="Same seed, same meetings.")
@click.option("--max-files", type=click.IntRange(min=1), help="Stop after this many meetings.")
@click.option(
    "--max-seconds", type=click.FloatRange(min=1.0), help="Only the busiest stretch of each meeting, this long."
)
@click.option("--copies", is_flag=True, help="Let faster and slower copies of voices stand in for missing ones.")
def revoice_command(
    out: Path,
    rttm: Path,
    voices: Path,
    speakers: Path | None,
    seed: int,
    max_files: int | None,
    max_seconds: float | None,
    copies: bool,
) -> None:
    """Speak the turns of reference RTTMs with other voices, into OUT."""
    from benchmarks.revoice import RevoiceConfig, revoice

    names = speakers.read_text(encoding="utf-8").split() if speakers else None
    config = RevoiceConfig(seed=seed, max_files=max_files, max_seconds=max_seconds, copies=copies)
    made = revoice(out, rttm, voices, config, speakers=names, report=click.echo)
    click.echo(f"{len(made)} meetings written to {out}")


@main.command("der")
@click.argument("folder", type=FOLDER)
@click.option("--bundle", help="Bundle name or directory.  [default: embedded]")
@click.option("--backend", default="auto", help="Runtime: auto, cpu, cuda …")
@click.option("--threads", default=1, type=click.IntRange(min=1), help="Threads of one inference.")
@click.option("--step", type=float, help="Seconds between windows.  [default: the bundle's]")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a clustering setting; repeatable.")
@click.option("--collar", default=0.0, type=click.FloatRange(min=0.0), help="Unscored seconds around reference edges.")
@click.option("--oracle-speakers", is_flag=True, help="Tell the true number of speakers.")
@click.option("--self-overlap", is_flag=True, help="Count a speaker twice where two turns of his overlap.")
@click.option("--parity", is_flag=True, help="Keep pyannote's flaws, as `PipelineConfig.parity` does.")
@click.option(
    "--cache", type=OUTPUT, help="Keep the networks' outputs here and use them again (speed then means nothing)."
)
@click.option("--output-dir", type=OUTPUT, help="Write what was found as RTTM.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write figures here too.")
def der_command(
    folder: Path,
    bundle: str | None,
    backend: str,
    threads: int,
    step: float | None,
    settings: tuple[str, ...],
    collar: float,
    oracle_speakers: bool,
    self_overlap: bool,
    parity: bool,
    cache: Path | None,
    output_dir: Path | None,
    json_file: Path | None,
) -> None:
    """Diarize audio files in FOLDER that have an .rttm beside them, and score the result."""
    from rich.console import Console

    from benchmarks.der import diarizer, evaluate, report, table
    from benchmarks.machine import setting
    from benchmarks.references import find_pairs
    from speakrs_stream.engine import Engine

    pairs = find_pairs(folder)
    engine = Engine(bundle, backend=backend, step=step, threads=threads)
    engine.config = with_settings(engine.config, settings, parity)
    rows = []
    diarize = diarizer(engine, oracle=oracle_speakers, cache=cache)
    for row in evaluate(pairs, diarize, collar=collar, once=not self_overlap, output=output_dir):
        rows.append(row)
        click.echo(f"{len(rows)}/{len(pairs)} {row.uri}: {100 * row.score.der:.1f} %", err=True)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table(rows, collar=collar))
    if json_file is not None:
        figures = report(rows, collar=collar, setting=setting(), bundle=engine.bundle.name, backend=engine.backend_name)
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def with_settings(config: PipelineConfig, settings: Sequence[str], parity: bool) -> PipelineConfig:
    """`config` with clustering settings NAME=VALUE changed; raises ConfigError for an unknown name or no number."""
    values = {field.name: getattr(config.clustering, field.name) for field in fields(config.clustering)}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise ConfigError(f"--set {setting}: expected NAME=NUMBER") from None
    return replace(config, clustering=ClusteringConfig.from_mapping(values), parity=parity or config.parity)


@main.command("parity")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--plda", type=FOLDER, help="Folder with plda_mean1.npy …; by default shared/models/community-1.")
@click.option("--step", default=1.0, help="Seconds between the recorded windows.")
def parity_command(file: Path, plda: Path | None, step: float) -> None:
    """Compare everything after the networks with a recorded pipeline; prints JSON, exits with 1 on a difference."""
    from benchmarks.parity import compare, load_plda, load_recording
    from speakrs_stream.core.grid import samples

    result = compare(load_recording(file), load_plda(plda), step=samples(step))
    click.echo(json.dumps({"file": file.name, **asdict(result), "equal": result.equal}, indent=1))
    raise SystemExit(1 if result.equal is False else 0)


for command in (
    live_command,
    simulate_command,
    throughput_command,
    shares_command,
    host_command,
    latency_command,
    memory_command,
    peers_command,
):
    main.add_command(command)
main.add_command(server_command)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
