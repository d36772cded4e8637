"""Streams made by an engine with made-up networks that listen: what `finish` gives is what `diarize` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_stream.core.events import SpeakerCreated, SpeakerMerged, SpeakerNamed, TurnStarted, Watermark
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.comparison import differences, match
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.reducer import StreamState, fold
from speakrs_stream.engine import Engine
from speakrs_stream.errors import (
    AudioError,
    BadFormat,
    ConfigError,
    ModelError,
    SessionError,
    SessionFinished,
    SnapshotMismatch,
    WrongRate,
)
from speakrs_stream.inference.base import LoadOptions, Role
from speakrs_stream.inference.fake import FakeNetwork, fake_bundle
from speakrs_stream.stream import Stream, live_config
from tests.live_conversations import CodedBackend, chatter, coded, coded_engine, talks

SETTINGS = LiveConfig(max_delay=3 * SAMPLE_RATE, recluster=2 * SAMPLE_RATE, early=8 * SAMPLE_RATE, recent_items=16)
MEETING = talks("A 0.5-4, B 4.2-8, A 7-12, C 12.5-16, B 17-22")


def meeting(rate: int = SAMPLE_RATE, seconds: float = 24.0) -> NDArray[np.float32]:
    return coded(MEETING, rate, round(seconds * rate))


def pushed(stream: Stream, samples: NDArray[Any], size: int = 5_000) -> Stream:
    for start in range(0, len(samples), size):
        stream.push(samples[start : start + size])
    return stream


def drawn(seed: int) -> tuple[NDArray[np.float32], int, np.random.Generator]:
    """A recording of an awkward length, with its rate."""
    generator = np.random.default_rng((seed, 3))
    rate = int(generator.choice([8_000, 16_000, 16_000, 16_000, 44_100, 48_000]))
    seconds = float(generator.choice([0.0, 0.05, 0.7, 3.0, 10.0, generator.uniform(1, 10), generator.uniform(10, 20)]))
    conversation = chatter(generator, seconds, int(generator.integers(1, 5)))
    return coded(conversation, rate, round(seconds * rate)), rate, generator


@pytest.mark.parametrize("seed", range(200))
def test_the_end_is_what_diarize_finds(seed: int) -> None:
    samples, rate, generator = drawn(seed)
    step = int(generator.choice([SAMPLE_RATE, 2 * SAMPLE_RATE, 48_640, 5 * SAMPLE_RATE]))
    engine = coded_engine(str(generator.choice(["split", "split", "multimask", "padded"])), step)
    stream = engine.stream(sample_rate=rate, live=SETTINGS)
    events, at, heard = [], 0, np.zeros(0, np.float32)
    while at < len(samples):
        size = int(generator.integers(1, 3 * rate))
        jump = int(generator.integers(-rate, rate)) if generator.random() < 0.2 else 0  # a gap or a repeat
        start = max(0, at + jump)
        piece = samples[start : start + size]
        heard = np.pad(heard, (0, max(0, start - len(heard))))
        heard = np.concatenate([heard, piece[max(0, len(heard) - start) :]])
        events += stream.push(piece, at=start)
        at = max(len(heard), start + len(piece))
    result = stream.finish()
    wanted = engine.diarize(heard, sample_rate=rate, uri="stream")
    assert (result.turns, result.exclusive, result.samples) == (wanted.turns, wanted.exclusive, wanted.samples)
    assert result.labels == wanted.labels
    assert stream.faults.missing or result.warnings == wanted.warnings
    for ours, theirs in zip(result.speakers, wanted.speakers, strict=True):
        np.testing.assert_array_equal(ours.embedding, theirs.embedding)

    assert stream.state == fold(StreamState(), [*events, *stream.final_events])
    assert stream.state.watermark == stream.state.processed == stream.samples == result.samples
    assert all(turn.final for turn in stream.state.turns.values())
    live = [(turn.span, turn.speaker) for turn in stream.live().turns]
    final = [(turn.span, turn.speaker) for turn in result.turns]
    assert stream.comparison is not None
    assert stream.comparison.mapping == match(live, final)
    assert list(stream.comparison.differences) == differences(live, final, match(live, final))


@pytest.mark.parametrize("bounds", [{"num_speakers": 2}, {"max_speakers": 2}, {"min_speakers": 4}, {}])
def test_what_is_known_of_the_number_of_speakers_counts_at_the_end(bounds: dict[str, Any]) -> None:
    engine = coded_engine()
    wanted = engine.diarize(meeting(), sample_rate=SAMPLE_RATE, **bounds)
    early = pushed(engine.stream(**bounds), meeting()).finish()
    late = engine.stream(num_speakers=1)
    pushed(late, meeting())
    late.hint(**bounds)
    assert early.turns == late.finish().turns == wanted.turns


def test_a_whole_recording_in_one_push_is_taken_piece_by_piece() -> None:
    engine = coded_engine()
    long = np.concatenate([meeting(), meeting(), meeting()])
    whole, small = engine.stream(live=SETTINGS), engine.stream(live=SETTINGS)
    events = [event for start in range(0, len(long), 7_777) for event in small.push(long[start : start + 7_777])]
    assert whole.push(long) == events
    assert whole.finish().turns == small.finish().turns


def test_sound_that_is_refused_leaves_the_stream_as_it_was() -> None:
    stream = coded_engine().stream(sample_rate=8_000)
    stream.push(meeting(8_000)[:40_000])
    before = stream.snapshot()
    refused: list[tuple[NDArray[Any], dict[str, Any], type[Exception]]] = [
        (np.zeros(5), {"sample_rate": 16_000}, WrongRate),
        (np.zeros((2, 500)), {}, BadFormat),
        (np.zeros(5), {"at": -3}, AudioError),
        (np.zeros(5), {"at": 10**9}, AudioError),
    ]
    for samples, extra, error in refused:
        with pytest.raises(error):
            stream.push(samples, **extra)
    assert stream.snapshot() == before
    assert stream.push(np.zeros(0)) == []


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
def test_a_flush_makes_everything_heard_final_and_the_end_does_not_know_of_it(rate: int) -> None:
    engine, sound = coded_engine(), meeting(rate)
    stream = engine.stream(sample_rate=rate, live=SETTINGS)
    events = []
    for start in range(0, len(sound), 2 * rate + 77):
        events += stream.push(sound[start : start + 2 * rate + 77])
        events += stream.flush()
        assert stream.state.watermark == stream.samples and stream.state.turns
        assert all(turn.final for turn in stream.state.turns.values())
    assert stream.finish().turns == engine.diarize(sound, sample_rate=rate).turns
    assert stream.state == fold(StreamState(), [*events, *stream.final_events])
    with pytest.raises(SessionFinished):
        stream.flush()


class Faulty(CodedBackend):
    """Fails in every third inference as long as it is told to."""

    def __init__(self) -> None:
        self.failing = False
        self.calls = 0

    def load(self, path: Path, role: Role, options: LoadOptions, made: bytes | None = None) -> FakeNetwork:
        network = super().load(path, role, options, made)

        def run(feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            self.calls += 1
            if self.failing and self.calls % 3 == 0:
                raise ModelError("out of memory")
            return network.run(feeds)[network.outputs[0].name]

        return FakeNetwork(network.inputs, network.outputs[0], run)


@pytest.mark.parametrize("kind", ["split", "multimask"])
def test_a_stream_goes_on_after_a_network_failed(kind: str) -> None:
    backend = Faulty()
    engine = Engine(fake_bundle(kind), backend=backend)
    samples = np.concatenate([meeting(), meeting()])
    wanted = coded_engine(kind).stream(live=SETTINGS)
    events = wanted.push(samples)
    stream, backend.failing = engine.stream(live=SETTINGS), True
    got, failures = [], 0
    for start in range(0, len(samples), 5 * SAMPLE_RATE):
        try:
            got += stream.push(samples[start : start + 5 * SAMPLE_RATE])
        except ModelError:
            failures += 1
    while stream.comparison is None:
        try:
            result = stream.finish()
        except ModelError:
            failures += 1
            assert failures < 200
    assert failures > 3
    assert result.turns == wanted.finish().turns
    assert [*got, *stream.final_events] == [*events, *wanted.final_events]

    whole, backend.calls = engine.stream(live=SETTINGS), 1
    with pytest.raises(ModelError):
        whole.push(samples)
    backend.failing = False
    assert whole.push(np.zeros(0)) == events, "all of the sound was kept"

    calm, flushed, at = coded_engine(kind).stream(live=SETTINGS), engine.stream(live=SETTINGS), 199_999
    events = calm.push(samples[:at])
    assert flushed.push(samples[:at]) == events
    events, backend.failing, backend.calls = calm.flush() + calm.push(samples[at:]), True, 2
    with pytest.raises(ModelError):
        flushed.flush()
    backend.failing = False
    assert flushed.push(samples[at:]) == events, "the flush took its place"


def test_a_finished_stream_says_so() -> None:
    stream = pushed(coded_engine().stream(), meeting(seconds=4))
    assert stream.comparison is None and stream.final_events == ()
    stream.finish()
    with pytest.raises(SessionFinished, match="open a new one"):
        stream.push(np.zeros(100))
    with pytest.raises(SessionError, match="finished already"):
        stream.finish()
    assert stream.rename(1, "Ann") == [SpeakerNamed(1, "Ann")]
    assert stream.live().speakers[0].name == "Ann"


# -- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_restored_stream_goes_on(rate: int) -> None:
    engine = coded_engine()
    generator = np.random.default_rng(rate)
    samples = meeting(rate)
    straight, restored = (engine.stream(sample_rate=rate, uri="x", live=SETTINGS) for _ in range(2))
    events, again, at = [], [], 0
    while at < len(samples):
        piece = samples[at : at + int(generator.integers(1, rate))]
        at += len(piece)
        events += straight.push(piece)
        again += restored.push(piece)
        restored = engine.restore(restored.snapshot(), live=SETTINGS)
        assert restored.uri == "x"
    restored = engine.restore(restored.snapshot(), live=SETTINGS)
    first, second = straight.finish(), restored.finish()
    assert again + list(restored.final_events) == events + list(straight.final_events)
    assert (first.turns, first.samples) == (second.turns, second.samples)
    assert straight.report == restored.report and straight.faults == restored.faults
    assert straight.comparison == restored.comparison


def test_a_stream_saved_after_its_end_can_be_finished_once_more() -> None:
    engine = coded_engine()
    stream = pushed(engine.stream(), meeting())
    stream.rename(2, "Bob")
    result = stream.finish()
    again = engine.restore(stream.snapshot())
    assert again.state == stream.state
    with pytest.raises(SessionFinished):
        again.push(np.zeros(10))
    assert again.finish() == result and again.comparison == stream.comparison and again.final_events == ()
    with pytest.raises(SessionError):
        again.finish()


def test_other_settings_another_bundle_and_damage_are_refused() -> None:
    engine = coded_engine()
    data = pushed(engine.stream(live=SETTINGS), meeting(seconds=12)).snapshot()
    assert engine.restore(data, live=SETTINGS).samples == 12 * SAMPLE_RATE
    others: list[Callable[[], Stream]] = [
        lambda: engine.restore(data),
        lambda: engine.restore(data, live=SETTINGS, step=2.0),
        lambda: engine.restore(data, live=SETTINGS, max_delay=5.0),
        lambda: engine.restore(data, live=SETTINGS, recluster=5.0),
        lambda: coded_engine("multimask").restore(data, live=SETTINGS),
        lambda: coded_engine("split", 2 * SAMPLE_RATE).restore(data, live=SETTINGS),
    ]
    for other in others:
        with pytest.raises(SnapshotMismatch):
            other()
    generator = np.random.default_rng(0)
    for _ in range(60):
        place = int(generator.integers(len(data)))
        broken = bytearray(data)
        broken[place] ^= 1 << int(generator.integers(8))
        for bad in (bytes(broken), data[:place], data[place:]):
            with pytest.raises(SnapshotMismatch):
                engine.restore(bad, live=SETTINGS)


# -- settings --------------------------------------------------------------------------------------------------------


def test_seconds_become_samples() -> None:
    assert live_config() == LiveConfig()
    assert live_config(max_delay=1.5).max_delay == 24_000
    assert live_config(SETTINGS, recluster=0.25) == replace(SETTINGS, recluster=4_000)
    for wrong in (0.5, 121.0):
        with pytest.raises(ConfigError):
            live_config(max_delay=wrong)
    with pytest.raises(ConfigError):
        live_config(recluster=0.0)
    stream = coded_engine().stream(max_delay=2.0, step=0.96)
    assert stream.live_config.max_delay == 32_000 and stream.config.step == 15_360


def test_a_longer_delay_keeps_the_watermark_further_back() -> None:
    for delay in (2.0, 4.0, 9.0):
        stream = coded_engine().stream(max_delay=delay)
        marks = [e for e in stream.push(meeting()) if isinstance(e, Watermark)]
        behind = [mark.processed - mark.until for mark in marks if mark.until]
        waits = (delay - 1) * SAMPLE_RATE  # for the window after this one
        assert behind and max(behind) <= waits and min(behind) > waits - 0.05 * SAMPLE_RATE


# -- people ----------------------------------------------------------------------------------------------------------


def test_enrolled_voices_are_called_by_name() -> None:
    engine = coded_engine()
    ann = engine.voice(coded(talks("A 0-9"), SAMPLE_RATE, 10 * SAMPLE_RATE), sample_rate=SAMPLE_RATE)
    cleo = engine.voice(coded(talks("C 0-9"), SAMPLE_RATE, 10 * SAMPLE_RATE), sample_rate=SAMPLE_RATE)
    stream = engine.stream(voices={"Ann": ann, "Cleo": cleo})
    events = stream.push(meeting())
    assert [event.name for event in events if isinstance(event, SpeakerNamed)] == ["Ann", "Cleo"]
    result = stream.finish()
    assert [speaker.name for speaker in stream.live().speakers] == ["Ann", None, "Cleo"]
    assert [speaker.name for speaker in result.speakers] == ["Ann", None, "Cleo"]

    late = pushed(engine.stream(), meeting())
    assert late.enrol("Cleo", cleo) == [SpeakerNamed(3, "Cleo")]
    with pytest.raises(ConfigError, match="16 finite numbers"):
        late.enrol("Bob", np.zeros(15))
    with pytest.raises(ConfigError, match="16 finite numbers"):
        late.enrol("Bob", np.full(16, np.nan))


def test_a_silent_recording_has_no_voice() -> None:
    with pytest.raises(BadFormat, match="too little clear speech"):
        coded_engine().voice(np.zeros(5 * SAMPLE_RATE, np.float32), sample_rate=SAMPLE_RATE)


def test_what_is_shown_follows_merges_and_names() -> None:
    stream = pushed(coded_engine().stream(), meeting(seconds=18))
    stream.rename(1, "Ann")
    assert stream.same(2, 1) == [SpeakerMerged(2, 1)]
    shown = stream.live()
    assert shown.labels == ("S1", "S3") and shown.speakers[0].name == "Ann"
    assert [(round(turn.start, 1), turn.speaker) for turn in shown.turns][:2] == [(0.5, "S1"), (4.2, "S1")]
    assert all(first.span.end < second.span.start for first, second in pairwise(shown.turns))


def test_unknown_speakers_and_turns_are_refused() -> None:
    stream = pushed(coded_engine().stream(), meeting())
    commands: list[Callable[[], object]] = [
        lambda: stream.rename(9, "Eve"),
        lambda: stream.same(9, 1),
        lambda: stream.same(1, 9),
        lambda: stream.different(1, 0),
        lambda: stream.reject(99),
    ]
    for command in commands:
        with pytest.raises(SessionError):
            command()


def test_events_come_from_the_first_second_on() -> None:
    stream = coded_engine().stream()
    events = stream.push(coded(talks("A 0.2-9"), SAMPLE_RATE, SAMPLE_RATE))
    assert isinstance(events[0], SpeakerCreated) and isinstance(events[1], TurnStarted)
    assert stream.state.processed == SAMPLE_RATE and stream.live().turns[0].start < 0.3
