"""Events for listeners who were promised that a final turn keeps its speaker: no merges, later turns told as merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from speakrs_stream.core.events import Event, SpeakerMerged, TurnFinal, TurnRelabelled, TurnRevised, TurnStarted


class Merging:
    """Numbers that were given up stand for others from then on; nobody is told that they are one."""

    def __init__(self, merged: Mapping[int, int]) -> None:
        """merged: numbers that were given up before, with those that stand for them."""
        self._merged = dict(merged)

    def push(self, events: Iterable[Event]) -> list[Event]:
        """Events as they are to be told."""
        out: list[Event] = []
        for event in events:
            match event:
                case SpeakerMerged():
                    self._merged[event.speaker] = event.into
                case TurnStarted() | TurnRevised() | TurnRelabelled() | TurnFinal():
                    out.append(replace(event, speaker=self._who(event.speaker)))
                case _:
                    out.append(event)
        return out

    def _who(self, number: int) -> int:
        while number in self._merged:
            number = self._merged[number]
        return number
