"""What people read."""

from __future__ import annotations

from speakrs_stream.scoring import Score
from speakrs_stream.tuning.report import held_out, lines, verdict
from speakrs_stream.tuning.search import Plan, Tuned

GOOD, POOR = Score(600, 30, 6, 24, 0, 1), Score(600, 60, 12, 48, 2, 1)


def tuned(after: Score, outside: Score | None, count: int = 8) -> Tuned:
    return Tuned({}, [POOR] * count, [after] * count, [outside] * count, 10)


def test_the_tables() -> None:
    text = list(lines(["a", "a long name", *"bcdefg"], tuned(GOOD, Score(600, 36, 6, 30, 1, 1))))
    assert len(text) == 14 and text[2].split() == [
        "a",
        "long",
        "name",
        "600.0",
        "20.0%",
        "12.0%",
        "10.0%",
        "off",
        "by",
        "2",
        "0",
    ]
    assert text[-3].split()[:5] == ["before", "10.0%", "2.0%", "8.0%", "20.0%"]
    assert text[-2].split() == ["held", "out", "6.0%", "1.0%", "5.0%", "12.0%", "1.00"]
    without = list(lines(list("abcdefgh"), tuned(GOOD, None)))
    assert len(without) == 13 and "held out" not in without[-2] and without[1].split()[3] == "-"


def test_what_figures_are_worth() -> None:
    assert "too good" in " ".join(verdict(tuned(GOOD, GOOD), Plan()))
    assert "keep those" in " ".join(verdict(tuned(GOOD, POOR), Plan()))
    few = list(verdict(tuned(GOOD, None, 2), Plan()))
    assert "2 recordings with 20 min of speech are few" in few[0] and "Nothing was held out" in few[1]
    assert held_out(Tuned({}, [POOR], [GOOD])) == []
