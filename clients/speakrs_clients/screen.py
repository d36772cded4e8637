"""The microphone monitor's screen: what is known in, lines out. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len

from speakrs_clients.dialogue import NOTHING, Dialogue
from speakrs_clients.meters import Link, Pace
from speakrs_clients.rows import fitting, shares, speaking, timeline
from speakrs_clients.style import Glyphs, Line, Piece, apart, cut, fitted, joined
from speakrs_clients.terminal import Airtime
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.formats.text import one_line

NARROWEST = 60
"""Columns below which the screen is cut off rather than made smaller."""

LONGEST_NAME = 16
"""Columns a speaker's name may take."""

CLIP_SHOWN = 3.0
"""Seconds a clip warning stays."""

QUIETEST, LOUD, HOT = -60.0, -12.0, -3.0
"""Level meter, in dB of full scale: left end, from where it is yellow, from where it is red."""

LATE = 5.0
"""Seconds of sound on their way to a server from which they are marked."""

HEARING = ("starting", "listening", "away")
"""Phases in which sound is taken."""

Phase = Literal["starting", "listening", "paused", "lost", "away", "finishing"]


@dataclass(frozen=True, slots=True)
class LevelView:
    """How loud it is, in dB of full scale."""

    rms: float = QUIETEST
    """Power of the last moment."""

    peak: float = QUIETEST
    """Largest sample of the last moments."""

    clipped_at: float | None = None
    """When a sample last touched full scale; None for never."""


@dataclass(frozen=True, slots=True)
class View:
    """Everything the screen shows."""

    device: str
    """What is listened to."""

    sample_rate: int
    """Hertz of the device."""

    model: str
    """Bundle and runtime."""

    phase: Phase = "starting"
    """What is going on."""

    captured: int = 0
    """Samples at 16 kHz that the device has given, those lost included."""

    dropped: int = 0
    """Samples at 16 kHz that were lost, by the device or because the engine did not keep up."""

    state: StreamState = field(default_factory=StreamState)
    """What the stream shows."""

    airtime: Mapping[int, Airtime] = field(default_factory=dict)
    """Who spoke how long; belongs to `state`."""

    pace: Pace = field(default_factory=Pace)
    """How far behind everything is."""

    link: Link | None = None
    """How the connection is, where the stream is on a server."""

    level: LevelView = field(default_factory=LevelView)
    """How loud it is."""

    dialogue: Dialogue = NOTHING
    """Question that is being answered."""

    message: str = ""
    """Something to say; empty for nothing."""


