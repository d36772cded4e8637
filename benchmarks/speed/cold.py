"""From starting Python to the first event of a stream."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.machine import ROOT
from benchmarks.speed.timing import Spread
from speakrs_stream.errors import SpeakrsError

PROGRAM = """
import sys
from speakrs_stream.engine import Engine
from benchmarks.speed.material import sound
heard = sound(float(sys.argv[2]))
engine = Engine(sys.argv[1], mode="cpu")
stream = engine.stream()
for start in range(0, len(heard), 16000):
    if any(stream.push(heard[start : start + 16000])):
        print("event", flush=True)
        break
"""


def cold_start(bundle: str = "embedded", runs: int = 5, seconds: float = 10.0) -> Spread:
    """Wall seconds from starting a process until a stream in it has its first event; the audio is there at once.

    Raises SpeakrsError where no event came of that much audio.
    """
    return Spread(tuple(_once(bundle, seconds) for _ in range(runs)))


def _once(bundle: str, seconds: float) -> float:
    begin = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, bundle, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - begin
    if line.strip() != "event":
        raise SpeakrsError("the stream had no event; is the recording silent?")
    return took
