"""What a client may say: every message is a type of its own, frozen, and tokens have a largest length."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from speakrs_server import client_messages, messages


def test_every_class_is_a_client_message() -> None:
    classes = {
        value
        for value in vars(client_messages).values()
        if isinstance(value, type) and value.__module__ == client_messages.__name__
    }
    assert classes == set(get_args(client_messages.ClientMessage)) == set(messages.CLIENT_MESSAGES)


@pytest.mark.parametrize("kind", messages.CLIENT_MESSAGES, ids=lambda kind: str(kind.__struct_config__.tag))
def test_messages_are_frozen_and_tokens_have_a_largest_length(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen and kind.__struct_config__.omit_defaults
    if "token" in kind.__struct_fields__:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"type": str(kind.__struct_config__.tag), "session": "0" * 26, "token": "x" * 9_000}, kind)
