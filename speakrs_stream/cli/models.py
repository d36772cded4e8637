"""`speakrs-stream models`: which model bundles there are, where, and whether they are whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import debug_option, quiet_option
from speakrs_stream.cli.shell import console, say, shown
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from speakrs_stream.models.bundle import ModelBundle

NAME = click.argument("name", required=False, metavar="[NAME|FOLDER]")
"""A bundle; without one, what is used when nothing else is asked."""


@click.group()
def models() -> None:
    """List, download and check model bundles."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per bundle and line.")
@debug_option
def list_(as_json: bool) -> None:
    """List the bundles that have a name, and say which are here."""
    from rich.table import Table
    from rich.text import Text

    from speakrs_stream.models.resolve import list_bundles

    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("name", "here", "size", "what it is"):
        table.add_column(heading)
    for entry in list_bundles():
        if as_json:
            facts = {
                "name": entry.name,
                "here": entry.present,
                "default": entry.default,
                "bytes": entry.bytes,
                "folder": str(entry.where),
                "description": entry.description,
                "licences": entry.licences,
            }
            click.echo(json.dumps(facts))
        name = f"{one_line(entry.name)}{' (default)' if entry.default else ''}"
        table.add_row(
            Text(name), "yes" if entry.present else "no", size(entry.bytes), Text(one_line(entry.description))
        )
    if not as_json:
        console().print(table)


@models.command()
@NAME
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def show(name: str | None, as_json: bool) -> None:
    """Show what a bundle is: its networks, settings, files and licences."""
    from speakrs_stream.models.resolve import resolve

    bundle = resolve(name, download=False)
    facts = facts_of(bundle)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for inner, text in value.items():
                click.echo(f"  {inner}: {text}")
        elif isinstance(value, list):
            click.echo(f"{key}:")
            for text in value:
                click.echo(f"  {text}")
        else:
            click.echo(f"{key}: {value}")


def facts_of(bundle: ModelBundle) -> dict[str, Any]:
    """What there is to say about a bundle, as text, numbers, lists and dicts of them."""
    embedding = bundle.embedding
    return {
        "name": one_line(bundle.name),
        "version": one_line(bundle.version),
        "description": one_line(bundle.description),
        "folder": shown(bundle.directory),
        "sha256": bundle.sha256,
        "step": f"{bundle.default_step / 16_000:g} s",
        "embedding": f"{embedding.kind}, {embedding.dimension} numbers, {embedding.fbank.mels} mel bands",
        "clustering": dict(bundle.clustering),
        "files": {
            one_line(record.name): f"{size(record.bytes)}, {one_line(record.licence)}, SHA-256 {record.sha256}"
            for record in bundle.files.values()
        },
        "licences": [one_line(licence) for licence in bundle.licences],
    }


@models.command()
@click.argument("name")
@quiet_option
@debug_option
def download(name: str, quiet: bool) -> None:
    """Download the bundle NAME, or what is missing or damaged of it."""
    from speakrs_stream.cli.progress import download_bar
    from speakrs_stream.models import resolve

    with download_bar(quiet=quiet) as progress:
        bundle = resolve.download(name, progress=progress)
    say(f"{one_line(bundle.name)}: {size(bundle.bytes)} in {shown(bundle.directory)}", quiet=quiet)


@models.command()
@NAME
@quiet_option
@debug_option
def verify(name: str | None, quiet: bool) -> None:
    """Compare every file of a bundle with its SHA-256."""
    from speakrs_stream.models import resolve

    for record in resolve.verify(name):
        if not quiet:
            click.echo(f"ok  {record.sha256}  {one_line(record.name)}")


@models.command()
@NAME
@debug_option
def path(name: str | None) -> None:
    """Print the folder of a bundle."""
    from speakrs_stream.models import resolve

    click.echo(click.format_filename(resolve.path(name)))


def size(count: int) -> str:
    """Bytes as people write them: `812 B`, `5.9 MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 100 or units[0] == "B" else f"{value:.1f} {units[0]}"
