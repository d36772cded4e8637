"""`speakrs-stream voices`: the people a store knows. Keep, rename, delete and move them; no print is ever shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.live_options import voice_of
from speakrs_stream.cli.options import (
    Decorated,
    debug_option,
    engine_choice,
    engine_options,
    existing_or_not,
    quiet_option,
    stacked,
)
from speakrs_stream.cli.shell import Shell, console, say, shown
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from speakrs_stream.voices import VoiceStore


def store_option(function: Decorated) -> Decorated:
    """--voices; read it with `opened`."""
    return stacked(
        function,
        click.option(
            "--voices",
            "folder",
            type=existing_or_not(file_okay=False),
            metavar="FOLDER",
            help="Folder of the voice store. [default: in your own data folder]",
        ),
    )


def opened(folder: Path | None) -> VoiceStore:
    """The store in a folder, or the default one."""
    from speakrs_stream.voices import VoiceStore

    return VoiceStore(folder)


@click.group()
def voices() -> None:
    """Keep, list and delete voices that are known by name.

    A voice print is biometric data: ask the person first. Prints stay in files on this machine that only you can read,
    and are used where you say --voices; `forget` deletes them.
    """


@voices.command("list")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a voice and line.")
@debug_option
def list_(folder: Path | None, as_json: bool) -> None:
    """List the voices that are kept."""
    from rich.table import Table
    from rich.text import Text

    store = opened(folder)
    known = store.all()
    if as_json:
        for voice in known:
            bundles = [prints.bundle for prints in voice.prints.values()]
            facts = {"name": voice.name, "numbered": voice.numbered, "seconds": round(voice.seconds, 1)}
            click.echo(json.dumps({**facts, "bundles": bundles}))
        return
    if not known:
        click.echo(f"No voices are kept in {shown(store.directory)}.")
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("name", "speech", "prints", "model bundles"):
        table.add_column(heading)
    for voice in known:
        heard = ", ".join(sorted({one_line(prints.bundle) for prints in voice.prints.values()}))
        prints = max(len(known.prototypes) for known in voice.prints.values())
        table.add_row(Text(one_line(voice.name)), f"{voice.seconds:.0f} s", str(prints), Text(heard))
    console().print(table)


@voices.command()
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=existing_or_not())
@store_option
@engine_options
@quiet_option
@debug_option
@click.pass_obj
def add(shell: Shell, /, name: str, files: tuple[Path, ...], folder: Path | None, quiet: bool, **values: Any) -> None:
    """Keep the voice of NAME from FILES in which nobody else speaks; some ten seconds each are enough."""
    store = opened(folder)
    engine = shell.open_live(engine_choice(values))
    prints = [voice_of(engine, path) for path in files]
    for embedding in prints:
        store.remember(name, embedding, engine.bundle)
    say(f"Kept {one_line(name)} in {shown(store.directory)}.", quiet=quiet)


@voices.command()
@click.argument("name")
@click.argument("new")
@click.option("--merge", is_flag=True, help="Where NEW is known already, both become one voice.")
@store_option
@debug_option
def rename(name: str, new: str, merge: bool, folder: Path | None) -> None:
    """Call the voice NAME (or the id V0001) NEW from now on."""
    opened(folder).rename(name, new, merge=merge)


@voices.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Everybody.")
@store_option
@quiet_option
@debug_option
def forget(names: tuple[str, ...], everybody: bool, folder: Path | None, quiet: bool) -> None:
    """Delete the voices NAMES. Exports and backups made before are yours to delete."""
    if everybody == bool(names):
        raise click.UsageError("name the voices to delete, or say --all")
    store = opened(folder)
    for name in store.names() if everybody else names:
        store.forget(name)
        say(f"Deleted {one_line(name)}.", quiet=quiet)


@voices.command()
@click.argument("file", type=existing_or_not(dir_okay=False))
@click.argument("names", nargs=-1)
@store_option
@quiet_option
@debug_option
def export(file: Path, names: tuple[str, ...], folder: Path | None, quiet: bool) -> None:
    """Write voices, NAMES or all, to FILE (JSON that only you can read)."""
    if str(file) == "-":
        raise click.UsageError("voice prints are not printed; name a FILE")
    written = opened(folder).export(file, names or None)
    say(f"Wrote {len(written)} voice{'' if len(written) == 1 else 's'} to {shown(file)}.", quiet=quiet)


@voices.command("import")
@click.argument("file", type=existing_or_not(dir_okay=False))
@store_option
@quiet_option
@debug_option
def import_(file: Path, folder: Path | None, quiet: bool) -> None:
    """Take over the voices in FILE, which `voices export` wrote."""
    store = opened(folder)
    for name, here in store.import_(file).items():
        say(f"Took over {one_line(name)}{'' if here == name else f' as {here}'}.", quiet=quiet)
