"""Small made-up recordings whose networks are functions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import soundfile

from speakrs_stream.inference.fake import script, speak
from speakrs_stream.tuning.outputs import infer
from speakrs_stream.tuning.recordings import Annotated, find
from speakrs_stream.tuning.trying import Case
from tests.server.rig import engine

TALKS = {
    "one": "A 0.5-4, B 4.5-8, A 8.5-12",
    "two": "C 0.5-5, D 5.5-9, C 9.5-12",
    "three": "B 0.5-3, E 3.5-8, B 8.5-12",
}


def write(folder: Path) -> None:
    """Sound and RTTM of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, talk in TALKS.items():
        soundfile.write(folder / f"{name}.wav", speak(script(talk)), 16_000)
        lines = []
        for part in talk.split(", "):
            who, times = part.split()
            start, end = map(float, times.split("-"))
            lines.append(f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {who} <NA> <NA>\n")
        (folder / f"{name}.rttm").write_text("".join(lines), encoding="utf-8")


@cache
def _cases(folder: Path) -> tuple[Case, ...]:
    write(folder)
    found: list[Annotated] = find(folder)
    return tuple(Case(one, infer(engine(), one.audio), engine().config, engine().model.plda) for one in found)


def cases(folder: Path) -> list[Case]:
    """The recordings, heard once in a test run."""
    if not _cases.cache_info().currsize:
        _folder.append(folder)
    return list(_cases(_folder[0]))


_folder: list[Path] = []