def screen(view: View, now: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """At most `height` lines, none wider than `width`.

    now: seconds on the clock that `LevelView.clipped_at` is on
    What does not fit is left out: first airtime, then speakers who were silent longest, then the header's details.
    """
    wide = max(width, NARROWEST)
    head = header(view, now, wide, glyphs)
    foot = footer(view, wide, glyphs)
    speakers = [number for number in view.airtime if view.state.who(number) == number]
    room = height - len(head) - len(foot) - 3  # a rule, the axis below the rows, an empty line above the footer
    if room < min(len(speakers), 2):
        head, room = head[:1], room + len(head) - 1
    crowded = len(speakers) > room
    rows = fitting(view.state, speakers, max(1, room - crowded))
    hidden = len(speakers) - len(rows)
    label = min(LONGEST_NAME, max([2, *(cell_len(one_line(view.state.label(number))) for number in rows)]))
    now_speaking = speaking(view.state) if view.phase in HEARING else set()
    body = timeline(view.state, view.captured, rows, now_speaking, label, wide, glyphs)
    if rows and room - len(rows) > len(rows):
        body += [(), *shares(view.state, view.airtime, rows, label, wide, glyphs)]
    if hidden and room > 1:
        body.append((Piece(f"   and {hidden} more who were not heard lately", "dim"),))
    lines: list[Line] = [*head, (Piece(glyphs.rule * wide, "dim"),), *body]
    lines += [()] * (height - len(lines) - len(foot))
    lines = [*lines[: max(0, height - len(foot))], *foot][-height:] if height > len(foot) else lines[:height]
    return [cut(line, width, glyphs.ellipsis) for line in lines]


# -- head and foot ---------------------------------------------------------------------------------------------------


def header(view: View, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """What is listened to, for how long, how far behind, how loud."""
    lamps: dict[Phase, Piece] = {
        "starting": Piece(f"{glyphs.lamp} waiting for the first sound", "dim"),
        "listening": Piece(f"{glyphs.lamp} listening", "good"),
        "paused": Piece(f"{glyphs.pause} paused", "warn"),
        "lost": Piece(f"{glyphs.lamp} microphone lost", "bad"),
        "away": Piece(f"{glyphs.lamp} listening, no connection", "warn"),
        "finishing": Piece(f"{glyphs.lamp} finishing{glyphs.ellipsis}", "warn"),
    }
    title: Line = (Piece(" speakrs-stream", "bold"), Piece("  "), lamps[view.phase])
    elapsed: Line = (Piece(f"{long_clock(view.captured)} ", "bold"),)
    details = joined(
        [
            (Piece(f" {one_line(view.device)}"),),
            (Piece(f"{view.sample_rate / 1000:g} kHz"),),
            (Piece(one_line(view.model)),),
        ],
        Piece(glyphs.dot, "dim"),
    )
    return [
        apart(title, elapsed, width),
        cut(details, width, glyphs.ellipsis),
        figures(view, glyphs),
        *meter(view, now, width, glyphs),
    ]


def figures(view: View, glyphs: Glyphs) -> Line:
    """`prov 0.9 s · final 12.3 s · RTF 0.11 · dropped 0`."""

    def after(name: str, value: float | None, unit: str, digits: int) -> Line:
        text = glyphs.dash if value is None else f"{value:.{digits}f}{unit}"
        return (Piece(f"{name} ", "dim"), Piece(text))

    slow = view.pace.rtf is not None and view.pace.rtf >= 1
    rtf = after("RTF", view.pace.rtf, "", 2)
    lost = f"{view.dropped / SAMPLE_RATE:.1f} s" if view.dropped else "0"
    work = (rtf[0], Piece(f"{rtf[1].text} too slow for real time", "bad")) if slow else rtf
    parts = [
        after(" prov", view.pace.provisional, " s", 1),
        after("final", view.pace.final, " s", 1),
        *([work] if view.link is None else link_figures(view.link)),
        (Piece("dropped ", "dim"), Piece(lost, "bad" if view.dropped else "")),
    ]
    return joined(parts, Piece(glyphs.dot, "dim"))


def link_figures(link: Link) -> list[Line]:
    """`on the way 0.3 s`, and `reconnected 2` where that happened."""
    way: Line = (Piece("on the way ", "dim"), Piece(f"{link.waiting:.1f} s", "warn" if link.waiting > LATE else ""))
    again: Line = (Piece("reconnected ", "dim"), Piece(f"{link.resumes}"))
    return [way, again] if link.resumes else [way]


def meter(view: View, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """The level: power as a bar, the peak as a mark, and a warning where it clips or nothing is heard."""
    hearing = view.phase in ("listening", "away")
    level = view.level if hearing else LevelView()
    clips = level.clipped_at is not None and now - level.clipped_at < CLIP_SHOWN
    silent = level.peak <= QUIETEST
    note = Piece("")
    if clips:
        note = Piece("CLIPPING: turn it down", "bad")
    elif silent and hearing:
        note = Piece("nothing: is it muted?", "warn")
    decibels = f"{glyphs.dash} dB" if silent else f"{level.peak:+.0f} dB".replace("-", glyphs.minus)
    bar = min(40, width - 42)
    cells = [*(glyphs.bar * place(level.rms, bar)).ljust(bar, glyphs.rest)]
    if not silent:
        cells[min(bar - 1, place(level.peak, bar))] = glyphs.peak
    yellow, red = place(LOUD, bar), place(HOT, bar)
    parts = [
        Piece("".join(cells[:yellow]), "good" if hearing else "dim"),
        Piece("".join(cells[yellow:red]), "warn" if hearing else "dim"),
        Piece("".join(cells[red:]), "bad" if hearing else "dim"),
    ]
    return [(Piece(" level ", "dim"), *parts, Piece(f" {decibels:>7}  "), note)]


def place(decibels: float, width: int) -> int:
    """Cells of a bar of `width` that a level fills."""
    share = (decibels - QUIETEST) / -QUIETEST
    return max(0, min(width, round(share * width)))


def footer(view: View, width: int, glyphs: Glyphs) -> list[Line]:
    """What can be pressed, or the question that is being answered; above it something to say."""
    message: Line = (Piece(f" {one_line(view.message)}", "warn"),) if view.message else ()
    if view.dialogue.topic:
        return [message, question(view, glyphs)]
    if view.phase == "finishing":
        return [message, (Piece(" the whole recording is being looked at again; Ctrl-C gives up", "dim"),)]
    pause = "go on" if view.phase == "paused" else "pause"
    keys = [("space", pause), ("n", "name"), ("m", "merge"), ("s", "save"), ("q", "quit")]
    parts: list[Line] = [(Piece(f" {key}", "key"), Piece(f" {does}", "dim")) for key, does in keys]
    return [message, joined(parts, Piece("  "))]


def question(view: View, glyphs: Glyphs) -> Line:
    """The dialogue's question, the speakers to choose from, and what is typed."""
    asked = view.dialogue
    pieces = [Piece(f" {asked.question} ", "bold")]
    if not asked.asks_for_name:
        numbers = [n for n in view.airtime if view.state.who(n) == n and n not in asked.picked]
        for number in numbers:
            name = one_line(view.state.label(number))
            told = (
                f"{number}" if name == f"S{number}" else f"{number} {fitted(name, min(LONGEST_NAME, cell_len(name)))}"
            )
            pieces.append(Piece(f" {told} ", "bold", number))
    return (
        *pieces,
        Piece(f" {asked.text}"),
        Piece(glyphs.cursor, "key"),
        Piece("  Esc", "dim"),
    )


def long_clock(samples: int) -> str:
    """Samples as 0:01:02."""
    minutes, secs = divmod(samples // SAMPLE_RATE, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{secs:02}"
