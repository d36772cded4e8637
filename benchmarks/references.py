"""Reference turns and the audio they belong to.

References are read in exact seconds here, because scoring promises equality with other scorers to 1e-9;
`speakrs_stream.formats.rttm` gives whole samples, which is what everything but scoring wants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True, slots=True)
class Pair:
    """A recording and who speaks when in it."""

    uri: str
    """Name of the recording: the audio file's stem."""

    audio: Path
    """The sound."""

    reference: tuple[Labelled, ...]
    """Its turns in seconds, sorted."""


def read_rttm(path: Path) -> dict[str, list[Labelled]]:
    """Turns of every recording an RTTM file speaks of, in seconds, sorted.

    Comment lines (`;;`) and lines other than SPEAKER are passed over. Raises FormatError naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read as RTTM: {error}") from error
    recordings: dict[str, list[Labelled]] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            uri, start, duration, speaker = fields[1], float(fields[3]), float(fields[4]), fields[7]
        except (IndexError, ValueError) as error:
            raise FormatError(
                f"{path}, line {number}: expected 'SPEAKER uri 1 start duration <NA> <NA> label'"
            ) from error
        recordings.setdefault(uri, []).append(Labelled(start, start + duration, speaker))
    return {uri: sorted(turns) for uri, turns in recordings.items()}


def rttm_text(uri: str, turns: Iterable[Labelled]) -> str:
    """RTTM lines with times in milliseconds' precision."""
    return "".join(
        f"SPEAKER {uri} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in sorted(turns)
    )


def find_pairs(folder: Path) -> list[Pair]:
    """Every audio file below `folder` that has `<stem>.rttm` beside it, sorted by path.

    Where the RTTM speaks of one recording its name does not matter, else the entry named like the file is taken.
    Raises FormatError when the folder is missing, holds no pair, or an RTTM has no entry for its audio.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder} is not a folder; give one that holds audio files with an .rttm beside each")
    pairs = []
    for audio in sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        rttm = audio.with_suffix(".rttm")
        if not rttm.is_file():
            continue
        recordings = read_rttm(rttm)
        if audio.stem not in recordings and len(recordings) > 1:
            raise FormatError(f"{rttm} speaks of {', '.join(sorted(recordings))} but not of {audio.stem}")
        turns = recordings.get(audio.stem) or next(iter(recordings.values()), [])
        pairs.append(Pair(audio.stem, audio, tuple(turns)))
    if not pairs:
        raise FormatError(f"no audio file below {folder} has an .rttm of the same name beside it")
    return pairs
