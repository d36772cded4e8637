"""From a folder of recordings to figures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from benchmarks.__main__ import with_settings
from benchmarks.der import diarizer, evaluate, report, table
from benchmarks.machine import Setting
from benchmarks.references import Pair, find_pairs, read_rttm
from speakrs_stream.core.config import PipelineConfig
from speakrs_stream.errors import ConfigError
from speakrs_stream.scoring import Labelled, total
from tests.benchmarks.fakes import fake_engine

SETTING = Setting("python -m benchmarks der X", "a cpu", 2, "3.11", "abc", "2026-01-01 00:00 UTC")
PAIRS = [
    Pair("one", Path("one.wav"), (Labelled(0, 6, "A"), Labelled(6, 10, "B"))),
    Pair("two", Path("two.wav"), (Labelled(0, 10, "A"),)),
]


def script(pair: Pair) -> tuple[list[Labelled], float]:
    """One speaker all the time."""
    return [Labelled(0, 11, "x")], 12.0


def test_figures_per_file_and_in_total(tmp_path: Path) -> None:
    rows = list(evaluate(PAIRS, script, output=tmp_path / "found"))
    assert [row.score.der for row in rows] == pytest.approx([0.5, 0.1])
    figures = report(rows, collar=0.0, setting=SETTING, bundle="b")
    assert figures["total"]["der"] == pytest.approx(0.3)
    assert figures["total"]["speaker_count_error"] == pytest.approx(0.5)
    assert figures["total"]["audio_seconds"] == 24.0
    assert [entry["confusion"] for entry in figures["files"]] == pytest.approx([4.0, 0.0])
    assert json.loads(json.dumps(figures))["setting"]["commit"] == "abc"
    assert read_rttm(tmp_path / "found" / "one.rttm") == {"one": [Labelled(0, 11, "x")]}


def test_collar_is_passed_on() -> None:
    rows = list(evaluate(PAIRS[1:], script, collar=3.0))
    assert rows[0].score.error == 0.0


def test_table_shows_percent_and_a_total() -> None:
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(table(list(evaluate(PAIRS, script)), collar=0.25))
    text = console.export_text()
    assert "collar 0.25 s" in text
    rows = [line.split() for line in text.splitlines() if line.strip().startswith(("one", "two", "2 rec"))]
    assert rows[0][:7] == ["one", "10.0", "0.0", "10.0", "40.0", "50.0", "1"]
    assert rows[2][:8] == ["2", "recordings", "20.0", "0.0", "10.0", "20.0", "30.0", "0.50"]


def test_an_engine_diarizes_a_folder(tmp_path: Path) -> None:
    sound = np.repeat([0.5, -0.5], [96_000, 80_000])
    soundfile.write(tmp_path / "talk.flac", sound, 16_000)
    (tmp_path / "talk.rttm").write_text(
        "SPEAKER talk 1 0 6 <NA> <NA> A <NA> <NA>\nSPEAKER talk 1 6 5 <NA> <NA> B <NA> <NA>\n"
    )
    pairs = find_pairs(tmp_path)
    result = total(row.score for row in evaluate(pairs, diarizer(fake_engine())))
    assert result.der < 0.02
    assert result.count_error == 0
    alone = [Pair("talk", pairs[0].audio, (Labelled(0, 11, "A"),))]
    told = next(evaluate(alone, diarizer(fake_engine(), oracle=True, cache=tmp_path / "cache")))
    assert told.score.count_error == 0
    assert told.seconds == 11.0


def test_settings_change_one_value() -> None:
    config = with_settings(PipelineConfig(), ["Fa=0.2", "max_iterations=5"], parity=True)
    assert (config.clustering.Fa, config.clustering.max_iterations, config.parity) == (0.2, 5, True)
    assert config.clustering.Fb == PipelineConfig().clustering.Fb
    for wrong in ("Fa", "Fa=much", "Fx=1"):
        with pytest.raises(ConfigError):
            with_settings(PipelineConfig(), [wrong], parity=False)
