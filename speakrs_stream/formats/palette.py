"""Colours of speakers that people with any colour vision can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

from collections.abc import Iterable

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442")
"""Seven of the eight; black is for text. Ordered so that the first few differ most."""


def colours(labels: Iterable[str]) -> dict[str, str]:
    """Label -> `#rrggbb`. From the eighth speaker on the seven return, each time darker or lighter."""
    return {label: _nth(index) for index, label in enumerate(labels)}


def _nth(index: int) -> str:
    base = OKABE_ITO[index % len(OKABE_ITO)]
    lap = index // len(OKABE_ITO)
    if lap == 0:
        return base
    towards = 0 if lap % 2 else 255  # black on odd laps, white on even ones
    share = min(0.35 + 0.15 * ((lap - 1) // 2), 0.65)
    parts = (int(base[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (towards - part) * share):02X}" for part in parts)
