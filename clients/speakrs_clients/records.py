"""Events as JSON objects, one a line, for programs; docs/live.md lists every field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from speakrs_stream.core.events import (
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
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.diarization import Diarization
from speakrs_stream.stream import Comparison

FORMAT, VERSION = "speakrs-events", 1


def started(uri: str, *, bundle: str, step: int | None, max_delay: int) -> dict[str, Any]:
    """The first line: what follows. step, max_delay: samples at 16 kHz; no step where a server does not tell."""
    return {
        "type": "started",
        "format": FORMAT,
        "version": VERSION,
        "uri": uri,
        "sample_rate": SAMPLE_RATE,
        "bundle": bundle,
        "step": None if step is None else exact(step),
        "max_delay": exact(max_delay),
    }


def record(event: Event, state: StreamState) -> dict[str, Any]:
    """One event. Positions are in seconds and, with `_sample` in their name, in samples at 16 kHz.

    state: after the events that came with this one; it has the names
    """
    match event:
        case TurnStarted() | TurnRevised() | TurnFinal():
            return {"type": NAMES[type(event)], **_turn(event, state)}
        case TurnRelabelled():
            return {"type": "turn_relabelled", **_turn(event, state), "was": event.was}
        case TurnRetracted():
            return {"type": "turn_retracted", "turn": event.turn, "revision": event.revision}
        case SpeakerCreated():
            label = state.label(event.speaker)
            at = {"at": exact(event.at), "at_sample": event.at}
            return {"type": "speaker_created", "speaker": event.speaker, "label": label, **at}
        case SpeakerMerged():
            return {"type": "speaker_merged", "speaker": event.speaker, "into": event.into}
        case SpeakerSplit():
            return {"type": "speaker_split", "speaker": event.speaker, "into": list(event.into)}
        case SpeakerNamed():
            return {"type": "speaker_named", "speaker": event.speaker, "name": event.name}
        case Watermark():
            return {
                "type": "watermark",
                "until": exact(event.until),
                "until_sample": event.until,
                "processed": exact(event.processed),
                "processed_sample": event.processed,
            }
        case _:
            assert_never(event)


NAMES: Mapping[type[Event], str] = {
    TurnStarted: "turn_started",
    TurnRevised: "turn_revised",
    TurnFinal: "turn_final",
}


def result(diarization: Diarization, comparison: Comparison | None) -> dict[str, Any]:
    """The last line: the final result, which live speaker is which of its speakers, and where the two differ."""
    airtime = diarization.airtime()
    found = comparison.differences if comparison is not None else ()
    return {
        "type": "result",
        "uri": diarization.uri,
        "duration": exact(diarization.samples),
        "bundle": diarization.bundle,
        "speakers": [
            {
                "label": speaker.label,
                "name": speaker.name,
                "seconds": round(airtime[speaker.label][0], 7),
                "turns": airtime[speaker.label][1],
            }
            for speaker in diarization.speakers
        ],
        "turns": [{**_span(turn.span), "speaker": turn.speaker} for turn in diarization.turns],
        "mapping": dict(comparison.mapping) if comparison is not None else {},
        "differences": [
            {**_span(difference.span), "live": list(difference.live), "final": list(difference.final)}
            for difference in found
        ],
        "differing": exact(sum(difference.span.samples for difference in found)),
        "warnings": list(diarization.warnings),
    }


def failed(message: str) -> dict[str, Any]:
    """The last line of a stream that could not go on."""
    return {"type": "failed", "message": message}


def line(value: Mapping[str, Any]) -> str:
    """An object as one line of ASCII: U+2028 and its kind would be line ends to some readers."""
    return json.dumps(value, separators=(", ", ": "))


def lines(events: Iterable[Event], state: StreamState) -> list[str]:
    """Events that came together as lines."""
    return [line(record(event, state)) for event in events]


def exact(samples: int) -> float:
    """Samples at 16 kHz as seconds; a sixteen-thousandth has seven decimals at most."""
    return round(samples / SAMPLE_RATE, 7)


def _turn(event: TurnStarted | TurnRevised | TurnRelabelled | TurnFinal, state: StreamState) -> dict[str, Any]:
    return {
        "turn": event.turn,
        "revision": event.revision,
        "speaker": event.speaker,
        "label": state.label(event.speaker),
        **_span(event.span),
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "start": exact(span.start),
        "end": exact(span.end),
        "start_sample": span.start,
        "end_sample": span.end,
    }
