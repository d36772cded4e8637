"""A report in one file that needs no network and no script: timeline, airtime, every turn; light and dark."""

from __future__ import annotations

from html import escape

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.diarization import Diarization, spans_by_speaker
from speakrs_stream.formats.palette import colours
from speakrs_stream.formats.style import FRAGMENT_STYLE, PAGE_STYLE
from speakrs_stream.formats.svg import Layout, moment, timeline
from speakrs_stream.formats.text import one_line

ROW_SECONDS = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
"""Lengths a row of the close-up may have."""

MOST_ROWS = 12
"""Rows the close-up aims not to exceed."""

SHORT_LIST = 12
"""Turns that a notebook shows."""


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """The whole page. `exclusive` draws and lists one speaker at a time."""
    title = one_line(diarization.uri)
    models = f" with the models {one_line(diarization.bundle)}" if diarization.bundle else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} – who spoke when</title>
<style>{PAGE_STYLE}{_filters(diarization)}</style>
</head>
<body>
<main>
<header>
<p class="kicker">Who spoke when</p>
<h1>{escape(title)}</h1>
{_facts(diarization)}
</header>
{_warnings(diarization)}
<section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>
<figure>{timeline(diarization, exclusive=exclusive)}</figure></section>
{_airtime(diarization)}
{_close_up(diarization, exclusive)}
{_turns(diarization, exclusive)}
<footer>Made by speakrs-stream{escape(models)}.
 Times are hours, minutes and seconds from the start of the recording.</footer>
