"""The page's modules where Node can import them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from speakrs_server.pages import FOLDER

HERE = Path(__file__).parent
Node = Callable[..., str]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Runs Node beside copies of the page and of the scripts here; gives what it printed."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node (apt install nodejs) to run the page's modules without a browser")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(FOLDER, folder / "page")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
