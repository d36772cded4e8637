"""What all transcript formats have in common: units of text with times, in groups, inside some document.

A document is made of plain lists and dicts. A format says where in it the units are; reading takes their text and
times from there, and writing puts `speaker` into a copy at the same places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from speakrs_stream.core.grid import Span, samples
from speakrs_stream.errors import FormatError
from speakrs_stream.words import Word

Holder = dict[str, Any]

LONGEST = 366 * 86_400
"""Seconds past which a time in a transcript is taken for damage."""

SHORT = 0.3
"""Seconds a word is taken to last when only its start is known."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A word, or a subtitle or segment without words."""

    holder: Holder
    """The object of the document that gets `speaker`."""

    text: str
    """Its text."""

    start: float | None
    """Seconds; None where the transcript does not say or what it says cannot be."""

    end: float | None
    """Seconds; None where the transcript does not say or what it says cannot be."""


@dataclass(frozen=True, slots=True)
class Group:
    """A segment, utterance or result: units that belong together."""

    units: Sequence[Unit]
    """In the order of the text."""

    holder: Holder | None = None
    """The object that gets the `speaker` who says most of it; None when there is none."""

    start: float | None = None
    """Seconds, where the transcript says."""

    end: float | None = None
    """Seconds, where the transcript says."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a document has its units."""

    groups: Sequence[Group]
    """Every unit once."""

    mirrors: Sequence[Group] = field(default=())
    """Places where the same units stand again."""

    glue: str = " "
    """What belongs between two units' texts: a blank, or nothing where they bring their own."""

    whole: bool = False
    """Whether units are subtitles or segments rather than words."""


class Shape(Protocol):
    """One transcript format."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    @property
    def suffix(self) -> str:
        """What its files end in."""
        ...

    def parse(self, text: str) -> Any:
        """The document in a text; raises FormatError."""
        ...

    def fits(self, document: Any) -> bool:
        """Whether a document looks like this format."""
        ...

    def layout(self, document: Any) -> Layout:
        """Where the units are; raises FormatError that names what is wrong."""
        ...

    def dump(self, document: Any) -> str:
        """The document as text, `speaker` included."""
        ...


def seconds_of(value: Any, unit: float = 1.0) -> float | None:
    """A time of a document, times `unit`, in seconds; None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not abs(value) <= LONGEST / unit or value < 0:
        return None
    return float(value) * unit


def text_of(item: Holder, keys: Sequence[str], where: str) -> str:
    """The first of `keys` that holds a text; raises FormatError."""
    for key in keys:
        if isinstance(item.get(key), str):
            return str(item[key])
    raise FormatError(f"{where} has no text: {' or '.join(keys)} is missing")


def objects(value: Any, where: str) -> list[Holder]:
    """A list of objects, checked; raises FormatError."""
    if not isinstance(value, list):
        raise FormatError(f"{where} is no list")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise FormatError(f"{where}[{index}] is no object")
    return value


def words_of(groups: Sequence[Group]) -> tuple[Word, ...]:
    """All units as words, with times estimated where the transcript has none."""
    words: list[Word] = []
    latest: float | None = None
    for number, group in enumerate(groups):
        for unit, (start, end) in zip(group.units, estimated(group, latest), strict=True):
            timed = unit.start is not None and unit.end is not None and unit.end >= unit.start
            if start is None or end is None:
                words.append(Word(unit.text, None, False, number))
            else:
                words.append(Word(unit.text, Span(samples(start), samples(end)), timed, number))
                latest = end
    return tuple(words)


def estimated(group: Group, latest: float | None) -> list[tuple[float | None, float | None]]:
    """Start and end of each unit, in seconds.

    A run of units without a time shares what lies between its neighbours, or the ends of the group, in proportion
    to the length of their texts. latest: end of what came before the group, where known.
    """
    known: list[tuple[float, float] | None] = []
    for index, unit in enumerate(group.units):
        start, end = unit.start, unit.end
        if start is not None and (end is None or end < start):
            following = (u.start for u in group.units[index + 1 :] if u.start is not None and u.start >= start)
            bound = group.end if group.end is not None and group.end > start else math.inf
            end = min(start + SHORT, next(following, math.inf), bound)
        elif start is None and end is not None:
            start = max(0.0, end - SHORT)
        known.append((start, end) if start is not None and end is not None else None)
    times: list[tuple[float | None, float | None]] = []
    index = 0
    while index < len(known):
        own = known[index]
        if own is not None:
            times.append(own)
            index += 1
            continue
        stop = next((i for i in range(index, len(known)) if known[i] is not None), len(known))
        following_unit = known[stop] if stop < len(known) else None
        left = times[-1][1] if times else group.start if group.start is not None else None
        right = following_unit[0] if following_unit else group.end
        if left is None and right is not None:
            left = min(right, latest) if latest is not None else right
        if right is None:
            right = left
        times += _shared([len(u.text.strip()) + 1 for u in group.units[index:stop]], left, right)
        index = stop
    return times


def _shared(lengths: Sequence[int], left: float | None, right: float | None) -> list[tuple[float | None, float | None]]:
    """The stretch from `left` to `right` in parts as long as `lengths` say; nothing where it is unknown."""
    if left is None or right is None:
        return [(None, None)] * len(lengths)
    width, total, done = max(0.0, right - left), sum(lengths), 0
    parts: list[tuple[float | None, float | None]] = []
    for length in lengths:
        parts.append((left + width * done / total, left + width * (done + length) / total))
        done += length
    return parts
