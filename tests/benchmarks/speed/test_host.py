from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.speed.host import Host, Request, figures, measure, meetings, parts_table, table
from benchmarks.speed.timing import Spread
from speakrs_stream.errors import ConfigError

SMALL = Request(hours=(0.03,), minutes=0.2, seconds=2.0, runs=1, bundles=())


@pytest.fixture
def small(tmp_path: Path) -> Request:
    """A reference of some turns, and no PLDA tables."""
    path = tmp_path / "talk.rttm"
    turns = [f"SPEAKER talk 1 {4 * turn + 0.3:.1f} 3.5 <NA> <NA> {'AB'[turn % 2]} <NA> <NA>" for turn in range(20)]
    path.write_text("\n".join(turns) + "\n", encoding="utf-8")
    return replace(SMALL, rttm=path, plda=tmp_path / "plda")


def test_meetings_are_measured_early_and_late_and_taken_apart(
    small: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measure(replace(small, parts=True))
    early, late = "minutes 1 to 1.2", "hour 0.03"
    assert [(one.what, one.where) for one in found] == [
        *[(f"talk, {kind}", early) for kind in ("silent", "noise")],
        *[(f"12 people, {kind}", where) for kind in ("silent", "noise") for where in (early, late)],
    ]
    for one in found:
        assert 0 < one.plain.median <= one.whole.median < 1.0
        assert one.parts["who is who"] > 0 and one.parts["gate in front"] == 0
    silent, noise = found[0], found[1]
    assert noise.parts["filter bank"] > silent.parts["filter bank"]
    assert "made-up ones are used" in capsys.readouterr().err


def test_recordings_go_through_the_gate(small: Request) -> None:
    request = replace(small, hours=(), bundles=("embedded",), rttm=small.rttm.with_name("none.rttm"), parts=True)
    rounds: list[int] = []
    (*_, one) = measure(request, lambda: rounds.append(len(rounds)))
    assert rounds == [0, 1], "once a round, and while it warms up"
    assert (one.what, one.where) == ("embedded, meeting", "minutes 1 to 1.03333")
    assert one.parts["gate in front"] > 0 and one.parts["level of the window, for carried filters"] > 0


def test_a_stretch_must_lie_after_the_first_minute(small: Request) -> None:
    with pytest.raises(ConfigError, match=r"0\.03 h are too few"):
        meetings(replace(small, minutes=1.0))


def test_costs_are_shown_beside_those_of_the_first_stretch() -> None:
    parts = {"filter bank": 0.0005, "gate in front": 0.0, "the rest": 0.001}
    found = [
        Host("talk", "early", Spread((0.001, 0.003, 0.002)), Spread((0.001, 0.001, 0.001)), parts),
        Host("talk", "hour 8", Spread((0.003, 0.003, 0.003)), Spread((0.001, 0.001, 0.001)), parts),
    ]
    shown = io.StringIO()
    console = Console(file=shown, width=140)
    console.print(table(found))
    console.print(parts_table(found))
    lines = shown.getvalue().splitlines()
    assert any("early" in line and "2.00 (1.00–3.00)" in line for line in lines)
    assert any("hour 8" in line and "1.50" in line and "1.00" in line for line in lines)
    assert any("filter bank" in line and line.count("0.50") == 2 for line in lines)
    assert any("sum" in line and line.count("1.50") == 2 for line in lines)
    assert figures(found)[1]["seconds_per_second"] == [0.003, 0.003, 0.003]
