from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.speed import commands
from speakrs_stream.models.bundle import ModelBundle
from tests.benchmarks.speed.small import small_shapes


def ran(*arguments: str) -> str:
    """Standard output of a command that must succeed."""
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelBundle:
    bundle = small_shapes(tmp_path)
    monkeypatch.setattr(commands, "community_shapes", lambda segmentation=None: bundle)
    return bundle


def test_throughput(shapes: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.throughput.STREAMS", (1, 2))
    out = tmp_path / "t.json"
    arguments = ["--bundle", "community-shapes", "--step", "2", "--seconds", "12", "--runs", "1"]
    said = ran("throughput", *arguments, "--json", str(out))
    written = json.loads(out.read_text())
    assert {row["embedding"] for row in written["throughput"]} == {"exact", "fast"}
    assert written["setting"]["command"].startswith("python -m benchmarks") and "side by side" in said


def test_shares(shapes: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.throughput.STREAMS", (1, 2))
    monkeypatch.setattr("benchmarks.speed.shares.TOGETHER", 2)
    out = tmp_path / "s.json"
    said = ran("shares", "--bundle", "community-shapes", "--seconds", "12", "--runs", "1", "--json", str(out))
    assert "segmentation" in said and "everything else" in said
    assert {row["embedding"] for row in json.loads(out.read_text())["shares"]} == {"exact", "fast"}


def test_host(shapes: ModelBundle, tmp_path: Path) -> None:
    out = tmp_path / "h.json"
    small = ["--bundle", "embedded", "--hours", "0.03", "--minutes", "0.2", "--seconds", "2", "--runs", "1", "--parts"]
    said = ran("host", *small, "--json", str(out))
    assert "goal 1.5 ms" in said and "window's own mean" in said and "the goals were set" in said
    assert {"minutes 1 to 1.2", "hour 0.03"} < {row["stretch"] for row in json.loads(out.read_text())["host"]}


def test_latency(shapes: ModelBundle, tmp_path: Path) -> None:
    out = tmp_path / "l.json"
    arguments = ["--bundle", "community-shapes", "--seconds", "5", "--streams", "2", "--json", str(out)]
    assert "50% of capacity" in ran("latency", *arguments)
    written = json.loads(out.read_text())
    assert written["capacity"] == 2 and written["cold_start_s"] is None
    assert set(written["latency"]) == {"one stream", "50% of capacity", "100% of capacity"}


def test_memory(tmp_path: Path) -> None:
    out = tmp_path / "m.json"
    ran("memory", "--hours", "0.005", "--no-networks", "--json", str(out))
    (row,) = json.loads(out.read_text())["memory"]
    assert row["hours"] == 0.005 and row["snapshot"] > 0


def test_peers(shapes: ModelBundle, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    said = ran("peers", "--seconds", "12", "--recording", "12", "--runs", "1", "--no-sherpa", "--json", str(out))
    assert "goal 12" in said and "goal 4.5" in said
    assert "pyannote's way" in json.loads(out.read_text())["seconds_per_second"]
