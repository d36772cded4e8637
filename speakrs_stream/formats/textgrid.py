"""Praat TextGrid: one interval tier per speaker without gaps, so that overlaps need no compromise."""

from __future__ import annotations

from collections.abc import Iterable

from speakrs_stream.core.grid import Span, seconds
from speakrs_stream.diarization import Diarization, spans_by_speaker
from speakrs_stream.formats.text import one_line, unique


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """Long text format. A tier's name is the speaker's, as is the text of its intervals with speech."""
    spans = spans_by_speaker(diarization.view(exclusive))
    # Praat refuses a grid of no length and one without tiers.
    end = max([1, diarization.samples, *(own[-1].end for own in spans.values())])
    names = unique(diarization.labels, lambda label: one_line(diarization.shown(label)))
    tiers = [(names[label], spans.get(label, [])) for label in diarization.labels]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_number(end)}",
        "tiers? <exists>",
        f"size = {max(1, len(tiers))}",
        "item []:",
    ]
    for number, (name, own) in enumerate(tiers or [("speech", [])], start=1):
        lines += _tier(number, name, own, end)
    return "\n".join(lines) + "\n"


def _tier(number: int, name: str, spans: Iterable[Span], end: int) -> list[str]:
    """Lines of one tier: speech and the silence between as alternating intervals."""
    intervals: list[tuple[int, int, str]] = []
    at = 0
    for span in spans:
        if span.start > at:
            intervals.append((at, span.start, ""))
        if span.end > span.start:
            intervals.append((span.start, span.end, name))
        at = max(at, span.end)
    if at < end:
        intervals.append((at, end, ""))
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(name)}",
        "        xmin = 0",
        f"        xmax = {_number(end)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for index, (first, last, text) in enumerate(intervals, start=1):
        lines += [
            f"        intervals [{index}]:",
            f"            xmin = {_number(first)}",
            f"            xmax = {_number(last)}",
            f"            text = {_quoted(text)}",
        ]
    return lines


def _number(samples: int) -> str:
    """Exact seconds without trailing zeros; equal samples give equal text, so that intervals meet."""
    return f"{seconds(samples):.7f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
