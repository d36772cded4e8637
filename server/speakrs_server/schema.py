"""JSON Schema of the messages and an AsyncAPI 3 document; `python -m speakrs_server.schema FOLDER` writes both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from speakrs_server.messages import CLIENT_MESSAGES, PROTOCOL, SERVER_MESSAGES, SUBPROTOCOL

SCHEMA_FILE, ASYNCAPI_FILE = "speakrs.v1.schema.json", "speakrs.v1.asyncapi.json"
VIEWED = (
    "session.started",
    "turn.",
    "watermark",
    "speaker.",
    "words.",
    "session.final",
    "snapshot",
    "warning",
    "error",
)
"""Beginnings of the types that viewers get too."""


def _kind(message: type[msgspec.Struct]) -> str:
    return str(message.__struct_config__.tag)


def components(template: str) -> dict[str, Any]:
    """Every message and part as JSON Schema, references as `template` writes them."""
    _, found = msgspec.json.schema_components([*CLIENT_MESSAGES, *SERVER_MESSAGES], ref_template=template)
    return found


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12: `$defs/ClientMessage` and `$defs/ServerMessage` are what either side may send."""
    found = components("#/$defs/{name}")

    def any_of(kinds: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
        return {"oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds]}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Messages of {SUBPROTOCOL}, version {PROTOCOL}",
        "oneOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": {"ClientMessage": any_of(CLIENT_MESSAGES), "ServerMessage": any_of(SERVER_MESSAGES)} | found,
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document: two channels, who sends what on each, and binary audio frames."""
    entries: dict[str, Any] = {
        kind.__name__: {
            "name": _kind(kind),
            "contentType": "application/json",
            "summary": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        }
        for kind in (*CLIENT_MESSAGES, *SERVER_MESSAGES)
    }
    entries["AudioFrame"] = {
        "name": "audio",
        "contentType": "application/octet-stream",
        "summary": "Binary: 16 bytes of header and samples, or samples alone with framing raw.",
        "payload": {"type": "string", "format": "binary"},
    }
    sent = [kind.__name__ for kind in CLIENT_MESSAGES if kind.__name__ != "SessionView"]
    told = [kind.__name__ for kind in SERVER_MESSAGES]
    viewed = [kind.__name__ for kind in SERVER_MESSAGES if _kind(kind).startswith(VIEWED)] + ["Pong"]

    def channel(address: str, names: list[str], parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {
            "address": address,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        }
        return found | ({"parameters": parameters} if parameters else {})

    def operation(action: str, where: str, names: list[str], summary: str) -> dict[str, Any]:
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{where}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{where}/messages/{name}"} for name in names],
        }

    session = {"session": {"description": "Name of the session, from session.started."}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "speakrs-stream",
            "version": PROTOCOL,
            "description": "Who speaks, live: audio in, speaker turns out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "stream": channel("/v1/stream", [*sent, "AudioFrame", *told]),
            "events": channel("/v1/sessions/{session}/events", ["SessionView", "Ping", *viewed], session),
        },
        "operations": {
            "send": operation("receive", "stream", [*sent, "AudioFrame"], "What a client sends."),
            "listen": operation("send", "stream", told, "What the server answers."),
            "ask": operation("receive", "events", ["SessionView", "Ping"], "What a viewer sends."),
            "view": operation("send", "events", viewed, "What a viewer is told."),
        },
        "components": {"messages": entries, "schemas": components("#/components/schemas/{name}")},
    }


def documents() -> dict[str, str]:
    """File name -> its text."""
    made = {SCHEMA_FILE: schema(), ASYNCAPI_FILE: asyncapi()}
    return {name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in made.items()}


def main(folder: str) -> None:
    """Write both documents into a folder."""
    for name, text in documents().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
