"""JSON lines: every event has the fields that docs/live.md lists, and the state can be folded from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from speakrs_clients import records
from speakrs_stream.core.events import (
    EVENTS,
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnFinal,
    TurnRelabelled,
    TurnRetracted,
    TurnRevised,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import Span
from speakrs_stream.core.live.comparison import Difference
from speakrs_stream.core.reducer import fold
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.stream import Comparison
from tests.clients.states import at, span, state_of

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = state_of("1: 0-1, 2: 1-2?", names={2: "Alice"})
SPAN = Span(4_001, 16_000)
ONE_OF_EACH: list[Event] = [
    TurnStarted(7, 1, 1, SPAN),
    TurnRevised(7, 2, 1, SPAN),
    TurnRelabelled(7, 3, 1, 2, SPAN),
    TurnFinal(7, 4, 2, SPAN),
    TurnRetracted(8, 2),
    SpeakerCreated(1, 16_000),
    SpeakerMerged(3, 1),
    SpeakerSplit(1, (1, 4)),
    SpeakerNamed(2, "Alice"),
    Watermark(8_000, 16_000),
]


def documented() -> dict[str, set[str]]:
    """Type -> fields, from the table of docs/live.md."""
    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", text, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}


def everything() -> list[dict[str, Any]]:
    """One object of every type."""
    turns = (Turn(span(0, 1), "SPEAKER_00"),)
    result = Diarization("call", at(2), turns, turns, (Speaker("SPEAKER_00", "Alice"),), "b", ("loud",))
    comparison = Comparison({"S2": "SPEAKER_00"}, (Difference(span(1, 1.5), ("SPEAKER_00",), ()),))
    return [
        records.started("call", bundle="b", step=16_000, max_delay=32_000),
        *(records.record(event, STATE) for event in ONE_OF_EACH),
        records.result(result, comparison),
    ]


def test_the_list_is_complete() -> None:
    assert [type(event) for event in ONE_OF_EACH] == list(EVENTS)


def test_every_field_is_documented() -> None:
    told = documented()
    for value in everything():
        assert set(value) - {"type"} == told[value["type"]], value["type"]
    assert {value["type"] for value in everything()} <= set(told)


def test_the_schema_fits_everything_and_nothing_less() -> None:
    schema = json.loads((ROOT / "clients" / "speakrs_clients" / "events.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in everything():
        validator.validate(value)
        for field in value:
            assert not validator.is_valid({name: there for name, there in value.items() if name != field})
    assert len(schema["oneOf"]) == len(everything())


def test_a_turn() -> None:
    assert records.record(ONE_OF_EACH[2], STATE) == {
        "type": "turn_relabelled",
        "turn": 7,
        "revision": 3,
        "speaker": 2,
        "label": "Alice",
        "start": 0.2500625,
        "end": 1.0,
        "start_sample": 4_001,
        "end_sample": 16_000,
        "was": 1,
    }


def test_a_result() -> None:
    value = everything()[-1]
    assert value["speakers"] == [{"label": "SPEAKER_00", "name": "Alice", "seconds": 1.0, "turns": 1}]
    assert value["mapping"] == {"S2": "SPEAKER_00"}
    assert value["differences"][0]["final"] == [] and value["differing"] == 0.5
    assert records.result(Diarization("x", 0, (), (), ()), None)["mapping"] == {}


def test_lines_are_ascii_and_one_each() -> None:
    named = state_of("1: 0-1", names={1: "\u2028Zoë\n"})
    for line in records.lines([SpeakerNamed(1, "\u2028Zoë\n"), TurnFinal(1, 9, 1, SPAN)], named):
        assert line.isascii() and "\n" not in line
        assert "Zoë" in json.dumps(json.loads(line), ensure_ascii=False)


@pytest.mark.parametrize("sample", [0, 1, 15_999, 16_000 * 43_200 + 1])
def test_seconds_are_exact(sample: int) -> None:
    assert round(records.exact(sample) * 16_000) == sample


def test_the_events_can_be_read_back_and_folded() -> None:
    events: list[Event] = [
        SpeakerCreated(1, 100),
        TurnStarted(1, 1, 1, Span(0, 50)),
        SpeakerCreated(2, 100),
        TurnRelabelled(1, 2, 1, 2, Span(0, 60)),
        TurnFinal(1, 3, 2, Span(0, 60)),
        Watermark(70, 100),
    ]
    state = fold(state_of(""), events)
    turns: dict[int, tuple[int, int, int]] = {}
    for line in records.lines(events, state):
        value = json.loads(line)
        if value["type"].startswith("turn_"):
            turns[value["turn"]] = (value["speaker"], value["start_sample"], value["end_sample"])
    assert turns == {number: (t.speaker, t.span.start, t.span.end) for number, t in state.turns.items()}
