"""`speakrs-stream tune`: settings of the clustering for one's own rooms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import debug_option, engine_choice, engine_options, existing_or_not, quiet_option
from speakrs_stream.cli.progress import reporter
from speakrs_stream.cli.shell import OK, Shell, complain, say, shown
from speakrs_stream.cli.sources import expected_samples

if TYPE_CHECKING:
    from speakrs_stream.engine import Engine
    from speakrs_stream.tuning.recordings import Annotated
    from speakrs_stream.tuning.search import Plan, Tuned
    from speakrs_stream.tuning.trying import Case


@click.command(no_args_is_help=True)
@click.argument("folder", metavar="DIR", type=existing_or_not())
@engine_options
@click.option("-o", "--output", metavar="FILE", default="tuned.toml", show_default=True, help="Where to write them.")
@click.option("--trials", type=click.IntRange(1), default=150, metavar="N", help="Settings to try. [default: 150]")
@click.option("--folds", type=click.IntRange(0), default=5, metavar="N", help="Parts to hold out in turn. [default: 5]")
@click.option("--seed", type=int, default=0, metavar="N", help="Another one draws other settings. [default: 0]")
@click.option(
    "--count-weight",
    type=click.FloatRange(0, 100),
    default=0.5,
    metavar="POINTS",
    help="Points of DER that one wrong speaker per recording counts. [default: 0.5]",
)
@click.option("--cache", type=existing_or_not(), metavar="FOLDER", help="Where network outputs are kept.")
@quiet_option
@debug_option
@click.pass_obj
def tune(
    shell: Shell,
    /,
    folder: Path,
    output: str,
    trials: int,
    folds: int,
    seed: int,
    count_weight: float,
    cache: Path | None,
    quiet: bool,
    **values: Any,
) -> int:
    """Find the clustering settings that suit the recordings in DIR, each with an .rttm beside it.

    The networks hear every recording once; then settings are tried until there were enough. Ctrl-C keeps the best
    so far, and the same command goes on. Needs `pip install 'speakrs-stream[tune]'`.
    """
    from speakrs_stream.tuning.recordings import find
    from speakrs_stream.tuning.report import lines, verdict
    from speakrs_stream.tuning.search import Plan
    from speakrs_stream.tuning.search import tune as search
    from speakrs_stream.tuning.trying import values_of

    recordings = find(folder)
    plan = Plan(trials=trials, folds=folds, seed=seed, count_weight=count_weight / 100)
    choice = engine_choice(values)
    engine = shell.open_live(replace(choice, embedding=choice.embedding or "exact"))
    kept = cache or default_cache()
    cases = heard(engine, recordings, kept, quiet=quiet)
    storage = kept / f"search-{search_key(engine, recordings, plan)}.log"

    def told(what: str, done: int, of: int, lowest: float) -> None:
        if done == of or done % 10 == 0:
            say(f"{what}: {done} of {of} settings tried, the best at {100 * lowest:.2f}", quiet=quiet)

    tuned = search(cases, values_of(engine.config), plan, storage, told)
    for line in lines([shown(recording.name) for recording in recordings], tuned):
        click.echo(line.rstrip())
    click.echo()
    for sentence in verdict(tuned, plan):
        click.echo(sentence)
    if tuned.interrupted:
        complain(f"stopped after {tuned.trials} settings; the same command goes on")
    written = write(engine, tuned, output, folder)
    click.echo(f"Wrote {shown(written)}: give it to diarize, live, mic or serve as --settings.")
    return OK


def default_cache() -> Path:
    """Where network outputs are kept where nobody says."""
    from platformdirs import user_cache_path

    return user_cache_path("speakrs-stream") / "tune"


def heard(engine: Engine, recordings: Sequence[Annotated], cache: Path, *, quiet: bool) -> list[Case]:
    """What the networks say about each recording, from the cache where they have heard it."""
    from speakrs_stream.tuning.outputs import inferred
    from speakrs_stream.tuning.trying import Case

    found = []
    lengths = [expected_samples(recording.audio) for recording in recordings]
    with reporter([recording.name for recording in recordings], lengths, quiet=quiet) as bar:
        for number, recording in enumerate(recordings):
            outputs = inferred(engine, recording.audio, cache, partial(bar.advance, number))
            found.append(Case(recording, outputs, engine.config, engine.model.plda))
            bar.finish(number)
    return found


def search_key(engine: Engine, recordings: Sequence[Annotated], plan: Plan) -> str:
    """Names a search by everything that it depends on but the number of trials."""
    from speakrs_stream.tuning.outputs import key_of
    from speakrs_stream.tuning.trying import RANGES

    about = [repr((plan.folds, plan.seed, plan.count_weight, RANGES, engine.config))]
    about += [f"{key_of(engine, one.audio)} {one.reference} {one.regions}" for one in recordings]
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:32]


def write(engine: Engine, tuned: Tuned, output: str, folder: Path) -> Path:
    """The settings file, with where it comes from."""
    from speakrs_stream.scoring import total
    from speakrs_stream.settings_file import PipelineSettings, write_settings
    from speakrs_stream.tuning.report import held_out
    from speakrs_stream.tuning.trying import TURNS

    outside = held_out(tuned)
    figures = [f"{100 * total(tuned.before).der:.1f} % before", f"{100 * total(tuned.after).der:.1f} % after"]
    if outside:
        figures.append(f"{100 * total(outside).der:.1f} % held out")
    settings = PipelineSettings(
        bundle=engine.bundle.name,
        sha256=engine.bundle.sha256,
        step=engine.config.step,
        clustering={name: value for name, value in tuned.values.items() if name not in TURNS},
        turns={name: int(value) for name, value in tuned.values.items() if name in TURNS},
    )
    note = f"speakrs-stream tune {shown(folder.name)}: {len(tuned.before)} recordings, DER {', '.join(figures)}"
    return write_settings(output, settings, note)
