"""The parts of messages: limits of numbers, names and times, and that absent fields have their defaults."""

from __future__ import annotations

import msgspec
import pytest

from speakrs_server import message_parts


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (message_parts.SpeakerId, "S12", ("S0", "S", "UU", "S1 ", "s1", "S" + "1" * 10)),
        (message_parts.AnySpeakerId, "UU", ("U", "S0", "")),
        (message_parts.TurnId, "t_000K", ("t_1", "t_000I", "t_000k", "000K", "t_" + "0" * 14)),
        (message_parts.SessionId, "0" * 26, ("0" * 25, "0" * 27, "../" + "0" * 23, "O" * 26)),
        (message_parts.Ms, 2**53 - 1, (2**53, -1, 1.5, "1")),
        (message_parts.Id, "w1", ("", "x" * 65)),
        (message_parts.Encoding, "alaw", ("mp3", "", "PCM_S16LE")),
    ],
    ids=str,
)
def test_limits(kind: object, good: object, bad: tuple[object, ...]) -> None:
    assert msgspec.convert(good, kind) == good
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, kind)


def test_absent_fields_have_defaults_and_are_not_written() -> None:
    audio = msgspec.json.decode(b"{}", type=message_parts.AudioFormat)
    assert audio == message_parts.AudioFormat()
    assert msgspec.json.encode(audio) == b"{}"
