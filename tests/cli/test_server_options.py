"""What `send` and `mic --server` share: tokens, certificates, exit statuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from speakrs_clients import losses
from speakrs_stream.cli.options import SpeakerCount
from speakrs_stream.cli.server_options import (
    TOKEN,
    UNAUTHORIZED,
    UNREACHABLE,
    UNSPOKEN,
    UNTRUSTED,
    ServerChoice,
    opened_remote,
    server_choice,
    status_of,
    token_of,
)
from speakrs_stream.errors import ConfigError, MissingExtra


def choice(**changes: Any) -> ServerChoice:
    base: dict[str, Any] = {"url": "ws://127.0.0.1:9", "token_file": None, "token_env": None, "ca_file": None}
    return ServerChoice(**{**base, "wait": 0.0, **changes})


def given(**values: Any) -> ServerChoice | None:
    names = ("server", "token_file", "token_env", "ca_file", "wait")
    return server_choice({**dict.fromkeys(names), **values})


def test_options_belong_to_a_server() -> None:
    assert given() is None
    assert given(server="x", wait=3.0) == choice(url="x", wait=3.0)
    for wrong in ({"token_file": Path("t")}, {"wait": 1.0}, {"server": "x", "token_file": Path("t"), "token_env": "T"}):
        with pytest.raises(click.UsageError):
            given(**wrong)


def test_where_tokens_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert token_of(choice()) is None
    monkeypatch.setenv(TOKEN, " from-the-environment ")
    monkeypatch.setenv("OTHER", "from-another")
    file = tmp_path / "token"
    file.write_text("from-a-file\n", encoding="utf-8")
    assert token_of(choice()) == "from-the-environment"
    assert token_of(choice(token_env="OTHER")) == "from-another"
    assert token_of(choice(token_file=file)) == "from-a-file"


def test_tokens_that_cannot_be_had(tmp_path: Path) -> None:
    for content in (b"", b"two words\n", b"\xff\xfe"):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(ConfigError, match="token"):
            token_of(choice(token_file=tmp_path / "token"))
    with pytest.raises(ConfigError, match="cannot read the token"):
        token_of(choice(token_file=tmp_path / "absent"))
    with pytest.raises(ConfigError, match="ABSENT_TOKEN"):
        token_of(choice(token_env="ABSENT_TOKEN"))


def test_exit_statuses() -> None:
    assert status_of(losses.Unreachable("x")) == UNREACHABLE == 3
    assert status_of(losses.Unauthorized("x", "forbidden")) == UNAUTHORIZED == 4
    assert status_of(losses.Untrusted("x")) == UNTRUSTED == 5
    assert status_of(losses.Unspoken("x")) == UNSPOKEN == 6
    assert status_of(losses.Refused("x", "too_fast")) == status_of(MissingExtra("p", "client", "x")) == 1


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate", encoding="utf-8")
    for wrong, rate, kind in (
        (choice(), 16_000, losses.Unreachable),
        (choice(), 192_000, ConfigError),
        (choice(url="nonsense://x"), 16_000, ConfigError),
        (choice(url="wss://127.0.0.1:9", ca_file=bad), 16_000, ConfigError),
    ):
        with pytest.raises(kind), opened_remote(wrong, SpeakerCount(), uri="x", sample_rate=rate):
            pass
