"""Channels side by side: numbers that never meet, and an order that does not depend on whose answer comes first."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_server.channels import Channels, Numbering
from speakrs_stream.core.events import Event, SpeakerCreated, SpeakerMerged, TurnFinal, Watermark
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.driver import answer, run
from speakrs_stream.errors import SnapshotMismatch
from speakrs_stream.inference.fake import script, speak
from tests.server.rig import engine

LEFT, RIGHT = "A 0.5-4, B 5-9, A 9.5-13", "C 2-5, D 6-9, C 9.5-13"
LIVE = LiveConfig(max_delay=2 * 16_000)


def opened(count: int = 2) -> Channels:
    return Channels([LiveSession(engine().config, LIVE, engine().model) for _ in range(count)])


def sound(*scripts: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = [speak(script(text)) for text in scripts]
    return np.stack([row[: min(map(len, rows))] for row in rows], axis=1)


def heard(channels: Channels, samples: np.ndarray, order: random.Random | None = None) -> list[Event]:
    """Everything told, answers given in any order that the sessions allow."""
    events: list[Event] = []
    for at in range(0, len(samples), 60_000):
        channels.push(samples[at : at + 60_000])
        events += answered(channels, order)
    events += channels.finish()
    return [*events, *answered(channels, order)]


def answered(channels: Channels, order: random.Random | None) -> list[Event]:
    if order is None:
        return list(answer(channels, engine().networks))
    events: list[Event] = []
    waiting = channels.jobs()
    while waiting:
        owners = [channels._jobs[job.id][0] for job in waiting]  # each session's own stay in order
        at = owners.index(order.choice(owners))
        job = waiting.pop(at)
        events += channels.resolve(job.id, run([job], engine().networks)[0])
        waiting += channels.jobs()
    return events


@given(st.integers(1, 8), st.integers(1, 10**6), st.integers(0, 7))
def test_numbers_never_meet(channels: int, number: int, channel: int) -> None:
    numbering, channel = Numbering(channels), channel % channels
    assert numbering.inner(numbering.outer(number, channel)) == (number, channel)
    assert Numbering().outer(number, 0) == number


def test_one_channel_is_what_its_session_says() -> None:
    alone = LiveSession(engine().config, LIVE, engine().model)
    samples = sound(LEFT)
    events: list[Event] = []
    for at in range(0, len(samples), 60_000):
        alone.push(samples[at : at + 60_000, 0])
        events += answer(alone, engine().networks)
    events += alone.finish()
    assert heard(opened(1), samples) == [*events, *answer(alone, engine().networks)]


def test_each_channel_has_its_own_speakers_and_the_order_of_answers_does_not_matter() -> None:
    samples = sound(LEFT, RIGHT)
    plain = opened()
    events = heard(plain, samples)
    assert {event.speaker for event in events if isinstance(event, SpeakerCreated)} == {1, 2, 3, 4}
    for channel, text in enumerate((LEFT, RIGHT)):
        own = {event.speaker for event in events if isinstance(event, TurnFinal) and event.speaker % 2 == 1 - channel}
        assert len(own) == 2, text
    marks = [event for event in events if isinstance(event, Watermark)]
    assert [mark.until for mark in marks] == sorted(mark.until for mark in marks)
    assert marks[-1].until == len(samples)
    for seed in range(2):
        assert heard(opened(), samples, random.Random(seed)) == events
    assert len(plain.outcomes()) == 2 and not plain.busy and plain.processed == plain.samples


def test_a_save_in_between_does_not_matter() -> None:
    samples = sound(LEFT, RIGHT)
    expected = heard(opened(), samples)
    channels, events = opened(), list[Event]()
    for at in range(0, len(samples), 60_000):
        channels.push(samples[at : at + 60_000])
        events += answered(channels, None)
        saved = channels.snapshot("f")
        shown = list(channels.open_turns())
        channels = Channels.restore(saved, engine().config, LIVE, engine().model, "f")
        assert list(channels.open_turns()) == shown
    events += channels.finish()
    assert [*events, *answered(channels, None)] == expected
    with pytest.raises(SnapshotMismatch):
        Channels.restore(saved, engine().config, LIVE, engine().model, "another")


def test_commands_go_to_one_channel() -> None:
    channels = opened()
    channels.push(sound(LEFT, RIGHT))
    list(answer(channels, engine().networks))
    assert channels.of(1, channels.sessions[1].same(2, 1)) == [SpeakerMerged(4, 2)]
    assert channels.merges() == {4: 2}
