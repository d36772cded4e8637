"""`speakrs-stream models`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speakrs_stream.cli.models import size
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_bundle_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own choice of bundle plays no part."""
    monkeypatch.delenv("SPEAKRS_MODELS_DIR", raising=False)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A copy of the embedded bundle with one byte changed."""
    copy = tmp_path / "copy"
    shutil.copytree(EMBEDDED_DIRECTORY, copy)
    data = bytearray((copy / "segmentation.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "segmentation.onnx").write_bytes(data)
    return copy


def test_list(speakrs: Run) -> None:
    done = speakrs("models", "list")
    assert done.status == 0
    assert "embedded (default)" in done.out and "community-1" in done.out
    entries = [json.loads(line) for line in speakrs("models", "list", "--json").out.splitlines()]
    assert entries[0]["name"] == "embedded" and entries[0]["here"] and entries[0]["default"]
    assert entries[0]["bytes"] <= 8_000_000


def test_show(speakrs: Run) -> None:
    done = speakrs("models", "show")
    assert done.status == 0
    facts = json.loads(speakrs("models", "show", "embedded", "--json").out)
    assert facts["name"] == "embedded" and f"sha256: {facts['sha256']}" in done.out
    assert "segmentation.onnx" in facts["files"] and facts["licences"]


def test_path_and_verify(speakrs: Run) -> None:
    assert speakrs("models", "path").out == f"{EMBEDDED_DIRECTORY}\n"
    done = speakrs("models", "verify")
    assert done.status == 0
    assert all(line.startswith("ok  ") for line in done.out.splitlines()) and "segmentation.onnx" in done.out
    assert speakrs("models", "verify", "-q").out == ""


def test_downloading_what_is_here_already(speakrs: Run) -> None:
    done = speakrs("models", "download", "embedded")
    assert done.status == 0
    assert done.err.startswith("embedded: ") and str(EMBEDDED_DIRECTORY) in done.err


def test_a_damaged_bundle_is_named(speakrs: Run, damaged: Path) -> None:
    for command in ("verify", "show", "path"):
        done = speakrs("models", command, damaged)
        assert (done.status, done.out) == (1, "")
        assert "segmentation.onnx" in done.err and "SHA-256" in done.err


def test_unknown_names_are_told_what_there_is(speakrs: Run) -> None:
    for command in ("show", "download", "verify", "path"):
        done = speakrs("models", command, "nonsense")
        assert done.status == 1
        assert "nonsense" in done.err and "community-1" in done.err


def test_sizes() -> None:
    assert [size(n) for n in (0, 812, 999, 1_000, 5_912_345, 250_000_000, 3_400_000_000)] == [
        *("0 B", "812 B", "999 B", "1.0 kB"),
        *("5.9 MB", "250 MB", "3.4 GB"),
    ]
