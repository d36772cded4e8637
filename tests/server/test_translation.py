"""Every event of the core has its message, in milliseconds."""

from __future__ import annotations

from speakrs_server.messages import encode, plain
from speakrs_server.translation import message_of
from speakrs_stream.core import events
from speakrs_stream.core.grid import Span

SPAN = Span(16_000, 24_008)


def told(event: events.Event) -> dict[str, object]:
    return plain(message_of(event))


def test_turns() -> None:
    assert told(events.TurnStarted(35, 1, 2, SPAN)) == {
        "type": "turn.provisional",
        "turn": "t_0013",
        "rev": 1,
        "speaker": "S2",
        "start_ms": 1000,
        "end_ms": 1501,
    }
    assert told(events.TurnRevised(1, 2, 2, SPAN))["rev"] == 2
    assert told(events.TurnRelabelled(1, 3, 2, 4, SPAN)) | {"rev": 0} == {
        "type": "turn.provisional",
        "turn": "t_0001",
        "rev": 0,
        "speaker": "S4",
        "start_ms": 1000,
        "end_ms": 1501,
        "was": "S2",
    }
    final = message_of(events.TurnFinal(1, 4, 2, SPAN), lambda sample: sample)
    assert plain(final)["latency_ms"] == SPAN.end
    assert told(events.TurnRetracted(1, 5)) == {"type": "turn.retracted", "seq": 0, "turn": "t_0001", "rev": 5}


def test_speakers_and_watermark() -> None:
    assert told(events.SpeakerCreated(3, 16_000)) == {
        "type": "speaker.created",
        "seq": 0,
        "speaker": "S3",
        "at_ms": 1000,
    }
    assert told(events.SpeakerMerged(3, 1)) == {"type": "speaker.merged", "seq": 0, "speaker": "S3", "into": "S1"}
    assert told(events.SpeakerSplit(1, (1, 4)))["into"] == ("S1", "S4")
    assert told(events.SpeakerNamed(1, "Ann"))["name"] == "Ann"
    assert told(events.Watermark(16_000, 32_000)) == {
        "type": "watermark",
        "seq": 0,
        "final_until_ms": 1000,
        "processed_until_ms": 2000,
    }


def test_every_event_can_be_told() -> None:
    made: list[events.Event] = [
        events.TurnStarted(1, 1, 1, SPAN),
        events.TurnRevised(1, 2, 1, SPAN),
        events.TurnRelabelled(1, 3, 1, 2, SPAN),
        events.TurnFinal(1, 4, 1, SPAN),
        events.TurnRetracted(2, 2),
        events.SpeakerCreated(1, 0),
        events.SpeakerMerged(2, 1),
        events.SpeakerSplit(1, (1, 2)),
        events.SpeakerNamed(1, "Ann"),
        events.Watermark(0, 0),
    ]
    assert {type(event) for event in made} == set(events.EVENTS)
    assert all(encode(message_of(event)) for event in made)
