"""The rows of the monitor: who spoke in the last minute, and how much in all. Pure.

Columns of the timeline stand at fixed places in the audio and move left one at a time, so that nothing shimmers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from speakrs_clients.style import Glyphs, Line, Piece, fitted
from speakrs_clients.terminal import Airtime, short_clock
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import StreamState

SHOWN = 60 * SAMPLE_RATE
"""Samples of timeline."""

JUST_NOW = SAMPLE_RATE // 2
"""Samples before the newest turn's end within which somebody counts as speaking."""


def fitting(state: StreamState, speakers: Sequence[int], room: int) -> list[int]:
    """The speakers that get a row, by number: everybody, or the `room` who were heard last."""
    if len(speakers) <= room:
        return list(speakers)
    heard = dict.fromkeys(speakers, -1)
    for turn in state.turns.values():
        number = state.who(turn.speaker)
        if number in heard:
            heard[number] = max(heard[number], turn.span.end)
    return sorted(sorted(heard, key=lambda number: (-heard[number], number))[:room])


def speaking(state: StreamState) -> set[int]:
    """Who speaks at this moment, as far as the stream knows."""
    after = state.processed - JUST_NOW
    return {state.who(turn.speaker) for turn in state.turns.values() if turn.span.end > after and not turn.final}


def timeline(
    state: StreamState,
    captured: int,
    rows: Sequence[int],
    now: Collection[int],
    label: int,
    width: int,
    glyphs: Glyphs,
) -> list[Line]:
    """The last minute, one row a speaker, and the axis below.

    captured: samples that the microphone has given; rows: numbers; now: those who speak at this moment
    label: columns of a name
    """
    cells = width - label - 5
    column = -(-SHOWN // cells)
    end = -(-max(captured, state.processed) // column) * column  # a column's edge: rows move a column at a time
    start = end - cells * column
    window = Span(max(start, 0), max(end, 0))
    own: dict[int, list[tuple[Span, bool]]] = {number: [] for number in rows}
    everybody: list[tuple[int, Span]] = []
    for turn in state.turns.values():
        if turn.span.end > window.start and turn.span.start < window.end:
            number = state.who(turn.speaker)
            everybody.append((number, turn.span))
            if number in own:
                own[number].append((turn.span, turn.final))
    lines: list[Line] = []
    for number in rows:
        drawn = row(own[number], [span for who, span in everybody if who != number], start, column, cells, glyphs)
        mark = Piece(f" {glyphs.speaking} " if number in now else "   ", "bold", number)
        name = Piece(fitted(state.label(number), label, glyphs.ellipsis), "bold" if number in now else "", number)
        lines.append((mark, name, Piece(" "), Piece(drawn, "", number)))
    if not rows:
        lines.append((Piece("   nobody has spoken yet", "dim"),))
    return [*lines, axis(label, cells, glyphs)]


def row(
    own: Sequence[tuple[Span, bool]], others: Sequence[Span], start: int, column: int, cells: int, glyphs: Glyphs
) -> str:
    """One speaker's cells: blank, final, provisional, or overlapped by somebody else's speech.

    own: turns, and whether they are final; start: sample of the first cell's edge; column: samples in a cell
    A cell is marked when half of it is speech; a turn shorter than that marks the cell it has most of.
    """
    speech, settled, both = [0] * cells, [0] * cells, [0] * cells
    marked = [False] * cells
    for span, final in own:
        pieces = list(parts(span, start, column, cells))
        for cell, length in pieces:
            speech[cell] += length
            settled[cell] += length if final else 0
        if pieces and all(2 * length < column for _, length in pieces):
            marked[max(pieces, key=lambda piece: piece[1])[0]] = True
        for other in others:
            low, high = max(span.start, other.start), min(span.end, other.end)
            if low < high:
                for cell, length in parts(Span(low, high), start, column, cells):
                    both[cell] += length
    out = []
    for cell in range(cells):
        if 2 * speech[cell] < column and not marked[cell]:
            out.append(" ")
        elif 2 * both[cell] >= speech[cell]:
            out.append(glyphs.overlap)
        else:
            out.append(glyphs.final if 2 * settled[cell] >= speech[cell] else glyphs.provisional)
    return "".join(out)


def parts(span: Span, start: int, column: int, cells: int) -> list[tuple[int, int]]:
    """Cells that a span touches and the samples it has in each."""
    found = []
    for cell in range(max(0, (span.start - start) // column), min(cells, -(-(span.end - start) // column))):
        edge = start + cell * column
        length = min(span.end, edge + column) - max(span.start, edge)
        if length > 0:
            found.append((cell, length))
    return found


def axis(label: int, cells: int, glyphs: Glyphs) -> Line:
    """Seconds before now, below the rows."""
    text = [" "] * cells
    for back in (60, 45, 30, 15):
        told = f"{glyphs.minus}{back} s"
        at = round((60 - back) / 60 * cells)
        text[at : at + len(told)] = told
    text[cells - 3 :] = "now"
    return (Piece(" " * (label + 4)), Piece("".join(text), "dim"))


def shares(
    state: StreamState, airtime: Mapping[int, Airtime], rows: Sequence[int], label: int, width: int, glyphs: Glyphs
) -> list[Line]:
    """Airtime of each row's speaker: a bar, per cent of all speech, time and turns."""
    total = sum(entry.samples for entry in airtime.values())
    most = max((entry.samples for entry in airtime.values()), default=0)
    room = width - label - 5 - 30
    lines: list[Line] = []
    for number in rows:
        entry = airtime[number]
        drawn = bar(entry.samples / most if most else 0.0, room, glyphs)
        share = f"{entry.samples / total:4.0%}" if total else "  0%"
        turns = f"{entry.turns} turn{'' if entry.turns == 1 else 's'}"
        told = Piece(f"  {share}  {short_clock(entry.samples):>7}  {turns:>10}")
        name = Piece(fitted(state.label(number), label, glyphs.ellipsis), "", number)
        lines.append((Piece("   "), name, Piece(" "), Piece(drawn, "", number), told))
    return lines


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """A bar of `width` columns, filled to `share` of it, to an eighth of a column where the terminal can."""
    finest = len(glyphs.bar_ends) + 1
    filled = round(share * width * finest)
    whole, rest = divmod(filled, finest)
    return (glyphs.bar * whole + (glyphs.bar_ends[rest - 1] if rest else "")).ljust(width)
