"""Settings in a file: written, read back, and refused where they do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.errors import ConfigError
from speakrs_stream.settings_file import PipelineSettings, read_settings, write_settings
from tests.server.rig import engine

SETTINGS = PipelineSettings(
    bundle='odd "name"', sha256="ab" * 32, step=16_000, clustering={"threshold": 0.91, "Fa": 1e-2}, turns={"min_on": 4}
)


def test_written_and_read_back(tmp_path: Path) -> None:
    path = write_settings(tmp_path / "tuned.toml", SETTINGS, "two\nlines")
    assert path.read_text().startswith("# two\n# lines\nstep = 1.0\n")
    assert read_settings(path) == replace(SETTINGS, source=str(path))


def test_they_are_put_over_the_bundles_own() -> None:
    bundle = engine().bundle
    fitting = replace(SETTINGS, sha256=bundle.sha256)
    config = fitting.config(bundle, PipelineConfig(step=32_000, min_off=7))
    assert (config.step, config.min_on, config.min_off) == (16_000, 4, 7)
    assert (config.clustering.threshold, config.clustering.Fa) == (0.91, 0.01)
    assert config.clustering.Fb == engine().config.clustering.Fb
    assert fitting.config(bundle, PipelineConfig(), step=1.0).step == 16_000
    with pytest.raises(ConfigError, match="windows every 1 s, not every 2 s"):
        fitting.config(bundle, PipelineConfig(), step=2.0)
    with pytest.raises(ConfigError, match="was made for the bundle odd"):
        SETTINGS.config(bundle, PipelineConfig())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "sets x, which is no setting"),
        ("[clustering]\nthreshhold = 1", "sets clustering.threshhold, which is no setting"),
        ("[clustering]\nthreshold = 'a'", "clustering.threshold must be a number"),
        ("[clustering]\nthreshold = -1", "threshold must be above 0"),
        ("[turns]\nmin_on = 1.5", "turns.min_on must be a whole number"),
        ("[turns]\nmin_on = -1", "cannot be negative"),
        ("step = 0.3333", "step must be a multiple"),
        ("clustering = 3", "clustering must be a table"),
        ("nonsense", "cannot read the settings"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tuned.toml"
    tables = "" if text == "nonsense" else "\n[bundle]\nname = 'b'\nsha256 = 'c'\n"
    path.write_text(text + tables)
    with pytest.raises(ConfigError, match=says) as error:
        read_settings(path)
    assert str(path) in str(error.value)


def test_settings_say_whose_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tuned.toml"
    path.write_text("[clustering]\nthreshold = 1.0\n")
    with pytest.raises(ConfigError, match=r"bundle\.name is missing"):
        read_settings(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_settings(tmp_path / "absent.toml")
