"""The microphone on a stand-in for sounddevice: devices, overflows, loss and return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from speakrs_stream.audio.capture import SILENCE
from speakrs_stream.audio.microphone import STALLED, Microphone, devices, find_device
from speakrs_stream.errors import AudioError, DeviceLost

RATE = 1_000


def ramp(start: int, count: int) -> Any:
    return np.arange(start, start + count, dtype=np.float32)[:, None] / 1e6


# -- a stand-in for sounddevice --------------------------------------------------------------------------------------


@dataclass
class Status:
    input_overflow: bool = False


@dataclass
class When:
    inputBufferAdcTime: float


@dataclass
class InputStream:
    """Gives sound when a test says so."""

    device: int
    channels: int
    samplerate: int
    dtype: str
    callback: Callable[..., None]
    active: bool = False
    log: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.active = True

    def abort(self) -> None:
        self.active = False
        self.log.append("abort")

    def close(self) -> None:
        self.log.append("close")

    def give(self, samples: Any, at: float, *, overflow: bool = False) -> None:
        """What PortAudio's thread does. at: the device's clock, in seconds."""
        self.callback(samples, len(samples), When(at), Status(overflow))


class FakePortAudio:
    """The face of the module sounddevice."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.listed = [
            {"name": "Speakers", "hostapi": 0, "max_input_channels": 0, "default_samplerate": 48_000.0},
            {"name": "Webcam", "hostapi": 0, "max_input_channels": 2, "default_samplerate": 32_000.0},
            {"name": "Headset", "hostapi": 1, "max_input_channels": 1, "default_samplerate": float(RATE)},
        ]
        self.default = type("Default", (), {"device": (2, 0)})()
        self.streams: list[InputStream] = []
        self.fewest = 1
        self.broken = ""
        self.restarts = 0

    def query_hostapis(self) -> Any:
        if self.broken:
            raise self.PortAudioError(self.broken, -9999)
        return [{"name": "ALSA"}, {"name": "Pulse"}]

    def query_devices(self) -> Any:
        return self.listed

    def InputStream(self, **options: Any) -> InputStream:
        if options["channels"] < self.fewest:
            raise self.PortAudioError("Invalid number of channels", -9998)
        if self.broken:
            raise self.PortAudioError(self.broken, -9999)
        self.streams.append(InputStream(**options))
        return self.streams[-1]

    def _terminate(self) -> None:
        self.restarts += 1

    def _initialize(self) -> None:
        pass


@pytest.fixture
def library() -> FakePortAudio:
    return FakePortAudio()


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


# -- devices ---------------------------------------------------------------------------------------------------------


def test_inputs_are_listed(library: FakePortAudio) -> None:
    found = devices(library)
    assert [(d.index, d.name, d.channels, d.sample_rate, d.default) for d in found] == [
        (1, "Webcam (ALSA)", 2, 32_000, False),
        (2, "Headset (Pulse)", 1, RATE, True),
    ]


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 2), (1, 1), ("1", 1), ("headset", 2), ("WEBCAM (alsa)", 1), ("a (", -1)]
)
def test_a_device_is_found_by_number_or_name(library: FakePortAudio, wanted: str | int | None, index: int) -> None:
    found = devices(library)
    if index < 0:
        with pytest.raises(AudioError, match="no input fits"):
            find_device(wanted, found)
    else:
        assert find_device(wanted, found).index == index


def test_devices_that_cannot_be_found(library: FakePortAudio) -> None:
    found = devices(library)
    with pytest.raises(AudioError, match=r"no input fits '7'; choose one of 1: Webcam \(ALSA\); 2: Headset"):
        find_device(7, found)
    with pytest.raises(AudioError, match="several inputs fit 'e'"):
        find_device("e", found)
    with pytest.raises(AudioError, match="no sound input: plug a microphone in"):
        find_device(None, [])
    library.default.device = (-1, -1)
    assert find_device(None, devices(library)).name == "Webcam (ALSA)"
    library.broken = "Host error"
    with pytest.raises(AudioError, match="asking for the sound devices failed: Host error"):
        devices(library)


# -- the microphone --------------------------------------------------------------------------------------------------


