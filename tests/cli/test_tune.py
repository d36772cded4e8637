"""`speakrs-stream tune`, from recordings to a file that other commands take."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakrs_stream.cli.main import run
from speakrs_stream.cli.shell import EngineChoice, Shell, configured
from speakrs_stream.cli.tune import default_cache
from speakrs_stream.errors import ConfigError
from speakrs_stream.settings_file import read_settings
from tests.server.rig import FakeEngine, engine
from tests.tuning.rooms import write

pytest.importorskip("optuna", reason="pip install 'speakrs-stream[tune]'")


def test_from_recordings_to_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rooms")
    shell = Shell(open_live=lambda choice: engine())
    arguments = ["tune", "rooms", "--trials", "4", "--folds", "2", "--cache", "cache", "-o", "mine.toml"]
    assert run(arguments, shell) == 0
    first = capsys.readouterr()
    assert "3 recordings with 1 min of speech are few" in first.out or "are few" in first.out
    assert "held out" in first.out and "Wrote mine.toml" in first.out
    assert "all: 4 of 4 settings tried" in first.err and "without part 2: 4 of 4" in first.err
    assert run([*arguments, "--quiet"], shell) == 0
    second = capsys.readouterr()
    assert second.out == first.out and second.err == "", "everything was done already"
    settings = read_settings("mine.toml")
    assert settings.sha256 == engine().bundle.sha256 and set(settings.clustering) >= {"threshold", "Fa", "Fb"}
    other = FakeEngine()
    taken = configured(other, EngineChoice(settings=Path("mine.toml")))
    assert taken.config.clustering.threshold == settings.clustering["threshold"]
    with pytest.raises(ConfigError, match="leave out --step"):
        configured(other, EngineChoice(settings=Path("mine.toml"), step=2.0))
    assert run(["tune", "cache"], shell) == 1
    assert "no recording below" in capsys.readouterr().err
    assert default_cache().name == "tune"
