"""A server in a process of its own, for load and faults: started, watched from outside, stopped."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import ROOT
from speakrs_server.channels import Channels
from speakrs_server.serving import open_engine, serve_until_signal
from speakrs_server.settings import Settings, load
from speakrs_server.unit import Recipe, Unit
from speakrs_stream.core.events import Event, SpeakerCreated, TurnFinal, TurnRevised, TurnStarted, Watermark
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.jobs import Job

Mode = Literal["scripted", "fake", "real"]
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
TURN_S = 3
"""Seconds of a scripted turn."""


class ScriptedUnit(Unit):
    """Hears nothing: two speakers take turns of three seconds, whatever the sound is. Costs as good as nothing.

    It stands for the networks and the pipeline where the server around them is measured: every second of audio leads to
    one provisional and, at the end of a turn, to final messages and a watermark.
    """

    def __init__(self, recipe: Recipe, *, heard: Channels | None = None, sources: Any = None) -> None:
        super().__init__(recipe, heard=heard, sources=sources)
        self._reached = 0  # seconds told
        self._taken = 0  # samples at the client's rate

    @property
    def position(self) -> int:
        """As `Unit.position`."""
        return self._taken

    @property
    def processed(self) -> int:
        """As `Unit.processed`."""
        return self._taken

    @property
    def busy(self) -> bool:
        """Whether a second of audio has not been told."""
        return self._taken // self.recipe.audio.sample_rate > self._reached

    def push(self, payload: bytes, offset: int) -> None:
        """Count samples."""
        self._taken = max(self._taken, offset + len(payload) // 2)

    def jobs(self) -> list[Job]:
        """One question for every second."""
        return [Job(self._reached, "head", {"statistics": np.zeros(1, np.float32)})] if self.busy else []

    def resolve(self, job_id: int, output: NDArray[Any]) -> list[Event]:
        """The next second of the script."""
        second, self._reached = self._reached, self._reached + 1
        number, part = divmod(second, TURN_S)
        turn, speaker, begin = number + 1, number % 2 + 1, number * TURN_S * SAMPLE_RATE
        span = Span(begin, (second + 1) * SAMPLE_RATE)
        events: list[Event] = []
        if part == 0 and number < 2:
            events.append(SpeakerCreated(speaker, span.end))
        if part == 0:
            events.append(TurnStarted(turn, 1, speaker, span))
        elif part < TURN_S - 1:
            events.append(TurnRevised(turn, part + 1, speaker, span))
        else:
            events += [TurnFinal(turn, TURN_S, speaker, span), Watermark(span.end, span.end)]
        return events


def scripted(jobs: list[Job]) -> NDArray[Any]:
    """Answers nobody looks at."""
    return np.zeros((len(jobs), 1), np.float32)


def serve(mode: Mode, settings: Settings) -> None:
    """Serve in this process until a signal; the port is the first line of standard output."""
    import anyio

    from speakrs_server.app import Server
    from speakrs_server.serving import configure_logging, loop_options, settle
    from speakrs_stream.engine import Engine

    configure_logging("error")
    if mode == "real":
        server = Server(settings, open_engine(settings))
    else:
        from tests.server.rig import engine

        fake: Engine = engine()
        server = (
            Server(settings, fake) if mode == "fake" else Server(settings, fake, runner=scripted, opens=ScriptedUnit)
        )
    settle()
    anyio.run(serve_until_signal, server, lambda port: print(port, flush=True), backend_options=loop_options())


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used."""

    cpu_s: float
    """Seconds of processor time since it started."""
    rss_mb: float
    """Mebibytes of memory that are in use."""
    threads: int
    """Threads that are alive."""
    files: int
    """Files and sockets that are open."""
    sockets: int
    """Sockets among them."""


class ServerProcess:
    """The process under test."""

    def __init__(self, mode: Mode, folder: Path, port: int = 0, **settings: Any) -> None:
        """settings: of the server, besides those that every measurement needs."""
        self.mode, self.folder, self.port = mode, folder, port
        self.admin_port = _free_port()
        base = {"admin_port": self.admin_port, "max_sessions": 100_000, "sessions_per_key": 100_000}
        self.settings = base | {"max_handshakes": 100_000} | settings
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        flags = [f"{name}={value}" for name, value in self.settings.items()]
        command = [
            sys.executable,
            "-m",
            "benchmarks.server_process",
            self.mode,
            str(self.folder),
            str(self.port),
            *flags,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def usage(self) -> Usage:
        """What it has used so far (Linux)."""
        root = Path("/proc") / str(self.process.pid)
        fields = (root / "stat").read_text().rpartition(")")[2].split()
        pages = int((root / "statm").read_text().split()[1])
        cpu = (int(fields[11]) + int(fields[12])) / TICKS
        files = list(_targets(root / "fd"))
        sockets = sum(name.startswith("socket:") for name in files)
        return Usage(cpu, pages * PAGE / 2**20, int(fields[17]), len(files), sockets)

    def metric(self, name: str) -> float | None:
        """A figure of its own, of those at /metrics; None where it has none that is finite."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as found:
            lines = found.read().decode().splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")]
        return round(values[0], 1) if values and math.isfinite(values[0]) else None

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._close()
        return status, time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(60)
        self._close()

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _targets(folder: Path) -> Iterator[str]:
    """What open files are; those that close meanwhile are left out."""
    for one in folder.iterdir():
        with suppress(OSError):
            yield os.readlink(one)


def main(mode: str, folder: str, port: str, *flags: str) -> None:
    """The process itself: `python -m benchmarks.server_process MODE FOLDER PORT [SETTING=VALUE …]`."""
    base = {"port": port, "data_dir": folder, "disk_reserve_mb": "0"}
    chosen: dict[str, Any] = base | dict(flag.split("=", 1) for flag in flags)
    serve(mode, load(flags=chosen))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
