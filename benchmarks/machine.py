"""Where and when a figure was measured; written beside every result."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Setting:
    """What somebody needs to repeat a measurement."""

    command: str
    """What was typed."""

    cpu: str
    """Name of the processor."""

    cores: int
    """Cores this process may use."""

    python: str
    """Version of the interpreter."""

    commit: str | None
    """Commit of the checkout, with `+` where files were changed; None outside a checkout."""

    date: str
    """Day and time of the measurement, UTC."""


def setting(arguments: Sequence[str] | None = None) -> Setting:
    """The setting of this process; `arguments` are those of `python -m benchmarks`, by default sys.argv's."""
    typed = sys.argv[1:] if arguments is None else arguments
    return Setting(
        command=" ".join(["python", "-m", "benchmarks", *typed]),
        cpu=cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        python=platform.python_version(),
        commit=commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor as the system calls it."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit(root: Path = ROOT) -> str | None:
    """Short commit of a checkout, `+` appended where tracked files differ from it; None where there is none."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
