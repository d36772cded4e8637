"""The scripts that CI and `make fmt` run from .ci/."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def script(name: str) -> ModuleType:
    """A script of .ci/ as a module."""
    spec = spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(path: Path, changes: Mapping[str, bytes | None] = MappingProxyType({})) -> Path:
    """A wheel with all that is needed, some files changed or (None) left out."""
    needed = [
        *script("wheel").NEEDED,
        script("wheel").MARKER,
        "speakrs_server/__init__.py",
        "speakrs_clients/__init__.py",
    ]
    info = "speakrs_stream-0.dist-info"
    files: dict[str, bytes | None] = dict.fromkeys(
        [*needed, f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE", f"{info}/METADATA"], b"x"
    )
    files |= changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def test_a_good_wheel_passes(tmp_path: Path) -> None:
    assert script("wheel").problems(wheel(tmp_path / "a.whl")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"speakrs_stream/demo/meeting.flac": None}, "speakrs_stream/demo/meeting.flac is missing"),
        ({"speakrs_stream/py.typed": None}, "speakrs_stream/py.typed is missing"),
        ({"speakrs_stream/demo/meeting.rttm": b""}, "meeting.rttm is missing or empty"),
        ({"speakrs_clients/__init__.py": None}, "speakrs_clients is missing"),
        ({"tests/test_x.py": b"x"}, "tests does not belong there"),
        ({"speakrs_stream-0.dist-info/licenses/NOTICE": None}, "NOTICE is missing from the licences"),
        ({"speakrs_stream/models/embedded/segmentation.onnx": bytes(8_000_001)}, "the bundle embedded has"),
        ({"speakrs_stream/models/embedded/segmentation-fast.onnx": bytes(8_000_001)}, "the bundle embedded-fast has"),
    ],
)
def test_a_bad_wheel_is_told(tmp_path: Path, changes: dict[str, bytes | None], said: str) -> None:
    problems = script("wheel").problems(wheel(tmp_path / "a.whl", changes))
    assert any(said in problem for problem in problems), problems


def test_the_script_fails_on_a_bad_wheel(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl")
    good = subprocess.run([sys.executable, ROOT / ".ci/wheel.py", path], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    path = wheel(tmp_path / "b.whl", {"somewhere/else": b"x"})
    bad = subprocess.run([sys.executable, ROOT / ".ci/wheel.py", path], capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and "somewhere does not belong there" in bad.stderr


def test_the_map_keeps_comments_and_adds_what_is_new() -> None:
    module = script("map")
    readme = "# x\n\n```\nspeakrs-stream/\n├── README.md   my own words\n```\n\nthe rest\n"
    once = module.updated(readme)
    assert "├── README.md                            my own words\n" in once
    assert "│   ├── queue.py" in once and "__init__.py" not in once
    assert once.startswith("# x\n") and once.endswith("```\n\nthe rest\n")
    assert module.updated(once) == once


def test_the_map_shows_folders_in_which_somebody_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("map")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in ("benchmarks/peers/sherpa.py", "benchmarks/results/host.json", "server/page/index.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in module.children(tmp_path / "benchmarks")] == ["peers"]
    assert [path.name for path in module.children(tmp_path / "server")] == ["page"]
