"""Names of sessions, turns and speakers: sessions cannot be guessed, turns and speakers count."""

from __future__ import annotations

import re
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like a digit."""

SESSION = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
UNKNOWN_SPEAKER = "UU"


def new_session() -> str:
    """A new session's name: 130 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(26))


def is_session(name: str) -> bool:
    """Whether this can be a session's name, and so a folder's."""
    return SESSION.fullmatch(name) is not None


def turn_id(number: int) -> str:
    """Number of a turn as clients see it: 35 -> `t_0013`."""
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = ALPHABET[digit] + digits
    return f"t_{digits:0>4}"


def turn_number(name: str) -> int:
    """The reverse of `turn_id`, for names that match its pattern."""
    number = 0
    for letter in name.removeprefix("t_"):
        number = number * 32 + ALPHABET.index(letter)
    return number


def speaker_id(number: int) -> str:
    """Number of a speaker as clients see it."""
    return f"S{number}"


def speaker_number(name: str) -> int:
    """The reverse of `speaker_id`."""
    return int(name[1:])
