"""An engine that answers by script, and a way to run the command line on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speakrs_stream.audio.files import open_audio
from speakrs_stream.cli.main import run
from speakrs_stream.cli.shell import EngineChoice, Shell
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.engine import Progress
from speakrs_stream.errors import Cancelled


def turn(start: float, end: float, speaker: str) -> Turn:
    """A turn from seconds."""
    return Turn(Span(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)), speaker)


class StandInEngine:
    """Opens and reads the file for real, then says that two people took turns in it.

    Files whose name has `bug` in it hit a bug.
    """

    backend_name = "stand-in"

    def __init__(self, choice: EngineChoice) -> None:
        self.choice = choice
        self.asked: list[dict[str, Any]] = []

    def diarize(
        self,
        audio: Any,
        *,
        sample_rate: int | None = None,
        uri: str | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Diarization:
        self.asked.append(
            {"uri": uri, "num": num_speakers, "min": min_speakers, "max": max_speakers, "audio": Path(audio).name}
        )
        done = 0
        with open_audio(audio) as source:
            for block in source.blocks(1.0):
                done += len(block)
                if hook is not None:
                    hook(Progress("inference", done, source.samples))
                if cancel is not None and cancel():
                    raise Cancelled("stopped as asked")
        if "bug" in Path(audio).name:
            raise ZeroDivisionError("division by zero")
        half = done // 2
        return Diarization.from_turns(
            [Turn(Span(0, half), "SPEAKER_00"), Turn(Span(half, done), "SPEAKER_01")],
            uri=uri if uri is not None else Path(audio).stem,
            samples=done,
            bundle="stand-in",
        )


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line did."""

    status: int
    out: str
    err: str
    engines: list[StandInEngine] = field(repr=False)


@pytest.fixture
def speakrs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run `speakrs-stream` with the arguments given, in an empty folder, on a stand-in engine."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str | Path) -> Outcome:
        engines: list[StandInEngine] = []

        def open_engine(choice: EngineChoice) -> StandInEngine:
            engines.append(StandInEngine(choice))
            return engines[-1]

        capsys.readouterr()
        status = run([str(argument) for argument in arguments], Shell(open_engine))
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err, engines)

    return go


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Path]:
    """Write some seconds of noise under a name, and return the path."""

    def write(name: str, seconds: float = 2.0, rate: int = SAMPLE_RATE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(7).normal(0, 0.1, round(seconds * rate))
        soundfile.write(path, noise, rate)
        return path

    return write
