"""NIST RTTM, the exchange format of speaker diarization: one `SPEAKER` line per turn.

`SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>`, seconds with three decimals
(NIST Rich Transcription evaluation plan, 2009).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from speakrs_stream.core.grid import Span, samples
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.text import milliseconds, one_word, read_text, unique

LONGEST = 10**8
"""Seconds (three years) past which a time in a file is taken for damage."""


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """The turns by start then speaker; blanks in names become `_`, as RTTM separates fields by blanks."""
    uri = one_word(diarization.uri)
    names = unique(diarization.labels, one_word)
    channels = {speaker.label: speaker.channel for speaker in diarization.speakers}
    rows = []
    for turn in diarization.view(exclusive):
        start, end = milliseconds(turn.span.start), milliseconds(turn.span.end)
        if end > start:
            rows.append((start, names[turn.speaker], end - start, channels[turn.speaker]))
    return "".join(
        f"SPEAKER {uri} {channel} {_decimal(start)} {_decimal(length)} <NA> <NA> {name} <NA> <NA>\n"
        for start, name, length, channel in sorted(rows)
    )


def read_rttm(source: str | os.PathLike[str]) -> dict[str, list[Turn]]:
    """Recording -> its turns by start, end and speaker.

    source: a path, or the text itself (a string that has a line break, or is empty, or starts with `SPEAKER `)
    Lines of other types, comments (`;;`) and turns of no length are skipped; missing columns at the end are fine.
    Raises FormatError with the number of the line that is wrong.
    """
    text, name = _text(source)
    recordings: dict[str, list[Turn]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            if fields and not fields[0].startswith((";", "#")) and fields[0] not in OTHER_TYPES:
                raise FormatError(
                    f"{name}, line {number}: not RTTM; a line starts with SPEAKER, not {fields[0][:20]!r}"
                )
            continue
        if len(fields) < 8:
            raise FormatError(
                f"{name}, line {number}: a SPEAKER line has at least 8 fields, this one has {len(fields)}"
            )
        start = _seconds(fields[3], "start", name, number)
        end = start + _seconds(fields[4], "duration", name, number)
        turns = recordings.setdefault(fields[1], [])
        if samples(end) > samples(start):
            turns.append(Turn(Span(samples(start), samples(end)), fields[7]))
    return {uri: sorted(turns) for uri, turns in recordings.items()}


OTHER_TYPES = frozenset(
    "SEGMENT NOSCORE NO_RT_METADATA LEXEME NON-LEX NON-SPEECH FILLER EDIT IP SU CB A/P SPKR-INFO".split()
)
"""First fields of RTTM lines that tell nothing about who spoke when."""


def _text(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Text of the source and what to call it."""
    if isinstance(source, str) and (not source.strip() or "\n" in source or source.startswith("SPEAKER ")):
        return source.removeprefix("\ufeff"), "RTTM"
    return read_text(source), Path(source).name


def _seconds(field: str, meaning: str, name: str, number: int) -> float:
    """A time of the file, in seconds."""
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not 0 <= value < LONGEST:
        raise FormatError(f"{name}, line {number}: {meaning} is {field[:20]!r}; it must be seconds, 0 or more")
    return value


def _decimal(ms: int) -> str:
    """Milliseconds as seconds with three decimals."""
    return f"{ms // 1000}.{ms % 1000:03}"
