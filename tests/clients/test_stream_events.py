"""Which messages are understood."""

from __future__ import annotations

import pytest

from speakrs_clients.stream_events import understood
from speakrs_server import messages
from speakrs_server.codes import RemoteProtocolError
from tests.clients.stories import story


def test_every_message_is_understood() -> None:
    told = story(1)
    assert [understood(messages.encode(message).decode()) for message in told] == told
    assert understood('{"type":"pong","id":3,"later":[1]}') == messages.Pong(id=3), "unknown fields are passed over"


def test_unknown_types_are_passed_over_and_nonsense_is_refused() -> None:
    assert understood('{"type":"turn.sung","seq":9}') is None
    for wrong in ("", "x", "[]", "3", '{"type":7}', '{"type":"pong"}', '{"seq":1}', '{"type":"pong","id":"x"}'):
        with pytest.raises(RemoteProtocolError):
            understood(wrong)
