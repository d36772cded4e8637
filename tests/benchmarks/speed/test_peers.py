from __future__ import annotations

import io

from rich.console import Console

from benchmarks.speed.peers import (
    LIVE_EXACT,
    LIVE_FAST,
    OFFLINE_EXACT,
    OFFLINE_FAST,
    PYANNOTE,
    SHERPA,
    SPEAKRS,
    table,
    verdicts,
)
from benchmarks.speed.timing import Spread

MADE_UP = {
    LIVE_FAST: Spread((0.04, 0.05)),
    LIVE_EXACT: Spread((0.2,)),
    OFFLINE_FAST: Spread((0.045,)),
    OFFLINE_EXACT: Spread((0.2,)),
    PYANNOTE: Spread((0.9,)),
    SPEAKRS: Spread((0.18,)),
    SHERPA: Spread((0.09,)),
}


def test_goals_are_ratios_of_medians() -> None:
    rows = {row["theirs"]: row for row in verdicts(MADE_UP)}
    assert round(rows[PYANNOTE]["times"], 3) == 20 and rows[PYANNOTE]["met"]
    assert round(rows[SPEAKRS]["times"], 3) == 4 and not rows[SPEAKRS]["met"]
    assert round(rows[SHERPA]["times"], 3) == 2 and not rows[SHERPA]["met"]


def test_what_was_not_measured_is_not_judged() -> None:
    without = {name: cost for name, cost in MADE_UP.items() if name != SHERPA}
    assert {row["theirs"] for row in verdicts(without)} == {PYANNOTE, SPEAKRS}


def test_the_table_compares_with_ours() -> None:
    shown = io.StringIO()
    Console(file=shown, width=140).print(table(MADE_UP))
    (line,) = [line for line in shown.getvalue().splitlines() if PYANNOTE in line]
    assert line.split()[-2:] == ["20.0", "20.0"]
