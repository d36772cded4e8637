from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import get_args, get_type_hints

import pytest

from speakrs_stream.core import events
from speakrs_stream.core.events import EVENTS, Event, SpeakerSplit, TurnFinal, TurnStarted, Watermark
from speakrs_stream.core.grid import Span


def test_every_event_is_listed() -> None:
    defined = [kind for kind in vars(events).values() if is_dataclass(kind) and kind is not Span]
    assert set(EVENTS) == set(defined) == {kind for part in get_args(Event) for kind in get_args(part) or [part]}
    assert len(EVENTS) == len(set(EVENTS))


@pytest.mark.parametrize("kind", EVENTS)
def test_events_hold_whole_numbers_and_names_only(kind: type[Event]) -> None:
    """So that they mean the same everywhere: no float, no array, nothing that can change."""
    for name, hint in get_type_hints(kind).items():
        assert hint in (int, str, Span, tuple[int, ...]), name
    assert kind.__doc__ and len(fields(kind)) >= 2


def test_events_are_values() -> None:
    one, same = TurnStarted(1, 1, 2, Span(0, 5)), TurnStarted(1, 1, 2, Span(0, 5))
    assert one == same and hash(one) == hash(same)
    final: object = TurnFinal(1, 1, 2, Span(0, 5))
    assert one != final
    assert {SpeakerSplit(1, (1, 2)), SpeakerSplit(1, (1, 2))} == {SpeakerSplit(1, (1, 2))}
    with pytest.raises(FrozenInstanceError):
        Watermark(1, 2).until = 3  # type: ignore[misc]
