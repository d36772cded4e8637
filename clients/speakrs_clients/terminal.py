"""What a stream says as lines for people: final turns that scroll, provisional ones below them, the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speakrs_clients.style import Glyphs, Line, Look, Piece, cut, fitted
from speakrs_stream.core.events import Event, SpeakerMerged, SpeakerNamed, TurnFinal
from speakrs_stream.core.grid import Span, seconds
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import one_line
from speakrs_stream.stream import Comparison

NAME = 12
"""Columns of a speaker's name in a list; longer ones push the rest aside."""


def clock(samples: int) -> str:
    """Samples at 16 kHz as 00:01:02.3, rounded to the nearest tenth."""
    tenths = (samples + 800) // 1600
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{tenths // 10:02}.{tenths % 10}"


def short_clock(samples: int) -> str:
    """Samples at 16 kHz as 1:02 or 1:02:03, rounded down."""
    whole = samples // 16_000
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def final_lines(events: Sequence[Event], state: StreamState, glyphs: Glyphs) -> list[Line]:
    """What will not change any more, one line each: turns in the order they began, names, and numbers that are one.

    state: after these events
    """
    turns = sorted((e for e in events if isinstance(e, TurnFinal)), key=lambda event: (event.span, event.speaker))
    lines = [turn_line(event.span, event.speaker, state, glyphs) for event in turns]
    for event in events:
        match event:
            case SpeakerNamed():
                note = f"S{state.who(event.speaker)} is {one_line(event.name)}"
            case SpeakerMerged():
                note = f"S{event.speaker} was {one_line(state.label(event.into))} all along"
            case _:
                continue
        lines.append((Piece(" " * 23), Piece(note, "dim")))
    return lines


def turn_line(span: Span, speaker: int, state: StreamState, glyphs: Glyphs, *, going_on: bool = False) -> Line:
    """`00:00:07.3–00:00:09.1  S2            1.8 s`, or dimmed and with `…` for a turn that may still change."""
    times = f"{clock(span.start)}{glyphs.dash}{clock(span.end)}"
    name = one_line(state.label(speaker))
    length = f"{span.seconds:6.1f} s"
    if going_on:
        return (Piece(f"{times}  ", "dim"), Piece(name, "dim", state.who(speaker)), Piece(f" {glyphs.ellipsis}", "dim"))
    padded = fitted(name, NAME) if len(name) <= NAME else name
    return (Piece(f"{times}  "), Piece(padded, "bold", state.who(speaker)), Piece(length, "dim"))


def pending_lines(state: StreamState, limit: int, glyphs: Glyphs) -> list[Line]:
    """Turns that may still change, the last `limit` of them in the order they began."""
    open_turns = sorted((t for t in state.turns.values() if not t.final), key=lambda turn: (turn.span, turn.speaker))
    shown = open_turns[-limit:] if limit > 0 else []
    return [turn_line(turn.span, turn.speaker, state, glyphs, going_on=True) for turn in shown]


class Scroll:
    """Lines that scroll away above a few that are replaced in place; gives what to write to a terminal."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._below = 0

    def update(self, above: Sequence[Line], below: Sequence[Line], width: int) -> str:
        """Escape sequences and text: `above` joins what scrolls, `below` replaces what stood below.

        width: columns of the terminal; what is replaced later is cut to it, so that it takes one row each
        """
        out = [self.clear()]
        out += [f"{self._look.render(line)}\n" for line in above]
        fitting = [cut(line, max(1, width - 1), self._look.glyphs.ellipsis) for line in below]
        out += [f"{self._look.render(line)}\n" for line in fitting]
        self._below = len(fitting)
        return "".join(out)

    def clear(self) -> str:
        """Take away what stands below."""
        rows, self._below = self._below, 0
        return f"\x1b[{rows}A\r\x1b[J" if rows else ""


@dataclass(frozen=True, slots=True)
class Airtime:
    """How much somebody spoke."""

    samples: int = 0
    """Speech; own turns that overlap count once."""

    turns: int = 0
    """How often."""


def airtime(state: StreamState) -> dict[int, Airtime]:
    """Number -> airtime of everybody who has spoken, merges followed, by number."""
    spans: dict[int, list[Span]] = {}
    for turn in sorted(state.turns.values(), key=lambda turn: turn.span):
        own = spans.setdefault(state.who(turn.speaker), [])
        if own and turn.span.start <= own[-1].end:
            own[-1] = Span(own[-1].start, max(own[-1].end, turn.span.end))
        else:
            own.append(turn.span)
    return {number: Airtime(sum(s.samples for s in own), len(own)) for number, own in sorted(spans.items())}


def ending(result: Diarization, comparison: Comparison | None, glyphs: Glyphs) -> list[Line]:
    """The final result for people: who spoke how long, who that was live, and in how many places the two differ."""
    spoken = result.airtime()
    total = sum(time for time, _ in spoken.values())
    live: dict[str, list[str]] = {}
    for ours, theirs in (comparison.mapping if comparison is not None else {}).items():
        live.setdefault(theirs, []).append(ours)
    wide = max([NAME, *(len(one_line(result.shown(label))) for label in spoken)])
    lines: list[Line] = []
    if spoken:
        head = f"{'speaker':<{wide}}  {'live':<12} {'airtime':>9} {'share':>6} {'turns':>6}"
        lines.append((Piece(head, "dim"),))
    for label, (time, turns) in spoken.items():
        numbers = " ".join(live.get(label, [])) or glyphs.dash
        length = f"{short_clock(round(time * 16_000))}.{int(time * 10) % 10}"
        share = f"{time / total:.0%}" if total else "0%"
        first = min((int(number[1:]) for number in live.get(label, [])), default=0)
        name = Piece(fitted(result.shown(label), wide, glyphs.ellipsis), "bold", first)
        lines.append((name, Piece(f"  {numbers:<12} {length:>9} {share:>6} {turns:>6}")))
    if not spoken:
        lines.append((Piece("Nobody spoke."),))
    if comparison is not None and (spoken or comparison.differences):
        lines.append((Piece(difference(comparison)),))
    lines += [(Piece(f"Note: {one_line(warning)}", "warn"),) for warning in result.warnings]
    return lines


def difference(comparison: Comparison) -> str:
    """In how many places, and for how long, the final result says something else than was shown live."""
    found = comparison.differences
    if not found:
        return "The final result is what was shown live."
    length = seconds(sum(difference.span.samples for difference in found))
    places = "1 place" if len(found) == 1 else f"{len(found)} places"
    return f"The final result differs from what was shown live in {places}, {length:.1f} s in all."
