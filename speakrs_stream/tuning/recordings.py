"""Recordings somebody has annotated: sound, who speaks when in it, and which part of it counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speakrs_stream.errors import FormatError
from speakrs_stream.formats.rttm import read_rttm
from speakrs_stream.formats.text import read_text
from speakrs_stream.scoring import Labelled, Score, score

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")

Region = tuple[float, float]
"""Seconds from, seconds to."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A recording and who speaks when in it."""

    name: str
    """The audio file's stem."""
    audio: Path
    """The sound."""
    reference: tuple[Labelled, ...]
    """Its turns in seconds, sorted."""
    regions: tuple[Region, ...] | None = None
    """Parts that count, in order; None for all of it."""

    def score(self, turns: Iterable[Labelled]) -> Score:
        """What is wrong with turns, no collar, overlap included, where it counts."""
        if self.regions is None:
            return score(self.reference, turns)
        return score(within(self.reference, self.regions), within(turns, self.regions))


def within(turns: Iterable[Labelled], regions: Iterable[Region]) -> list[Labelled]:
    """The parts of turns that lie in some regions, which do not overlap."""
    found = [
        Labelled(max(turn.start, start), min(turn.end, end), turn.speaker)
        for start, end in regions
        for turn in turns
        if turn.start < end and turn.end > start
    ]
    return sorted(found)


def find(folder: Path) -> list[Annotated]:
    """Every audio file below a folder that has `<stem>.rttm` beside it (and perhaps `<stem>.uem`), sorted by path.

    Raises FormatError where there is none, or a file cannot be read.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder} is not a folder; give one that holds recordings with an .rttm beside each")
    found = []
    for audio in sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        rttm, uem = audio.with_suffix(".rttm"), audio.with_suffix(".uem")
        if rttm.is_file():
            regions = read_uem(uem, audio.stem) if uem.is_file() else None
            found.append(Annotated(audio.stem, audio, _reference(rttm, audio.stem), regions))
    if not found:
        raise FormatError(f"no recording below {folder} has an .rttm of the same name beside it")
    names = [recording.name for recording in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FormatError(f"two recordings are called {twice[0]}; rename one of them")
    return found


def _reference(path: Path, name: str) -> tuple[Labelled, ...]:
    """Turns of one recording; where the file speaks of only one, its name there does not matter."""
    recordings = read_rttm(path)
    if name not in recordings and len(recordings) > 1:
        raise FormatError(f"{path} speaks of {', '.join(sorted(recordings))} but not of {name}")
    turns = recordings.get(name) or next(iter(recordings.values()), [])
    return tuple(sorted(Labelled(turn.start, turn.end, turn.speaker) for turn in turns))


def read_uem(path: Path, name: str) -> tuple[Region, ...]:
    """Regions of one recording in a NIST UEM file, united and in order; FormatError that names the line."""
    regions: dict[str, list[Region]] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            continue
        try:
            start, end = float(fields[2]), float(fields[3])
        except (IndexError, ValueError) as error:
            raise FormatError(f"{path}, line {number}: a UEM line is `recording channel start end`") from error
        if not 0 <= start < end:
            raise FormatError(f"{path}, line {number}: a region starts at 0 s or later and ends after it starts")
        regions.setdefault(fields[0], []).append((start, end))
    if name not in regions and len(regions) != 1:
        raise FormatError(f"{path} says nothing of {name}")
    united: list[Region] = []
    for start, end in sorted(regions.get(name) or next(iter(regions.values()))):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return tuple(united)
