"""Settings: where they come from, and what is refused at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from speakrs_server.settings import Settings, as_toml, is_loopback, load
from speakrs_stream.errors import ConfigError


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 1\nidle_s = 5\ndata_dir = "a"\n', encoding="utf-8")
    environment = {"SPEAKRS_PORT": "2", "SPEAKRS_IDLE_S": "6.5", "HOME": "x"}
    found = load(flags={"port": 3, "host": None}, environment=environment, file=file)
    assert (found.port, found.idle_s, found.data_dir, found.host) == (3, 6.5, "a", "127.0.0.1")


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    settings = Settings(data_dir='a "b" \\c', max_rate=1.5)
    file = tmp_path / "x.toml"
    file.write_text(as_toml(settings), encoding="utf-8")
    assert load(file=file) == settings


@pytest.mark.parametrize(
    "values",
    [
        {"port": -1},
        {"port": 70_000},
        {"admin_port": -2},
        {"threads": 0},
        {"disk_reserve_mb": -1},
        {"max_frame_bytes": 100},
        {"max_frame_bytes": 2**21},
        {"drain_timeout_s": 30.0},
        {"load_limit": 1.5},
        {"load_limit": -0.1},
        {"max_delay_ms": 10},
        {"tls_cert": "x"},
        {"host": "0.0.0.0"},
        {"host": "captions.example"},
    ],
    ids=str,
)
def test_impossible_values(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Settings(**values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot"),
        ("port = 'x'", "port"),
        ("port = 1.5", "port"),
        ("port = true", "port"),
        ("host = 5", "host"),
        ("durability = 'maybe'", "durability"),
        ("port = [", "cannot read"),
    ],
)
def test_wrong_files_are_named(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load(file=file)
    with pytest.raises(ConfigError, match="cannot read"):
        load(file=tmp_path / "absent")


def test_a_public_address_needs_tokens() -> None:
    assert Settings(host="0.0.0.0", tokens_file="tokens").guarded
    assert not Settings().guarded
    assert Settings(origins="https://a.example, https://b.example,").origin_list[1] == "https://b.example"
    assert Settings(hosts="A.example").host_list == ("a.example",)


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "localhost.example", ""))


def test_every_setting_is_described() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    missing = [f.name for f in fields(Settings) if f"| `{f.name}` | `{f.default}` |" not in document]
    assert not [name for name in missing if f"| `{name}` | empty |" not in document]
