"""The commands `live` and `simulate` in their small forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import live_commands
from benchmarks.__main__ import main
from benchmarks.simulate import OURS

DEMO = Path(live_commands.__file__).resolve().parent.parent / "speakrs_stream" / "demo"


@pytest.mark.parametrize("cached", [False, True])
def test_live_from_audio_to_figures(tmp_path: Path, cached: bool) -> None:
    pytest.importorskip("onnxruntime")
    out, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    arguments = ["live", str(DEMO), "--max-seconds", "14", "--json", str(out), "--plot", str(picture)]
    arguments += ["--cache", str(tmp_path / "cache")] if cached else []
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for part in ("Goals", "Recordings", "0-1 min", "Latency"):
        assert part in result.stdout
    said = json.loads(out.read_text())
    assert said["bundle"]["name"] == "embedded"
    assert said["total"]["minutes"] == pytest.approx(14 / 60, abs=0.01)
    assert said["total"]["finish_differs"] == 0
    assert (said["total"]["push_ms"]["p50"] is None) == cached
    assert list(said["files"]) == ["meeting"]
    assert picture.is_file()


def test_the_command_in_its_small_form(references: Path, tables: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out" / "figures.json", tmp_path / "picture.svg"
    arguments = [
        "simulate",
        "--rttm",
        str(references),
        "--plda",
        str(tables),
        "--max-files",
        "2",
        "--max-seconds",
        "14",
    ]
    result = CliRunner().invoke(
        main, [*arguments, "--json", str(out), "--plot", str(picture), "--jobs", "1"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "Goals" in result.stdout
    said = json.loads(out.read_text())
    assert set(said["sets"]["meetings"]) == {OURS, "greedy 1", "greedy 0.7"}
    assert said["sets"]["meetings"][OURS]["recordings"] == 2
    assert {goal["goal"] for goal in said["goals"]["meetings"]} >= {"changes behind the watermark"}
    assert set(said["voices"]) == {"within", "within_p5", "between", "between_p95"}
    assert picture.is_file()


def test_the_curve_as_a_command(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.json"
    arguments = ["simulate", "--only-long", "--long", "0.02", "--speakers", "2", "--plda", str(tables), "--curve"]
    result = CliRunner().invoke(main, [*arguments, "--json", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert list(json.loads(out.read_text())["curve"]["0.02 h, 2 speakers"]) == [
        "2",
        "4",
        "6",
        "8",
        "10",
        "12",
        "15",
        "20",
    ]
    assert "max_delay" in result.stdout


def test_what_is_absent_is_skipped_with_a_reason(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_commands, "REFERENCES", (tmp_path / "nowhere",))
    result = CliRunner().invoke(main, ["simulate", "--plda", str(tables)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "skipped" in result.stderr
    assert "name folders with --rttm" in result.stderr
    monkeypatch.setattr(live_commands, "PLDA", tmp_path / "nothing")
    result = CliRunner().invoke(main, ["simulate"], catch_exceptions=False)
    assert "no PLDA tables" in result.stderr


def test_a_wrong_threshold_is_one_line(references: Path, tables: Path) -> None:
    arguments = ["simulate", "--rttm", str(references), "--plda", str(tables), "--deltas", "much"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "expected numbers" in result.stderr
