from __future__ import annotations

import json
import random
from importlib import resources
from typing import Any

import numpy as np
import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.json import dumps, loads, render
from speakrs_stream.words import LabelledWord, Word


def valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """The part of JSON Schema that ours uses; True when `value` obeys."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "const" in schema and value != schema["const"]:
        return False
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "integer": int,
        "null": type(None),
    }
    names = schema.get("type", [])
    allowed = tuple(kinds[name] for name in ([names] if isinstance(names, str) else names))
    if allowed and not any(isinstance(value, kind) for kind in allowed):
        return False
    if value is not None and "minimum" in schema and value < schema["minimum"]:
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return (
            set(schema.get("required", ())) <= set(value) <= set(properties)
            and all(valid(item, properties[key], root) for key, item in value.items())
        )  # fmt: skip
    return not isinstance(value, list) or all(valid(item, schema["items"], root) for item in value)


def test_what_is_written_obeys_the_schema(meeting: Diarization, hostile: Diarization, nobody: Diarization) -> None:
    schema = json.loads(resources.files("speakrs_stream.formats").joinpath("diarization.schema.json").read_text())
    assert not valid({"format": "other"}, schema, schema)
    for diarization in (meeting, hostile, nobody):
        assert valid(json.loads(render(diarization)), schema, schema)
    with_embedding = Diarization("x", 0, (), (), (Speaker("A", None, np.ones(3, np.float32)),))
    assert valid(json.loads(dumps(with_embedding, embeddings=True)), schema, schema)


def test_round_trip_is_exact(meeting: Diarization, hostile: Diarization, nobody: Diarization) -> None:
    for diarization in (meeting, hostile, nobody):
        assert loads(dumps(diarization)) == diarization


def test_people_can_read_it(meeting: Diarization) -> None:
    lines = dumps(meeting).splitlines()
    assert '    {"start": 1.5, "end": 5.0, "speaker": "SPEAKER_01"},' in lines
    assert '    {"label": "SPEAKER_00", "name": "Alice", "seconds": 6.000375, "turns": 2},' in lines


def test_voice_prints_are_written_only_when_asked_for() -> None:
    vector = np.random.default_rng(1).standard_normal(256).astype(np.float32)
    diarization = Diarization("x", 16_000, (), (), (Speaker("A", None, vector), Speaker("B")))
    assert "embedding" not in dumps(diarization)
    assert loads(dumps(diarization)).speakers[0].embedding is None
    first, second = loads(dumps(diarization, embeddings=True)).speakers
    np.testing.assert_array_equal(first.embedding, vector)
    assert second.embedding is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "x"}, "not a diarization"),
        ({"version": 2}, "version 2 is not known"),
        ({"uri": 5}, "uri is missing or no text"),
        ({"duration": -1}, "duration is -1"),
        ({"duration": True}, "duration is True"),
        ({"duration": 1e400}, "duration is inf"),
        ({"turns": {}}, "turns is missing or no list"),
        ({"turns": [3]}, r"turns\[0\] is no object"),
        ({"turns": [{"start": 2, "end": 1, "speaker": "SPEAKER_00"}]}, r"turns\[0\] ends before it starts"),
        ({"turns": [{"start": 0, "end": "x", "speaker": "SPEAKER_00"}]}, r"turns\[0\]\.end is 'x'"),
        ({"turns": [{"start": 0, "end": 1, "speaker": "nobody"}]}, "not listed: nobody"),
        ({"speakers": [{"label": "A"}, {"label": "A"}], "turns": [], "exclusive": []}, "same label"),
        ({"speakers": [{"label": "A", "name": 1}]}, r"speakers\[0\]\.name"),
        ({"speakers": [{"label": "A", "embedding": ["x"]}]}, r"speakers\[0\]\.embedding"),
    ],
)
def test_errors_name_the_field(meeting: Diarization, change: dict[str, Any], says: str) -> None:
    with pytest.raises(FormatError, match=says):
        loads(json.dumps({**json.loads(dumps(meeting)), **change}))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, "1" * 5_000, '{"format": "speakrs-diarization"}']
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        loads(text)


def test_damaged_files_are_refused_or_read_but_nothing_else(meeting: Diarization) -> None:
    rng = random.Random(2)
    text = dumps(meeting)
    for _ in range(500):
        at = rng.randrange(len(text))
        damaged = text[:at] + rng.choice(['"', "{", "", "null", "-", "1e999", ","]) + text[at + rng.randrange(4) :]
        try:
            assert isinstance(loads(damaged), Diarization)
        except FormatError as error:
            assert str(error)


def test_words_stand_beside_the_turns(meeting: Diarization) -> None:
    schema = json.loads(resources.files("speakrs_stream.formats").joinpath("diarization.schema.json").read_text())
    said = [LabelledWord(Word("well", Span(16_000, 24_000)), "SPEAKER_01"), LabelledWord(Word("lost", None), "UNKNOWN")]
    document = json.loads(dumps(meeting, words=said))
    assert document["words"] == [{"start": 1.0, "end": 1.5, "speaker": "SPEAKER_01", "word": "well"}]
    assert valid(document, schema, schema) and loads(json.dumps(document)) == meeting