def test_sound_from_the_device(library: FakePortAudio) -> None:
    with Microphone(library=library, clock=Clock()) as microphone:
        (stream,) = library.streams
        assert (microphone.name, microphone.sample_rate) == ("Headset (Pulse)", RATE)
        assert (stream.device, stream.channels, stream.samplerate, stream.dtype) == (2, 1, RATE, "float32")
        stream.give(ramp(0, 20), 5.0)
        stream.give(ramp(20, 20), 5.02)
        blocks = [microphone.read(0.0), microphone.read(0.0)]
        assert [block.at for block in blocks if block] == [0, 20]
        assert microphone.read(0.0) is None and microphone.captured == 40 and not microphone.ended
        assert microphone.level.peak > SILENCE
    assert stream.log == ["abort", "close"]
    assert microphone.read(0.0) is None


def test_a_device_that_gives_no_single_channel(library: FakePortAudio) -> None:
    library.fewest = 2
    with Microphone("webcam", library=library):
        assert library.streams[0].channels == 2
    with pytest.raises(AudioError, match=r"Headset .* cannot be listened to: Invalid number of channels; is it free"):
        Microphone("headset", library=library).open()


def test_a_pause_hears_nothing_and_the_clock_stands(library: FakePortAudio) -> None:
    with Microphone(library=library, clock=Clock()) as microphone:
        (stream,) = library.streams
        stream.give(ramp(0, 20), 0.0)
        microphone.pause()
        stream.give(ramp(20, 20), 0.02)
        microphone.resume()
        stream.give(ramp(40, 20), 9.0, overflow=True)
        blocks = [microphone.read(0.0), microphone.read(0.0)]
        assert [block.at for block in blocks if block] == [0, 20]
        assert microphone.dropped == 0


def test_what_the_device_threw_away_is_counted_by_its_clock(library: FakePortAudio) -> None:
    with Microphone(library=library, clock=Clock()) as microphone:
        (stream,) = library.streams
        stream.give(ramp(0, 20), 7.0)
        stream.give(ramp(20, 20), 7.02)
        stream.give(ramp(90, 20), 7.09, overflow=True)
        stream.give(ramp(110, 20), 7.11, overflow=True)  # flagged, nothing missing
        found = [microphone.read(0.0) for _ in range(4)]
        assert [block.at for block in found if block] == [0, 20, 90, 110]
        assert (microphone.dropped, microphone.captured) == (50, 130)


def test_a_reader_that_is_too_slow_loses_the_oldest(library: FakePortAudio) -> None:
    with Microphone(library=library, capacity=0.1, clock=Clock()) as microphone:
        for index in range(10):
            library.streams[0].give(ramp(20 * index, 20), 0.02 * index)
        block = microphone.read(0.0)
        assert block is not None and block.at == 100
        np.testing.assert_array_equal(block.samples, ramp(100, 20))
        assert microphone.dropped == 100


def test_a_device_that_goes_silent_is_lost_and_found_again(library: FakePortAudio) -> None:
    clock = Clock()
    with Microphone(library=library, clock=clock) as microphone:
        library.streams[0].give(ramp(0, 20), 1.0)
        assert microphone.read(0.0) is not None
        clock.now += STALLED
        assert microphone.read(0.0) is None
        clock.now += 0.5
        with pytest.raises(DeviceLost, match=r"Headset .* gives no sound any more; plug it in again"):
            microphone.read(0.0)
        library.listed.pop()
        library.default.device = (1, 0)
        with pytest.raises(AudioError, match="no input fits 'Headset"):
            microphone.open()  # not another one: that would record what nobody chose
        library.listed.insert(0, {"name": "Headset", "hostapi": 1, "max_input_channels": 1, "default_samplerate": 1e3})
        clock.now += 4.0
        microphone.open()
        assert library.restarts == 2 and library.streams[-1].device == 0
        library.streams[-1].give(ramp(0, 20), 55.0)
        block = microphone.read(0.0)
        assert block is not None and block.at == 20 + 7_500
        assert microphone.dropped == 7_500


def test_a_device_that_stops_is_lost_at_once(library: FakePortAudio) -> None:
    with Microphone(library=library, clock=Clock()) as microphone:
        library.streams[0].active = False
        with pytest.raises(DeviceLost):
            microphone.read(0.0)


def test_a_long_absence_is_no_longer_than_a_stream_can_bridge(library: FakePortAudio) -> None:
    clock = Clock()
    with Microphone(library=library, clock=clock) as microphone:
        clock.now += 10_000
        with pytest.raises(DeviceLost):
            microphone.read(0.0)
        microphone.open()
        assert microphone.captured == 3_600 * RATE
