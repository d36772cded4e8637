"""What was shown live against the final result: which live speaker is which final one, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from speakrs_stream.core.grid import Span

Labelled = tuple[Span, str]
"""A span and who speaks in it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch in which the final result says something else than the live turns did."""

    span: Span
    """Where, in samples."""
    live: tuple[str, ...]
    """Final labels of the speakers shown live, sorted; empty for silence."""
    final: tuple[str, ...]
    """Speakers of the final result, sorted."""


def match(live: Sequence[Labelled], final: Sequence[Labelled]) -> dict[str, str]:
    """Live label -> final label: one to one by most samples in common, then any left over to its nearest.

    A live label that shares nothing with the final result is left out.
    """
    rows, columns = sorted({who for _, who in live}), sorted({who for _, who in final})
    common = np.zeros((len(rows), len(columns)))
    for span, ours, theirs in _pieces(live, final):
        for a in ours:
            for b in theirs:
                common[rows.index(a), columns.index(b)] += span.samples
    found: dict[str, str] = {}
    for ours_row, theirs_column in zip(*linear_sum_assignment(common, maximize=True), strict=True):
        if common[ours_row, theirs_column] > 0:
            found[rows[int(ours_row)]] = columns[int(theirs_column)]
    for row, label in enumerate(rows):
        if label not in found and len(columns) and common[row].any():
            found[label] = columns[int(common[row].argmax())]
    return found


def differences(live: Sequence[Labelled], final: Sequence[Labelled], mapping: dict[str, str]) -> list[Difference]:
    """Stretches in which mapped live turns and final turns name different speakers, in order."""
    out: list[Difference] = []
    for span, ours, theirs in _pieces(live, final):
        mapped = tuple(sorted({mapping.get(label, label) for label in ours}))
        wanted = tuple(sorted(theirs))
        if mapped == wanted:
            continue
        if out and out[-1].span.end == span.start and (out[-1].live, out[-1].final) == (mapped, wanted):
            out[-1] = Difference(Span(out[-1].span.start, span.end), mapped, wanted)
        else:
            out.append(Difference(span, mapped, wanted))
    return out


def _pieces(first: Iterable[Labelled], second: Iterable[Labelled]) -> list[tuple[Span, set[str], set[str]]]:
    """The time axis cut wherever anybody starts or stops, with who speaks in each piece on either side."""
    edges: dict[int, list[tuple[int, str, int]]] = {}
    for side, turns in enumerate((first, second)):
        for span, who in turns:
            edges.setdefault(span.start, []).append((side, who, 1))
            edges.setdefault(span.end, []).append((side, who, -1))
    speaking: tuple[dict[str, int], dict[str, int]] = ({}, {})
    out = []
    at = 0
    for position in sorted(edges):
        now = tuple({who for who, count in side.items() if count > 0} for side in speaking)
        if position > at and (now[0] or now[1]):
            out.append((Span(at, position), now[0], now[1]))
        for side, who, change in edges[position]:
            speaking[side][who] = speaking[side].get(who, 0) + change
        at = position
    return out
