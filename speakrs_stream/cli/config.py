"""`speakrs-stream config`: the settings of a server, before it runs."""

from __future__ import annotations

from typing import Any

import click

from speakrs_stream.cli.options import debug_option
from speakrs_stream.cli.serve import config_options, server_settings
from speakrs_stream.cli.shell import tell


@click.group()
def config() -> None:
    """Look at the settings of a server: flags win over the environment, the environment over the file."""


@config.command()
@config_options
@debug_option
def check(config: str | None, more: tuple[str, ...], **flags: Any) -> int:
    """Say whether `serve` could use the settings, with everything they name: tokens, keys, certificates."""
    settings = server_settings(config, more, flags)
    from speakrs_server import serving
    from speakrs_server.app import read_authenticator
    from speakrs_server.captions.engines import find
    from speakrs_stream.settings_file import read_settings

    read_authenticator(settings)
    serving.tls_context(settings)
    if settings.captions:
        find(settings.captions)
    if settings.tuned:
        read_settings(settings.tuned)
    tell("the settings can be used")
    return 0


@config.command("print")
@config_options
@debug_option
def print_(config: str | None, more: tuple[str, ...], **flags: Any) -> int:
    """Print the settings in force, as TOML that `--config` reads."""
    settings = server_settings(config, more, flags)
    from speakrs_server.settings import as_toml

    click.echo(as_toml(settings), nl=False)
    return 0
