"""Messages survive the way over the wire; anything else is refused in our words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_server import messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import CLIENT_MESSAGES, SERVER_MESSAGES, decode_client, decode_server, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
TYPES = [str(kind.__struct_config__.tag) for kind in CLIENT_MESSAGES]
FIELDS = sorted({name for kind in CLIENT_MESSAGES for name in kind.__struct_fields__})


def test_types_are_unique() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in (*CLIENT_MESSAGES, *SERVER_MESSAGES)]
    assert len(set(tags)) == len(tags)


def test_a_message_comes_back_as_it_was() -> None:
    start = messages.SessionStart(audio=messages.AudioFormat(sample_rate=48_000), metadata={"meeting": "42"})
    assert decode_client(encode(start)) == start
    final = messages.TurnFinal(seq=5, turn="t_0001", rev=2, speaker="S1", start_ms=0, end_ms=10)
    assert decode_server(encode(final)) == final
    assert json.loads(encode(final))["type"] == "turn.final"


def test_unknown_fields_are_ignored() -> None:
    assert decode_client(b'{"type":"ping","id":3,"new":{"deep":[1]}}') == messages.Ping(id=3)


def test_unknown_types_do_not_end_the_conversation() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(b'{"type":"hologram.start"}')
    assert not caught.value.fatal


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"{",
        b'{"type":7}',
        b'{"type":"session.start","audio":{"sample_rate":7999}}',
        b'{"type":"session.start","audio":{"channels":9}}',
        b'{"type":"session.start","audio":{"encoding":"mp3"}}',
        b'{"type":"session.start","max_delay_ms":1e9}',
        b'{"type":"session.resume","session":"../../etc/passwd","token":"x"}',
        b'{"type":"speaker.rename","speaker":"S0","name":"x"}',
        b'{"type":"speaker.rename","speaker":"S1","name":""}',
        b'{"type":"turn.reject","turn":"t_000I"}',
        b'{"type":"session.end","last_sample":-1}',
        b'{"type":"session.end","last_sample":9007199254740993}',
        b'{"type":"words.add","batch":"b","words":[{"id":"w","start_ms":0}]}',
        b'{"type":"ping","id":"\\ud800"}',
        b'{"type":"ping","x":' + b"[" * 30_000,
        b'{"type":"words.add","batch":"b","words":[' + b'{"id":"w","start_ms":0,"end_ms":1},' * 501 + b"]}",
        b'{"type":"ping","x":"' + b"a" * 70_000 + b'"}',
    ],
    ids=range(21),
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(data)
    assert caught.value.code.name == "bad_message"
    assert caught.value.fatal
    with pytest.raises(RemoteProtocolError):
        decode_server(data)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_any_object_is_a_message_or_refused(kind: str, values: dict[str, Any]) -> None:
    data = json.dumps({"type": kind, **values})
    try:
        message = decode_client(data)
    except RemoteProtocolError as error:
        assert error.code.close == 4400
    else:
        assert decode_client(encode(message)) == message


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        assert isinstance(decode_client(data), msgspec.Struct)
    except RemoteProtocolError as error:
        assert error.code.close == 4400


def test_plain_values_of_a_message() -> None:
    assert messages.plain(messages.Pong(id=1)) == {"type": "pong", "id": 1}
    assert messages.type_of(messages.Pong(id=1)) == "pong"
