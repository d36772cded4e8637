"""Which engines there are, and what is said of those that are not there."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from speakrs_server.captions import engines
from speakrs_server.captions.engines import Options, find, listed
from speakrs_stream.errors import ConfigError, MissingExtra
from tests.server.captions.voices import VoicesEngine, load


def test_an_engine_by_its_function() -> None:
    assert find("tests.server.captions.voices:load") is load
    assert isinstance(find("tests.server.captions.voices:load")(Options()), VoicesEngine)


def test_an_engine_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("voices", "tests.server.captions.voices:load", engines.GROUP)
    monkeypatch.setattr(engines, "entry_points", lambda group: EntryPoints([entry]) if group == engines.GROUP else ())
    assert find("voices") is load
    assert "voices: tests.server.captions.voices:load" in listed()
    with pytest.raises(ConfigError, match="pocketsphinx, faster-whisper, voices"):
        find("echo")


@pytest.mark.parametrize("name", ["nowhere:load", "tests.server.captions.voices:absent", ":"])
def test_what_cannot_be_loaded(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        find(name)


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="captions-pocketsphinx"):
        find("pocketsphinx")
    assert all("not installed: pip install" in line for line in listed()[:2])
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    assert all(line.endswith("installed") for line in listed()[:2])
