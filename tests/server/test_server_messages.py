"""What a server may say: durable messages are exactly those with a number."""

from __future__ import annotations

from typing import get_args

from speakrs_server import messages, server_messages


def test_every_class_is_a_server_message() -> None:
    classes = {
        value
        for value in vars(server_messages).values()
        if isinstance(value, type) and value.__module__ == server_messages.__name__
    }
    assert classes == set(get_args(server_messages.ServerMessage)) == set(messages.SERVER_MESSAGES)


def test_durable_messages_are_those_with_a_number() -> None:
    durable = set(get_args(server_messages.DurableMessage))
    assert durable == {kind for kind in messages.SERVER_MESSAGES if "seq" in kind.__struct_fields__}
    assert not durable & set(get_args(server_messages.PassingMessage))
