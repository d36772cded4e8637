"""The recipe of the embedded bundle: its command lines are those its parts take, and it runs from top to bottom."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from speakrs_stream.models.bundle import ModelBundle
from speakrs_stream.models.resolve import EMBEDDED_DIRECTORY

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "training" / "run.sh"
SHARED = ROOT.parent / "shared"
VOICES, HELD_OUT = 6, 4
"""People of the small run: those that train, and those of `training/held_out.txt`."""


def command_lines() -> list[list[str]]:
    """Words of every `python -m MODULE …` in the recipe, the module first."""
    text = RECIPE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(rest) for rest in re.findall(r'"\$python" -m ([^\n;]+)', text)]


def options_of(module: str) -> set[str]:
    """Long options that a module of `training` declares; read, not run, as it needs PyTorch."""
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    added = [call.args[0] for call in calls if call.func.attr == "add_argument" and call.args]  # type: ignore[attr-defined]
    names = {str(arg.value) for arg in added if isinstance(arg, ast.Constant)}
    return {name for name in names if name.startswith("--")}


def test_every_command_line_is_one_its_module_takes() -> None:
    found = [line for line in command_lines() if line[0].startswith("training.")]
    assert {line[0] for line in found} >= {f"training.{name}" for name in ("rooms", "embedding", "plda", "export")}
    for module, *words in found:
        given = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
        assert given <= options_of(module), (module, given)


def test_bash_can_read_it() -> None:
    subprocess.run(["bash", "-n", RECIPE], check=True)


TINY = f"""
import runpy, sys
module, *words = sys.argv[2:]
more = {{
    "training.rooms": ["--count", "4"],
    "training.data": ["--count", "1"],
    "training.melbank": ["--copies", "2"],
    "training.segmentation": ["--steps", "2", "--batch", "2", "--real", "1", "--measure", "100"],
    "training.embedding": ["--minutes", "0.02", "--batch", "8", "--no-compile"],
    "training.sessions": ["--sessions", "1"],
    "benchmarks": ["--max-files", "1", "--max-seconds", "40"] if words[0] == "revoice" else [],
    "training.plda": ["--every", "1", "--components", "4"],
    "speakrs_stream": ["--trials", "2", "--folds", "0"],
}}.get(module, [])
sys.argv = [module, *words, *more]
sys.path.insert(0, {str(ROOT)!r})
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Stands for `python -m`: the same commands, with options that make each of them small."""


def few(work: Path) -> Path:
    """A small SHARED: a few voices, two excerpts, two references of each kind."""
    small = work / "shared"
    speech = SHARED / "speech" / "librispeech"
    held_out = set((ROOT / "training" / "held_out.txt").read_text(encoding="utf-8").split())
    voices = sorted((speech / "train").glob("*.flac"))
    kept_away = [path for path in voices if path.name.split("-")[0] in held_out][:HELD_OUT]
    chosen = kept_away + [path for path in voices if path.name.split("-")[0] not in held_out][:VOICES]
    links = {f"speech/librispeech/train/{path.name}": path for path in chosen}
    links |= {f"speech/librispeech/dev/{path.name}": path for path in (speech / "dev").glob("*.flac")}
    links |= {f"speech/ami/{path.name}": path for path in sorted((SHARED / "speech" / "ami").glob("trn0[05].*"))}
    for kind in ("ami_dev", "voxconverse_dev"):
        references = sorted((SHARED / "reference" / kind).glob("*.rttm"))[:9]
        links |= {f"reference/{kind}/{path.name}": path for path in references}
    links |= {f"models/teachers/{path.name}": path for path in (SHARED / "models" / "teachers").iterdir()}
    for name, path in links.items():
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        (small / name).symlink_to(path)
    return small


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (SHARED / "models" / "teachers").is_dir(), reason="needs ../shared: speech and teachers")
@pytest.mark.parametrize("start", [False, True], ids=["new", "from a bundle"])
def test_it_runs_from_top_to_bottom(tmp_path: Path, start: bool) -> None:
    if missing := [name for name in ("torch", "pyworld", "optuna", "anyio") if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: pip install -e '.[train,dev]'")
    tiny = tmp_path / "tiny.py"
    tiny.write_text(TINY, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(tiny))} "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    bundle = tmp_path / "bundle"
    settings = {"PYTHON": str(python), "THREADS": "1", "OMP_NUM_THREADS": "1"}
    if start:
        settings["START"] = str(ROOT / "speakrs_stream" / "models" / "embedded")
    command = ["bash", str(RECIPE), str(few(tmp_path)), str(tmp_path / "work"), str(bundle)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ModelBundle.open(bundle).clustering == ModelBundle.open(EMBEDDED_DIRECTORY).clustering
    assert (tmp_path / "work" / "tuned.toml").is_file()
