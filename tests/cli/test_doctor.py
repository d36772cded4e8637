"""`speakrs-stream doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speakrs_stream.cli.doctor import Check, environment, installed, required

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome

    Run = Callable[..., Outcome]


def test_a_working_installation(speakrs: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPEAKRS_MODELS_DIR", raising=False)
    done = speakrs("doctor")
    assert (done.status, done.err) == (0, "")
    for said in ("Python", "numpy", "onnxruntime", "would be used: mode ", "embedded (default)", "Ready to diarize."):
        assert said in done.out


def test_as_json(speakrs: Run) -> None:
    checks = [json.loads(line) for line in speakrs("doctor", "--json").out.splitlines()]
    assert {"machine", "packages", "runtime", "models"} <= {check["topic"] for check in checks}
    assert {check["state"] for check in checks} <= {"ok", "absent", "broken"}


def test_a_broken_default_bundle_is_said_and_fails(
    speakrs: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEAKRS_MODELS_DIR", str(tmp_path / "nowhere"))
    done = speakrs("doctor")
    assert done.status == 1
    assert "nowhere" in done.out and "does not work" in done.out
    assert "SPEAKRS_MODELS_DIR" in done.out


def test_requirements_of_extras_are_optional() -> None:
    assert required(["numpy>=1.26", "ruamel.yaml", "onnxruntime>=1.19; extra == 'cpu'"]) == ["numpy", "ruamel.yaml"]


def test_a_missing_package() -> None:
    otherwise = Check("packages", "no-such-package", "not installed", "absent")
    assert installed("no-such-package", otherwise) is otherwise
    assert installed("numpy", otherwise).state == "ok"


def test_a_proxy_is_told_without_its_password() -> None:
    found = list(environment({"HTTPS_PROXY": "http://me:secret@proxy", "HF_ENDPOINT": "http://hub", "OTHER": "x"}))
    assert [(check.name, check.found) for check in found] == [("HF_ENDPOINT", "http://hub"), ("HTTPS_PROXY", "set")]
