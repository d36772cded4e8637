from __future__ import annotations

from typing import Any

import pytest

from speakrs_stream.errors import FormatError
from speakrs_stream.transcripts.shape import Group, Unit, estimated, objects, seconds_of, text_of, words_of


def unit(text: str, start: float | None = None, end: float | None = None) -> Unit:
    return Unit({}, text, start, end)


def test_times_that_cannot_be() -> None:
    assert [seconds_of(v) for v in (0, 1.5, -1, float("nan"), float("inf"), True, "3", None, 10**30)] == [
        0.0,
        1.5,
        *[None] * 7,
    ]
    assert seconds_of(1500, 0.001) == 1.5


def test_gaps_are_shared_by_the_length_of_the_words() -> None:
    group = Group([unit("one", 0, 1), unit("abc"), unit("abcdefg"), unit("two", 2.2, 3)])
    assert estimated(group, None) == [
        (0, 1),
        (1, pytest.approx(1.4)),
        (pytest.approx(1.4), pytest.approx(2.2)),
        (2.2, 3),
    ]


def test_the_ends_of_a_group_bound_its_words() -> None:
    group = Group([unit("a"), unit("b", 2, 3), unit("c")], None, 1, 5)
    assert estimated(group, None) == [(1, 2), (2, 3), (3, 5)]
    assert estimated(Group([unit("a"), unit("b")], None, 0, 1), None) == [(0, 0.5), (0.5, 1)]


def test_words_at_an_open_end_are_points() -> None:
    group = Group([unit("a"), unit("b", 2, 3), unit("c")])
    assert estimated(group, None) == [(2, 2), (2, 3), (3, 3)]
    assert estimated(group, 1.5) == [(1.5, 2), (2, 3), (3, 3)]
    assert estimated(group, 9) == [(2, 2), (2, 3), (3, 3)]
    assert estimated(Group([unit("a")]), 5) == [(None, None)]


def test_half_known_and_backward_times() -> None:
    group = Group([unit("a", 1), unit("b", 1.1, 2), unit("c", 3, 2.5), unit("d", None, 5)])
    assert estimated(group, None) == [
        (1, pytest.approx(1.1)),
        (1.1, 2),
        (3, pytest.approx(3.3)),
        (pytest.approx(4.7), 5),
    ]


def test_words_know_their_group_and_whether_their_time_is_real() -> None:
    words = words_of([Group([unit("a", 0, 1), unit("b")], None, 0, 2), Group([unit("c")])])
    assert [(w.group, w.timed, w.span is None) for w in words] == [
        (0, True, False),
        (0, False, False),
        (1, False, True),
    ]


def test_checks_name_the_place() -> None:
    with pytest.raises(FormatError, match="x is no list"):
        objects({}, "x")
    with pytest.raises(FormatError, match=r"x\[1\] is no object"):
        objects([{}, 1], "x")
    with pytest.raises(FormatError, match="x has no text: a or b is missing"):
        text_of({"a": 5}, ("a", "b"), "x")
    item: dict[str, Any] = {"b": "y"}
    assert text_of(item, ("a", "b"), "x") == "y"
