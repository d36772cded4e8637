"""The files in deploy/ name commands, settings and limits that exist."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from speakrs_server.settings import PREFIX, Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAMES = {PREFIX + field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize("name", ["Dockerfile", "speakrs-stream.service"])
def test_settings_exist(name: str) -> None:
    found = set(re.findall(rf"\b{PREFIX}[A-Z_]+", (DEPLOY / name).read_text(encoding="utf-8")))
    assert found and found <= NAMES


def test_the_image_does_not_run_as_root_and_stays_guarded() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 10001" in text and "HEALTHCHECK" in text
    values = dict(re.findall(rf"{PREFIX}([A-Z_]+)=(\S+)", text))
    Settings(**{name.lower(): value for name, value in values.items()})  # a public address without tokens is refused


def test_the_unit_gives_the_drain_its_time() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "speakrs-stream.service", encoding="utf-8")
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > 25 >= Settings().drain_timeout_s
    assert service["ExecStart"].split()[1] == "serve" and service["Restart"] == "always"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    text = (DEPLOY / "speakrs-stream.service").read_text(encoding="utf-8")
    copy = tmp_path / "speakrs-stream.service"
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    done = subprocess.run([program, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "speakrs-stream.service:" not in done.stderr
