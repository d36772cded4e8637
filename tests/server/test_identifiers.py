"""Names: they count, come back, cannot be guessed and never leave a folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_server.identifiers import is_session, new_session, speaker_id, speaker_number, turn_id, turn_number


@given(st.integers(1, 2**53))
def test_numbers_come_back(number: int) -> None:
    assert turn_number(turn_id(number)) == number
    assert speaker_number(speaker_id(number)) == number


def test_how_they_look() -> None:
    assert [turn_id(number) for number in (1, 35, 32**4)] == ["t_0001", "t_0013", "t_10000"]


def test_sessions_are_different_and_valid() -> None:
    names = {new_session() for _ in range(200)}
    assert len(names) == 200
    assert all(is_session(name) for name in names)


@pytest.mark.parametrize("name", ["", "..", "a" * 26, "A" * 25, "A" * 27, "A" * 25 + "/", "A" * 26 + "\n", "I" * 26])
def test_other_names_are_no_sessions(name: str) -> None:
    assert not is_session(name)
