"""Command line of the benchmarks: `python -m benchmarks COMMAND`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from speakrs_stream.errors import SpeakrsError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


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
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
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
    raise SystemExit(0 if result.equal else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
