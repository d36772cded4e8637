"""An environment of its own for somebody else's program, made once in the user's cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from speakrs_stream.errors import SpeakrsError


class PeerUnavailable(SpeakrsError):
    """A peer cannot be installed or does not run."""


def environment(name: str, installs: Sequence[Sequence[str]], folder: Path | None = None) -> Path:
    """Python of the environment, made when it is not there; PeerUnavailable where that fails.

    name: what it is and its version, such as "diart-0.9.2"; installs: arguments of `pip install`, one after the other
    folder: where to make it; None for the cache
    """
    home = folder or user_cache_path("speakrs-stream") / "peers" / name
    python = home / "bin" / "python"
    if (home / "complete").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    try:
        venv.create(home, with_pip=False)
        for what in installs:
            subprocess.run([*pip, *what], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines() or ["pip failed"]
        raise PeerUnavailable(f"{name} cannot be installed: {said[-1]}") from error
    except OSError as error:
        raise PeerUnavailable(f"{name} cannot be installed: {error}") from error
    (home / "complete").touch()
    return python
