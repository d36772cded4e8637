"""Linear algebra in one thread, in processes of their own: it is decided when NumPy is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from speakrs_stream.threads import VARIABLES, one_thread

SCRIPT = """
import os, sys
sys.argv = ["speakrs-stream", "--version"]
from speakrs_stream.cli import main
try:
    main()
except SystemExit:
    assert "numpy" not in sys.modules
import numpy as np
rows = np.ones((800, 800))
rows @ rows
print(len(os.listdir("/proc/self/task")))
"""


def threads(**environment: str) -> int:
    """Threads of a process that began as the command line and then multiplied large arrays."""
    clean = {name: value for name, value in os.environ.items() if name not in {*VARIABLES, "OMP_NUM_THREADS"}}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**clean, **environment})
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_the_command_line_multiplies_in_one_thread() -> None:
    assert threads() == 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread anyhow")
@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_who_asks_for_more_gets_them(name: str) -> None:
    assert threads(**{name: "2"}) == 2


def test_what_was_said_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    one_thread()
    assert [os.environ.pop(name) for name in VARIABLES] == ["1", "3", "1", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    one_thread()
    assert not any(name in os.environ for name in VARIABLES)
