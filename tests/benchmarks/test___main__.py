"""The command line of the benchmarks, with the bundle that comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.references import read_rttm
from tests.benchmarks.material import speech


def test_der_from_audio_to_figures(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "set"
    folder.mkdir()
    soundfile.write(folder / "short.wav", np.concatenate([speech(2.0), np.zeros(16_000)]), 16_000)
    (folder / "short.rttm").write_text("SPEAKER short 1 0 2 <NA> <NA> A <NA> <NA>\n")
    out, figures = tmp_path / "found", tmp_path / "figures.json"
    arguments = ["der", str(folder), "--json", str(figures), "--output-dir", str(out), "--set", "Fa=0.1"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "1 recording" in result.stdout
    said = json.loads(figures.read_text())
    assert said["bundle"] == "embedded"
    assert said["total"]["speech"] == 2.0
    assert said["total"]["audio_seconds"] == 3.0
    assert said["files"][0]["uri"] == "short"
    assert set(read_rttm(out / "short.rttm")) <= {"short"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["der", "."], "has an .rttm"),
        (["der", "nowhere"], "does not exist"),
        (["parity", "nothing.npz"], "does not exist"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert said in " ".join(result.output.split())
