from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import sherpa_worker


class Pipeline:
    """Answers with as many turns as there are samples."""

    def process(self, audio: np.ndarray) -> Pipeline:
        self.turns = [object()] * len(audio)
        return self

    def sort_by_start_time(self) -> list[object]:
        return self.turns


def test_a_path_a_line_is_answered_with_seconds_and_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3, np.float32))
    monkeypatch.setattr(sherpa_worker, "diarizer", lambda *arguments: Pipeline())
    monkeypatch.setattr(sys, "argv", ["worker", "s.onnx", "e.onnx", "1"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'a.npy'}\n"))
    sherpa_worker.main()
    ready, answer = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready == {"ready": True}
    assert answer["turns"] == 3 and answer["seconds"] >= 0
