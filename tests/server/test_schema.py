"""The documents in docs/ are the ones the messages make, and they are sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from speakrs_server import messages
from speakrs_server.messages import CLIENT_MESSAGES, SERVER_MESSAGES
from speakrs_server.schema import asyncapi, documents, main, schema

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_committed_documents_are_current(tmp_path: Path) -> None:
    main(str(tmp_path))
    for name, text in documents().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python -m speakrs_server.schema docs"
        assert (tmp_path / name).read_text(encoding="utf-8") == text


def test_the_schema_is_one_and_tells_right_from_wrong() -> None:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    validator = jsonschema.Draft202012Validator(found)
    good = json.loads(messages.encode(messages.SessionStart()))
    validator.validate(good)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(good | {"mode": "backwards"})


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for inner in value.values() for ref in references(inner)]
    return [ref for inner in value for ref in references(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("document", [schema(), asyncapi()], ids=["schema", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert found
    for reference in set(found):
        here: Any = document
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]
        assert isinstance(here, dict)


def test_asyncapi_names_every_message_and_who_sends_it() -> None:
    document = asyncapi()
    assert document["asyncapi"].startswith("3.")
    names = {entry["name"] for entry in document["components"]["messages"].values()}
    assert names == {str(k.__struct_config__.tag) for k in (*CLIENT_MESSAGES, *SERVER_MESSAGES)} | {"audio"}
    sent = {ref["$ref"] for operation in document["operations"].values() for ref in operation["messages"]}
    assert {ref.rsplit("/", 1)[1] for ref in sent} == set(document["components"]["messages"])
    assert all(entry["summary"] for entry in document["components"]["messages"].values())
