"""What `send` and `mic --server` share: where the server is, how it is talked to, and what its refusals exit with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speakrs_stream.cli.options import Decorated, SpeakerCount, existing_or_not, stacked
from speakrs_stream.cli.shell import FAILED, shown
from speakrs_stream.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from speakrs_clients.remote import RemoteStream

UNREACHABLE, UNAUTHORIZED, UNTRUSTED, UNSPOKEN = 3, 4, 5, 6
"""Exit statuses: nobody is there, the token, the certificate, the version."""
LOWEST, HIGHEST = 8_000, 96_000
"""Hertz that the protocol allows."""
TOKEN = "SPEAKRS_TOKEN"
"""Environment variable that holds a token where no option names another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerChoice:
    """Which server was asked for."""

    url: str
    """Its address."""

    token_file: Path | None
    """File that holds the token."""

    token_env: str | None
    """Environment variable that does."""

    ca_file: Path | None
    """Certificates that are trusted instead of the system's."""

    wait: float
    """Seconds that a server is waited for that is not there yet."""


def server_options(*, required: bool) -> Callable[[Decorated], Decorated]:
    """--server, --token-file, --token-env, --ca-file and --wait; read them with `server_choice`."""

    def all_of_them(function: Decorated) -> Decorated:
        return stacked(
            function,
            click.option(
                "--server",
                required=required,
                metavar="URL",
                help="Address of the server: ws://HOST:PORT, or wss://HOST with TLS.",
            ),
            click.option("--token-file", type=existing_or_not(), metavar="FILE", help="File that holds the token."),
            click.option(
                "--token-env",
                metavar="NAME",
                help=f"Environment variable that holds the token.  [default: {TOKEN}]",
            ),
            click.option(
                "--ca-file",
                type=existing_or_not(),
                metavar="FILE",
                help="Trust the certificates in this file instead of the system's.",
            ),
            click.option(
                "--wait",
                type=click.FloatRange(min=0),
                metavar="S",
                help="Seconds to wait for a server that is not there yet, or full.  [default: 0]",
            ),
        )

    return all_of_them


def server_choice(values: dict[str, Any]) -> ServerChoice | None:
    """Take the values of `server_options` out of a command's keyword arguments; None where no server is named."""
    url, names = values.pop("server"), ("token_file", "token_env", "ca_file", "wait")
    others = {name: values.pop(name) for name in names}
    if url is None:
        if given := [name for name, value in others.items() if value is not None]:
            raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --server")
        return None
    if others["token_file"] is not None and others["token_env"] is not None:
        raise click.UsageError("--token-file and --token-env both say where the token is: use one of them")
    return ServerChoice(url=url, **{**others, "wait": others["wait"] or 0.0})


def token_of(choice: ServerChoice) -> str | None:
    """The token; None where there is none. ConfigError where it cannot be had."""
    if choice.token_file is not None:
        try:
            token = choice.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"cannot read the token in {shown(choice.token_file)}: {error}") from error
        if not token or len(token.split()) > 1:
            raise ConfigError(f"{shown(choice.token_file)} holds no token: one word is expected")
        return token
    token = os.environ.get(choice.token_env or TOKEN, "").strip()
    if choice.token_env is not None and not token:
        raise ConfigError(f"the environment variable {choice.token_env} holds no token")
    return token or None


@contextmanager
def opened_remote(
    choice: ServerChoice, count: SpeakerCount, *, uri: str, sample_rate: int, **options: Any
) -> Iterator[RemoteStream]:
    """A stream on the server, left when the block is left. StreamFailed without one, MissingExtra without packages."""
    if not LOWEST <= sample_rate <= HIGHEST:
        raise ConfigError(f"the sound has {sample_rate} Hz, and servers take {LOWEST} to {HIGHEST} Hz")
    for package in ("websockets", "anyio", "msgspec"):
        if find_spec(package) is None:
            raise MissingExtra(package, "client", "talking to a server")
    from speakrs_clients.dialing import trusting
    from speakrs_clients.remote import remote
    from speakrs_server.messages import SpeakerHint

    speakers = SpeakerHint(count=count.num_speakers, min=count.min_speakers, max=count.max_speakers)
    tls = trusting(choice.ca_file) if choice.ca_file is not None else None
    with remote(
        choice.url,
        sample_rate=sample_rate,
        uri=uri,
        token=token_of(choice),
        tls=tls,
        speakers=speakers,
        wait_s=choice.wait,
        **options,
    ) as stream:
        yield stream


def status_of(error: Exception) -> int:
    """The exit status for what went wrong."""
    if isinstance(error, MissingExtra):
        return FAILED
    from speakrs_clients.losses import Unauthorized, Unreachable, Unspoken, Untrusted

    for kind, status in (
        (Unreachable, UNREACHABLE),
        (Unauthorized, UNAUTHORIZED),
        (Untrusted, UNTRUSTED),
        (Unspoken, UNSPOKEN),
    ):
        if isinstance(error, kind):
            return status
    return FAILED
