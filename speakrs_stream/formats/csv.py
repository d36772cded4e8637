"""A table for spreadsheets (RFC 4180): recording, start, end, duration, speaker; seconds."""

from __future__ import annotations

import csv
import io

from speakrs_stream.diarization import Diarization

COLUMNS = ("recording", "start", "end", "duration", "speaker")


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """A header and one row per turn by start, lines ending in CR LF, seconds with three decimals."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for turn in diarization.view(exclusive):
        times = (f"{time:.3f}" for time in (turn.start, turn.end, turn.duration))
        table.writerow((harmless(diarization.uri), *times, harmless(diarization.shown(turn.speaker))))
    return text.getvalue()


def harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe stands before `=`, `+`, `-`, `@` and controls."""
    cell = cell.replace("\x00", "")
    return f"'{cell}" if cell[:1] in set("=+-@\t\r\n") else cell
