"""A recording that plays the microphone: its pace, its pauses, what is lost when nobody listens, and its end."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_clients.replay import BLOCK, Replay
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import BadFormat, ConfigError, DeviceLost
from tests.clients.stand_ins import recorded, sound

SECOND = np.linspace(-0.5, 0.5, SAMPLE_RATE, dtype=np.float32)


def everything(replay: Replay, patience: float = 10.0) -> NDArray[np.float32]:
    """Read until the end; blocks must follow each other without a gap."""
    pieces: list[NDArray[np.float32]] = []
    until = time.monotonic() + patience
    while not replay.ended and time.monotonic() < until:
        block = replay.read(0.1)
        if block is not None:
            assert block.at == sum(len(piece) for piece in pieces)
            pieces.append(block.samples)
    assert replay.ended
    return np.concatenate(pieces)


def test_a_file_comes_out_whole(tmp_path: Path) -> None:
    replay = Replay.of(recorded(tmp_path / "call.wav"), speed=0)
    replay.open()
    heard = everything(replay)
    assert replay.name == "call.wav" and replay.sample_rate == SAMPLE_RATE
    np.testing.assert_allclose(heard, sound(), atol=1e-4)
    assert replay.captured == len(heard) and replay.dropped == 0
    assert replay.read(0.0) is None
    replay.close()


def test_a_reader_that_does_not_read_loses_nothing_at_speed_0() -> None:
    replay = Replay("x", lambda: [np.tile(SECOND, 5)], speed=0, capacity=1.0)
    replay.open()
    time.sleep(0.05)
    assert replay.captured <= SAMPLE_RATE
    assert len(everything(replay)) == 5 * SAMPLE_RATE and replay.dropped == 0


def test_the_pace_is_that_of_time() -> None:
    replay = Replay("x", lambda: [SECOND], speed=5.0)
    began = time.monotonic()
    replay.open()
    everything(replay)
    assert 0.18 <= time.monotonic() - began < 2.0


def test_what_nobody_takes_in_time_is_lost_and_counted() -> None:
    replay = Replay("x", lambda: [np.tile(SECOND, 4)], speed=100.0, capacity=1.0)
    replay.open()
    until = time.monotonic() + 10
    while replay.captured < 4 * SAMPLE_RATE and time.monotonic() < until:
        time.sleep(0.01)
    block = replay.read(1.0)
    assert block is not None and block.at == replay.dropped == 3 * SAMPLE_RATE
    np.testing.assert_array_equal(block.samples, SECOND[:BLOCK])
    replay.close()


def test_a_pause_stops_the_recording() -> None:
    replay = Replay("x", lambda: [np.tile(SECOND, 3)], speed=50.0)
    replay.pause()
    replay.open()
    time.sleep(0.1)
    assert replay.captured == 0 and not replay.ended
    replay.resume()
    assert len(everything(replay)) == 3 * SAMPLE_RATE


def test_closing_in_the_middle() -> None:
    for speed in (0.0, 1.0):
        replay = Replay("x", lambda: [np.tile(SECOND, 100)], speed=speed, capacity=1.0)
        replay.open()
        replay.close()
        while replay.read(0.0) is not None:
            pass
        assert replay.ended
    replay.pause()
    replay.close()


def test_what_goes_wrong_is_raised_where_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadFormat, match="no such file"):
        Replay.of(tmp_path / "absent.wav")
    with pytest.raises(ConfigError, match="speed"):
        Replay("x", lambda: [], speed=-1)

    def broken() -> list[NDArray[np.float32]]:
        raise BadFormat("the file is damaged")

    replay = Replay("x", broken)
    replay.open()
    with pytest.raises(BadFormat, match="damaged"):
        for _ in range(100):
            replay.read(0.1)
    with pytest.raises(DeviceLost, match="played already"):
        replay.open()


def test_the_level_is_that_of_what_was_played() -> None:
    replay = Replay("x", lambda: [np.full(BLOCK, 0.5, np.float32)], speed=0)
    replay.open()
    everything(replay)
    assert replay.level.rms == pytest.approx(-6.02, abs=0.01)
