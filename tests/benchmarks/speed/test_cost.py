from __future__ import annotations

import pytest

from benchmarks.speed.cost import answered, live_cost, offline_cost, opened
from tests.benchmarks.speed.small import RATE, fake_engine, noise


def test_a_stream_hears_its_audio_again_and_again() -> None:
    engine = fake_engine()
    (stream,) = opened(engine, [noise(5 / RATE)])
    stream.hear(3)
    stream.hear(9)
    assert stream.heard == 12 and stream.session.samples == 12


def test_every_question_is_answered_to_the_stream_that_asked() -> None:
    engine = fake_engine()
    streams = opened(engine, [noise(12), noise(12, 1), noise(12, 2)])
    for stream in streams:
        stream.hear(12 * RATE)
    told = list(answered(streams, engine))
    assert not any(stream.session.busy for stream in streams)
    for stream in streams:
        assert stream.session.state.processed == 12 * RATE
        assert stream.shown == sum(owner is stream for owner, _ in told) > 0


@pytest.mark.parametrize("streams", [1, 3])
def test_costs_are_positive_and_finite(streams: int) -> None:
    engine = fake_engine()
    assert 0 < live_cost(engine, [noise(12, seed) for seed in range(streams)], 3.0) < 10
    assert 0 < offline_cost(engine, noise(12)) < 10
