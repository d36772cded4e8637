"""docs/protocol.md: every example is a valid message, and every message, close code and promise is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from speakrs_server.codes import CODES
from speakrs_server.messages import CLIENT_MESSAGES, SERVER_MESSAGES, decode_client, decode_server, encode
from speakrs_server.schema import schema

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
CLIENT = {str(kind.__struct_config__.tag) for kind in CLIENT_MESSAGES}
VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_valid(example: str) -> None:
    value = json.loads(example)
    VALIDATOR.validate(value)
    message = decode_client(example) if value["type"] in CLIENT else decode_server(example)
    fields = set(message.__struct_fields__)
    assert set(value) - {"type"} <= fields, "an example shows no field that is ignored"
    assert json.loads(encode(message)).items() <= value.items() or value["type"] in ("session.start", "session.started")


def test_every_message_has_an_example() -> None:
    shown = {json.loads(example)["type"] for example in EXAMPLES}
    assert shown == CLIENT | {str(kind.__struct_config__.tag) for kind in SERVER_MESSAGES}


def test_every_code_is_there() -> None:
    assert all(f"| {code.close} | `{code.name}` | {code.meaning} |" in TEXT for code in CODES.values())
