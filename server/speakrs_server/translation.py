"""Events of the core as messages: samples become milliseconds, numbers become names."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from speakrs_server import messages
from speakrs_server.channels import Numbering
from speakrs_server.identifiers import speaker_id, turn_id
from speakrs_stream.core import events
from speakrs_stream.core.grid import Span
from speakrs_stream.formats.text import milliseconds

MIXED = Numbering()
"""Channels are averaged."""
UNNUMBERED = 0
"""`seq` of a durable message that has no place in the log yet."""


def span_ms(span: Span) -> tuple[int, int]:
    """First millisecond and one past the last, as every result file rounds them."""
    return milliseconds(span.start), milliseconds(span.end)


def message_of(
    event: events.Event,
    latency_ms: Callable[[int], int | None] = lambda sample: None,
    numbering: Numbering = MIXED,
) -> messages.ServerMessage:
    """What to tell about an event; durable ones are unnumbered. latency_ms: time since a sample was received;
    numbering: which channel a speaker is heard on."""

    def channel(speaker: int) -> int | None:
        return numbering.inner(speaker)[1] + 1 if numbering.channels > 1 else None

    match event:
        case events.TurnStarted() | events.TurnRevised() | events.TurnRelabelled():
            start, end = span_ms(event.span)
            was = speaker_id(event.was) if isinstance(event, events.TurnRelabelled) else None
            return messages.TurnProvisional(
                turn=turn_id(event.turn),
                rev=event.revision,
                speaker=speaker_id(event.speaker),
                start_ms=start,
                end_ms=end,
                was=was,
                channel=channel(event.speaker),
            )
        case events.TurnFinal():
            start, end = span_ms(event.span)
            return messages.TurnFinal(
                seq=UNNUMBERED,
                turn=turn_id(event.turn),
                rev=event.revision,
                speaker=speaker_id(event.speaker),
                start_ms=start,
                end_ms=end,
                latency_ms=latency_ms(event.span.end),
                channel=channel(event.speaker),
            )
        case events.TurnRetracted():
            return messages.TurnRetracted(seq=UNNUMBERED, turn=turn_id(event.turn), rev=event.revision)
        case events.Watermark():
            return messages.WatermarkMoved(
                seq=UNNUMBERED,
                final_until_ms=milliseconds(event.until),
                processed_until_ms=milliseconds(event.processed),
            )
        case events.SpeakerCreated():
            return messages.SpeakerCreated(
                seq=UNNUMBERED,
                speaker=speaker_id(event.speaker),
                at_ms=milliseconds(event.at),
                channel=channel(event.speaker),
            )
        case events.SpeakerMerged():
            return messages.SpeakerMerged(
                seq=UNNUMBERED, speaker=speaker_id(event.speaker), into=speaker_id(event.into)
            )
        case events.SpeakerSplit():
            return messages.SpeakerSplit(
                seq=UNNUMBERED,
                speaker=speaker_id(event.speaker),
                into=tuple(speaker_id(number) for number in event.into),
            )
        case events.SpeakerNamed():
            return messages.SpeakerNamed(seq=UNNUMBERED, speaker=speaker_id(event.speaker), name=event.name)
        case _:
            assert_never(event)
