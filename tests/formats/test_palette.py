from __future__ import annotations

import re

from speakrs_stream.formats.palette import OKABE_ITO, colours


def test_the_first_seven_are_okabe_and_ito() -> None:
    assert tuple(colours("abcdefg").values()) == OKABE_ITO


def test_a_crowd_gets_different_valid_colours() -> None:
    crowd = colours([str(number) for number in range(28)])
    assert len(set(crowd.values())) == 28
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in crowd.values())
