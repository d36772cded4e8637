"""The thread behind a live call: everything heard, commands obeyed, devices lost and found, errors survived."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from speakrs_clients.worker import LiveStream, Worker
from speakrs_stream.core.events import Event, TurnFinal
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.errors import AudioError, BadFormat, DeviceLost, ModelError, SessionError
from tests.clients.stand_ins import FakeEngine, ScriptedSource, chopped, sound

PIECES = chopped(sound())


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


def finished(worker: Worker, source: ScriptedSource) -> Worker:
    """Run to the end."""
    worker.start()
    assert worker.wait(30)
    assert source.closed
    return worker


def test_a_call_is_heard_to_its_end(engine: FakeEngine) -> None:
    heard: list[tuple[list[Event], StreamState]] = []
    source = ScriptedSource([PIECES[0], None, *PIECES[1:]])
    worker = Worker(engine.stream(), source, heard=lambda events, state: heard.append((events, state)))
    finished(worker, source)
    assert worker.error is None and worker.result is not None
    assert worker.result.turns == engine.diarize(sound(), sample_rate=SAMPLE_RATE).turns
    finals = [event for events, _ in heard for event in events if isinstance(event, TurnFinal)]
    assert len(finals) == 5
    assert worker.status.finishing and worker.status.airtime.keys() == {1, 2}
    assert sum(entry.turns for entry in worker.status.airtime.values()) == 5
    pace = worker.status.pace
    assert pace.provisional is not None and pace.rtf is not None and 0 < pace.rtf


def test_the_status_forgets_old_turns_but_not_their_airtime(engine: FakeEngine) -> None:
    silence = np.zeros(100 * SAMPLE_RATE, np.float32)
    source = ScriptedSource([*PIECES, *chopped(silence, 10 * SAMPLE_RATE)])
    worker = finished(Worker(engine.stream(step=2), source), source)
    assert worker.status.state.turns == {}
    assert sum(entry.turns for entry in worker.status.airtime.values()) == 5


def test_stopping_keeps_what_was_heard(engine: FakeEngine) -> None:
    source = ScriptedSource([*PIECES[:10], *[None] * 100_000])
    worker = Worker(engine.stream(), source)
    worker.start()
    while source.captured < 80_000:
        time.sleep(0.01)
    worker.stop()
    assert worker.wait(30) and worker.result is not None
    assert worker.result.samples == 80_000


def test_commands_are_obeyed_between_blocks(engine: FakeEngine) -> None:
    source = ScriptedSource([*PIECES, *[None] * 100_000])
    worker = Worker(engine.stream(), source)
    worker.start()
    while len(worker.status.airtime) < 2:
        time.sleep(0.01)
    worker.do(lambda stream: stream.rename(2, "Bob"))
    worker.do(lambda stream: stream.rename(99, "Nobody"))
    messages: list[str] = []
    until = time.monotonic() + 20
    while not messages and time.monotonic() < until:
        messages = worker.messages()
        time.sleep(0.01)
    assert messages == ["there is no speaker 99 in this stream"]
    assert worker.status.state.label(2) == "Bob"
    worker.stop()
    assert worker.wait(30) and worker.result is not None
    assert "Bob" in [speaker.name for speaker in worker.result.speakers]


def test_a_command_just_before_the_end_still_counts(engine: FakeEngine) -> None:
    source = ScriptedSource(PIECES)
    worker = Worker(engine.stream(), source)
    seen: list[Any] = []

    def note(stream: LiveStream) -> list[Event]:
        seen.append(stream.samples)
        return []

    worker.do(note)
    worker.stop()
    finished(worker, source)
    assert seen == [0]


def test_a_lost_device_is_found_again(engine: FakeEngine) -> None:
    source = ScriptedSource([*PIECES[:5], DeviceLost("it was unplugged"), *PIECES[5:]], refusals=1)
    ticks = iter(range(1_000_000))
    worker = Worker(engine.stream(), source, clock=lambda: next(ticks) * 0.3)
    statuses = set()
    worker.start()
    while not worker.done:
        statuses.add(worker.status.lost)
        time.sleep(0.01)
    assert statuses == {"", "it was unplugged"}
    assert source.opened == 3
    assert worker.messages() == ["scripted is back"]
    assert worker.result is not None and worker.result.samples == len(sound())


def test_stopping_while_the_device_is_away(engine: FakeEngine) -> None:
    source = ScriptedSource([*PIECES[:5], DeviceLost("it was unplugged"), *[None] * 1000], refusals=1 << 30)
    worker = Worker(engine.stream(), source)
    worker.start()
    while not worker.status.lost:
        time.sleep(0.01)
    worker.stop()
    assert worker.wait(30) and worker.error is None and worker.result is not None
    assert worker.status.lost == ""


def test_positions_of_lost_sound_are_kept(engine: FakeEngine) -> None:
    source = ScriptedSource(PIECES[:2])
    stream = engine.stream()
    source.captured = SAMPLE_RATE  # a second was lost before the first block
    finished(Worker(stream, source), source)
    assert stream.faults.missing == SAMPLE_RATE and stream.samples == 2 * SAMPLE_RATE


def test_what_breaks_in_the_middle_leaves_what_was_shown() -> None:
    source = ScriptedSource(PIECES)
    worker = finished(Worker(FakeEngine(windows=16).stream(), source), source)
    assert isinstance(worker.error, ModelError) and worker.result is None
    assert worker.salvaged is not None and worker.salvaged.turns


def test_a_source_that_breaks_is_an_error_too(engine: FakeEngine) -> None:
    source = ScriptedSource([BadFormat("damaged")])
    worker = finished(Worker(engine.stream(), source), source)
    assert isinstance(worker.error, BadFormat) and worker.salvaged is None


def test_a_source_that_cannot_be_opened_says_so_at_once(engine: FakeEngine) -> None:
    source = ScriptedSource([], refusals=1)
    source.opened = 1
    with pytest.raises(AudioError, match="not yet"):
        Worker(engine.stream(), source).start()


def test_a_bug_does_not_hang_the_caller(engine: FakeEngine) -> None:
    source = ScriptedSource(PIECES[:3])
    stream = engine.stream()
    stream.finish()
    worker = finished(Worker(stream, source), source)
    assert isinstance(worker.error, SessionError)