</main>
</body>
</html>
"""


def fragment(diarization: Diarization) -> str:
    """Timeline, airtime and the first turns for a notebook cell; takes its colours from the page around it."""
    hue = colours(diarization.labels)
    shown = diarization.turns[:SHORT_LIST]
    rows = "".join(
        f"<tr><td>{moment(turn.span.start, tenths=True)}</td><td>{moment(turn.span.end, tenths=True)}</td>"
        f"<td>{turn.duration:.1f} s</td><td>{_chip(diarization, turn.speaker, hue)}</td></tr>"
        for turn in shown
    )
    more = len(diarization.turns) - len(shown)
    note = f"<p>and {more:,} more {_plural(more, 'turn')}</p>" if more else ""
    table = (
        "<table><thead><tr><th>Start</th><th>End</th><th>Length</th><th>Speaker</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{note}"
        if rows
        else "<p>Nobody speaks in this recording.</p>"
    )
    return (
        f'<div class="speakrs-diarization"><style>{FRAGMENT_STYLE}</style>'
        f"<strong>{escape(one_line(diarization.uri))}</strong> · {_summary(diarization)}"
        f"{timeline(diarization)}<details><summary>Turns</summary>{table}</details></div>"
    )


def _summary(diarization: Diarization) -> str:
    """Length, speakers and turns in one line."""
    speakers, turns = len(diarization.speakers), len(diarization.turns)
    return (
        f"{moment(diarization.samples, tenths=True)} · {speakers} {_plural(speakers, 'speaker')} · "
        f"{turns:,} {_plural(turns, 'turn')}"
    )


def _facts(diarization: Diarization) -> str:
    """The figures under the title."""
    total = max(1, diarization.samples)
    speech, overlap = speech_and_overlap(diarization)
    speakers, turns = len(diarization.speakers), len(diarization.turns)
    facts = (
        (moment(diarization.samples), "length"),
        (f"{speakers}", _plural(speakers, "speaker")),
        (f"{turns:,}", _plural(turns, "turn")),
        (f"{speech / total:.0%}", "speech"),
        (f"{overlap / max(1, speech):.1%}", "of it overlapping"),
    )
    items = "".join(f"<div><dd>{value}</dd><dt>{meaning}</dt></div>" for value, meaning in facts)
    return f'<dl class="facts">{items}</dl>'


def _warnings(diarization: Diarization) -> str:
    if not diarization.warnings:
        return ""
    items = "".join(f"<li>{escape(one_line(warning))}</li>" for warning in diarization.warnings)
    return f'<aside class="warnings" aria-label="Remarks on the recording"><ul>{items}</ul></aside>'


def _airtime(diarization: Diarization) -> str:
    """A bar, seconds, turns and longest turn for each speaker."""
    if not diarization.speakers:
        return ""
    hue, airtime = colours(diarization.labels), diarization.airtime()
    longest = {label: max(span.samples for span in spans) for label, spans in _spans(diarization).items()}
    total = sum(spoken for spoken, _ in airtime.values()) or 1.0
    most = max(spoken for spoken, _ in airtime.values()) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{_chip(diarization, label, hue)}</th>'
        f'<td class="bar"><span style="width:{100 * spoken / most:.1f}%;background:{hue[label]}"></span></td>'
        f"<td>{moment(round(spoken * SAMPLE_RATE), tenths=True)}</td><td>{spoken / total:.0%}</td><td>{count:,}</td>"
        f"<td>{longest.get(label, 0) / SAMPLE_RATE:.1f} s</td></tr>"
        for label, (spoken, count) in airtime.items()
    )
    return (
        '<section aria-labelledby="airtime"><h2 id="airtime">Airtime</h2><div class="scroll">'
        '<table class="airtime"><thead><tr><th scope="col">Speaker</th>'
        '<td class="bar"></td><th scope="col">Time</th><th scope="col">Share</th><th scope="col">Turns</th>'
        f'<th scope="col">Longest</th></tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _close_up(diarization: Diarization, exclusive: bool) -> str:
    """The timeline again, cut into rows like lines of text, where the recording is too long for one row."""
    length = diarization.samples / SAMPLE_RATE
    if length <= 2 * ROW_SECONDS[0] or not diarization.turns:
        return ""
    row = next((r for r in ROW_SECONDS if length / r <= MOST_ROWS), ROW_SECONDS[-1]) * SAMPLE_RATE
    thin = Layout(width=1000, lane=9, gap=3, gutter=0, margin=6, ticks=10)
    hue = colours(diarization.labels)
    legend = "".join(f"<li>{_chip(diarization, label, hue)}</li>" for label in diarization.labels)
    drawn = []
    for start in range(0, diarization.samples, row):
        picture = timeline(diarization, exclusive=exclusive, within=Span(start, start + row), layout=thin)
        drawn.append(f"<figure>{picture}</figure>")
    return (
        f'<section aria-labelledby="closeup"><h2 id="closeup">Close-up</h2><p class="hint">One row is '
        f'{_length(row // SAMPLE_RATE)}.</p><ul class="legend">{legend}</ul><div class="rows">'
        f"{''.join(drawn)}</div></section>"
    )


def _turns(diarization: Diarization, exclusive: bool) -> str:
    """Every turn, with a box per speaker that hides the others."""
    turns = diarization.view(exclusive)
    if not turns:
        return '<section><h2>Turns</h2><p class="hint">Nobody speaks in this recording.</p></section>'
    hue = colours(diarization.labels)
    number = {label: index for index, label in enumerate(diarization.labels)}
    boxes = "".join(
        f'<label><input type="checkbox" id="s{number[label]}" checked> {_chip(diarization, label, hue)}</label>'
        for label in diarization.labels
    )
    rows = "".join(
        f'<tr class="r{number[turn.speaker]}"><td>{moment(turn.span.start, tenths=True)}</td>'
        f"<td>{moment(turn.span.end, tenths=True)}</td><td>{turn.duration:.1f} s</td>"
        f"<td>{_chip(diarization, turn.speaker, hue)}</td></tr>"
        for turn in turns
    )
    return (
        '<section aria-labelledby="turns"><h2 id="turns">Turns</h2>'
        f'<fieldset><legend>Show</legend>{boxes}</fieldset><div class="scroll tall" tabindex="0" role="region" '
        'aria-labelledby="turns"><table class="turns"><thead><tr><th scope="col">Start</th><th scope="col">End</th>'
        f'<th scope="col">Length</th><th scope="col">Speaker</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "</section>"
    )


def _filters(diarization: Diarization) -> str:
    """Style rules that hide the rows of speakers whose box is not ticked."""
    return "".join(
        f"main:has(#s{index}:not(:checked)) .r{index}{{display:none}}" for index in range(len(diarization.speakers))
    )


def _chip(diarization: Diarization, label: str, hue: dict[str, str]) -> str:
    """A coloured dot and the speaker's name."""
    return (
        f'<span class="chip"><i style="background:{hue[label]}"></i>'
        f"<bdi>{escape(one_line(diarization.shown(label)))}</bdi></span>"
    )


def speech_and_overlap(diarization: Diarization) -> tuple[int, int]:
    """Samples in which somebody speaks, and in which at least two do."""
    edges = sorted(
        (at, change)
        for spans in _spans(diarization).values()
        for span in spans
        for at, change in ((span.start, 1), (span.end, -1))
    )
    speech = overlap = talking = before = 0
    for at, change in edges:
        speech += (at - before) * (talking >= 1)
        overlap += (at - before) * (talking >= 2)
        talking, before = talking + change, at
    return speech, overlap


def _spans(diarization: Diarization) -> dict[str, list[Span]]:
    return spans_by_speaker(diarization.turns)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _length(seconds: int) -> str:
    """Seconds in words."""
    for size, word in ((3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {_plural(seconds // size, word)}"
    return f"{seconds} seconds"
