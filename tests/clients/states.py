"""States of a stream written by hand: `"1: 0-4 5-9, 2: 3-6?"` in seconds; `?` marks a turn that may still change."""

from __future__ import annotations

from collections.abc import Mapping

from speakrs_stream.core.events import (
    Event,
    SpeakerCreated,
    SpeakerMerged,
    SpeakerNamed,
    TurnFinal,
    TurnStarted,
    Watermark,
)
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import StreamState, fold


def at(seconds: float) -> int:
    """Samples."""
    return round(seconds * SAMPLE_RATE)


def span(start: float, end: float) -> Span:
    """A span from seconds."""
    return Span(at(start), at(end))


def events_of(
    text: str, *, names: Mapping[int, str] | None = None, merged: Mapping[int, int] | None = None, processed: float = 0
) -> list[Event]:
    """Events that lead to the state written down."""
    out: list[Event] = []
    turn = 0
    for part in filter(None, (part.strip() for part in text.split(","))):
        number, _, spans = part.partition(":")
        out.append(SpeakerCreated(int(number), 0))
        for word in spans.split():
            turn += 1
            start, end = (float(edge) for edge in word.rstrip("?").split("-"))
            out.append(TurnStarted(turn, 1, int(number), span(start, end)))
            if not word.endswith("?"):
                out.append(TurnFinal(turn, 2, int(number), span(start, end)))
    out += [SpeakerNamed(number, name) for number, name in (names or {}).items()]
    out += [SpeakerMerged(number, into) for number, into in (merged or {}).items()]
    out.append(Watermark(0, at(processed)))
    return out


def state_of(
    text: str, *, names: Mapping[int, str] | None = None, merged: Mapping[int, int] | None = None, processed: float = 0
) -> StreamState:
    """The state itself."""
    return fold(StreamState(), events_of(text, names=names, merged=merged, processed=processed))
