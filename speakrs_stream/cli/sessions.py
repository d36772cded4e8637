"""`speakrs-stream sessions`: what a server has kept, while it runs or not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import debug_option
from speakrs_stream.cli.serve import server_settings
from speakrs_stream.cli.shell import tell
from speakrs_stream.errors import ConfigError

if TYPE_CHECKING:
    from speakrs_server.journal import Store

DATA = click.option("--data", "data_dir", metavar="FOLDER", help="Where the server keeps its data.")
"""The folder; without it, what the server would use."""


def store(data_dir: str | None) -> Store | None:
    """The folder of sessions; None where no server has run yet."""
    settings = server_settings(None, (), {"data_dir": data_dir})
    from speakrs_server.journal import Store

    root = Path(settings.data_dir)
    return Store(root) if root.is_dir() else None


def facts(kept: Store, session: str) -> dict[str, Any] | None:
    """What is known of a session; None where there is none."""
    from speakrs_server.journal import read_description

    folder = kept.folder(session)
    description = read_description(folder) if folder else None
    if folder is None or description is None:
        return None
    return {
        "session": session,
        "created": datetime.fromtimestamp(description.created, UTC).isoformat(timespec="seconds"),
        "owner": description.key,
        "finished": (folder / "final.json").exists(),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "metadata": description.request.metadata,
    }


def known(data_dir: str | None, session: str) -> tuple[Store, dict[str, Any]]:
    """A session that must be there; ConfigError where it is not."""
    kept = store(data_dir)
    found = facts(kept, session) if kept else None
    if kept is None or found is None:
        raise ConfigError(f"there is no session {session!r}; `speakrs-stream sessions list` shows those there are")
    return kept, found


@click.group()
def sessions() -> None:
    """List, show, export and delete what a server has kept."""


@sessions.command("list")
@DATA
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per session and line.")
@debug_option
def list_(data_dir: str | None, as_json: bool) -> None:
    """List sessions, oldest first."""
    kept = store(data_dir)
    for session in kept.all() if kept else []:
        found = facts(kept, session) if kept else None
        if found is None:
            continue
        state = "finished" if found["finished"] else "open"
        click.echo(json.dumps(found) if as_json else f"{session}  {found['created']}  {state}  {found['owner']}")


@sessions.command()
@click.argument("session")
@DATA
@debug_option
def show(session: str, data_dir: str | None) -> None:
    """Show what is known of a session, as JSON."""
    click.echo(json.dumps(known(data_dir, session)[1], indent=1))


@sessions.command()
@click.argument("session")
@DATA
@click.option("--format", "format_", default="rttm", metavar="NAME", help="Format; rttm by default.")
@click.option("--live", is_flag=True, help="What was told live, instead of the final result.")
@click.option("-o", "--output", metavar="FILE", help="Write here instead of to standard output.")
@debug_option
def export(session: str, data_dir: str | None, format_: str, live: bool, output: str | None) -> None:
    """Write the result of a finished session."""
    from speakrs_server.journal import read_messages, read_result
    from speakrs_server.transcript import render_result
    from speakrs_stream.diarization import Diarization
    from speakrs_stream.formats import write_text_atomically

    kept, _ = known(data_dir, session)
    folder = kept.folder(session)
    text = read_result(folder, "live" if live else "final") if folder else None
    if text is None or folder is None:
        raise ConfigError(f"session {session} is not finished: it has no result yet")
    rendered = render_result(Diarization.from_json(text), format_, read_messages(folder), live=live)
    if output is None:
        click.echo(rendered, nl=False)
    else:
        write_text_atomically(output, rendered)


@sessions.command()
@click.argument("session", nargs=-1, required=True)
@DATA
@debug_option
def delete(session: tuple[str, ...], data_dir: str | None) -> None:
    """Delete sessions with everything about them; those that a server works on are refused."""
    for name in session:
        kept, _ = known(data_dir, name)
        kept.delete(name)
        tell(f"deleted {name}")
