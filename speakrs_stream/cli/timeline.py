"""Turns as rows of characters: who spoke when, as wide as the terminal. Pure: no colour, no console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, spans_by_speaker
from speakrs_stream.formats.text import one_line

SHADES = " ░▒▓█"
ASCII_SHADES = " .-=#"

NICE_STEPS = (
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    14_400,
    21_600,
    43_200,
    86_400,
)
"""Seconds between ticks that read well."""

LONGEST_LABEL = 20
"""Columns a speaker's name may take; longer names are cut."""

NARROWEST = 10
"""Columns of timeline below which a row says nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One speaker's row."""

    speaker: str
    """Label the turns carry."""

    label: str
    """The same, cut or padded to the width all labels have."""

    cells: str
    """One character a column, darker the more of the column's time the speaker talks."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows in the order the speakers are first heard, and the time axis below them."""

    rows: tuple[Row, ...]
    ticks: str
    """Axis line, indented to stand under the cells."""
    times: str
    """Times under their ticks."""

    def lines(self) -> list[str]:
        """Everything as plain lines, no longer than the width asked for."""
        return [f"{row.label} {row.cells}".rstrip() for row in self.rows] + [self.ticks, self.times]


def clock(seconds: float) -> str:
    """Seconds as 1:02 or 1:02:03, rounded down."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def coverage(spans: Iterable[Span], total: int, columns: int) -> list[float]:
    """Share, 0 to 1, of each of `columns` equal stretches of `total` samples that disjoint `spans` cover."""
    covered = [0] * columns  # in samples times columns, so that column edges are integers
    for span in spans:
        left, right = span.start * columns, min(total, span.end) * columns
        column = left // total
        while left < right:
            edge = min(right, (column + 1) * total)
            covered[column] += edge - left
            left, column = edge, column + 1
    return [share / total for share in covered]


def timeline(
    diarization: Diarization, *, width: int, exclusive: bool = False, ascii_only: bool = False, labels: int = 0
) -> Timeline:
    """Draw who spoke when.

    width: columns of the whole drawing; what is too narrow to show anything is drawn a little wider
    exclusive: one speaker at a time
    ascii_only: use only characters every terminal has
    labels: columns the names take at least, so that two drawings stand under each other
    """
    spans = spans_by_speaker(diarization.view(exclusive))
    speakers = sorted(spans, key=lambda speaker: (spans[speaker][0].start, speaker))
    names = {speaker: one_line(diarization.shown(speaker)) for speaker in speakers}
    label_width = min(LONGEST_LABEL, max([labels, *(cell_len(name) for name in names.values())]))
    columns = max(NARROWEST, width - label_width - 1)
    total = max(diarization.samples, 1)
    shades = ASCII_SHADES if ascii_only else SHADES
    rows = []
    for speaker in speakers:
        cells = "".join(shade(share, shades) for share in coverage(spans[speaker], total, columns))
        rows.append(Row(speaker, fitted(names[speaker], label_width, ascii_only), cells))
    ticks, times = axis(total, columns, ascii_only)
    indent = " " * (label_width + 1)
    return Timeline(tuple(rows), indent + ticks, (indent + times).rstrip())


def shade(share: float, shades: str) -> str:
    """The character for a share of 0 to 1: blank only for nothing at all, full from three quarters on."""
    if share <= 0:
        return shades[0]
    return shades[min(len(shades) - 1, 1 + int(share * (len(shades) - 1)))]


def fitted(name: str, width: int, ascii_only: bool) -> str:
    """A name cut, with a mark, or padded to exactly `width` columns."""
    if cell_len(name) <= width:
        return set_cell_size(name, width)
    return set_cell_size(name, width - 1) + ("~" if ascii_only else "…")


def axis(total: int, columns: int, ascii_only: bool) -> tuple[str, str]:
    """The line of ticks and the line of times below it, both at most `columns` long."""
    line, tick = ("-", "|") if ascii_only else ("─", "┬")
    widest = len(clock(total / SAMPLE_RATE)) + 5
    step = next(
        (s for s in NICE_STEPS if s * SAMPLE_RATE * columns >= widest * total),
        -(-widest * total // (SAMPLE_RATE * columns)),
    )
    ticks, times = [line] * columns, ""
    for seconds in range(0, total // SAMPLE_RATE + 1, step):
        column = seconds * SAMPLE_RATE * columns // total
        text = clock(seconds)
        if column < columns:
            ticks[column] = tick
        if column + len(text) <= columns:
            times = times.ljust(column) + text
    return "".join(ticks), times
