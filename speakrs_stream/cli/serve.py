"""`speakrs-stream serve`: live captions for many clients over WebSocket."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import Decorated, debug_option, stacked
from speakrs_stream.cli.shell import tell
from speakrs_stream.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from speakrs_server.settings import Settings


def server_settings(config: str | None, more: tuple[str, ...], flags: dict[str, Any]) -> Settings:
    """Settings from flags, environment and file; MissingExtra where the server is not installed.

    more: `NAME=VALUE`, one by one; flags: None where one was not given
    """
    for package in ("websockets", "anyio", "msgspec", "structlog", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtra(package, "server", "the server")
    from speakrs_server.settings import load

    given = pairs(more) | {name: value for name, value in flags.items() if value is not None}
    return load(flags=given, environment=os.environ, file=Path(config) if config else None)


def pairs(values: tuple[str, ...]) -> dict[str, str]:
    """`name=value`, one by one."""
    found = {}
    for value in values:
        name, sign, rest = value.partition("=")
        if not sign:
            raise ConfigError(f"--set takes NAME=VALUE, got {value!r}")
        found[name.strip()] = rest.strip()
    return found


def announcement(settings: Settings, port: int) -> list[str]:
    """What is told once the server listens."""
    secure = "s" if settings.tls_cert else ""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return [
        f"captions page: http{secure}://{host}:{port}/",
        f"listening on ws{secure}://{host}:{port}/v1/stream; Ctrl-C stops",
    ]


def config_options(command: Decorated) -> Decorated:
    """Where settings come from: what `serve` and `config` share."""
    return stacked(
        command,
        click.option("--config", metavar="FILE", help="Read settings from this TOML file."),
        click.option("--host", metavar="ADDRESS", help="Address to listen on; other than loopback needs tokens."),
        click.option("--port", type=int, metavar="PORT", help="Port to listen on; 0 takes a free one."),
        click.option("--data", "data_dir", metavar="FOLDER", help="Where the journal and the results are kept."),
        click.option("--bundle", metavar="NAME|FOLDER", help="Model bundle."),
        click.option("--mode", metavar="NAME", help="Way to run, such as cuda-fast."),
        click.option("--backend", metavar="NAME", help="Runtime and device."),
        click.option(
            "--settings", "tuned", metavar="FILE", help="Pipeline settings, as `speakrs-stream tune` writes them."
        ),
        click.option(
            "--captions", metavar="ENGINE", help="Listen for words with this recognizer; list shows what there is."
        ),
        click.option("--set", "more", multiple=True, metavar="NAME=VALUE", help="Any other setting."),
    )


@click.command()
@config_options
@debug_option
def serve(config: str | None, more: tuple[str, ...], **flags: Any) -> int:
    """Serve live diarization over WebSocket, and a page of captions, until SIGTERM or Ctrl-C.

    What every setting means is in docs/serving.md, how to talk to the server in docs/protocol.md.
    """
    settings = server_settings(config, more, flags)
    if settings.captions == "list":
        from speakrs_server.captions.engines import listed

        click.echo("\n".join(listed()))
        return 0
    from speakrs_server import serving

    def announce(port: int) -> None:
        for line in announcement(settings, port):
            tell(line)

    return serving.run(settings, announce, serving.open_engine)
