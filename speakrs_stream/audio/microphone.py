"""A microphone: the device's callback fills a bounded ring, a reader empties it, and what was lost is counted.

The callback does nothing but copy. PortAudio through sounddevice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from speakrs_stream.audio.capture import CAPACITY, Block, Level, LevelMeter, Ring, Samples
from speakrs_stream.audio.live import LONGEST_GAP
from speakrs_stream.errors import AudioError, DeviceLost, MissingExtra

STALLED = 3.0
"""Seconds without any sound after which a device counts as lost."""


@dataclass(frozen=True, slots=True)
class Device:
    """Something with an input."""

    index: int
    """Number that PortAudio gives it, until something is plugged in or out."""

    name: str
    """Its name, with the name of the system it belongs to."""

    channels: int
    """Inputs."""

    sample_rate: int
    """Hertz it likes best."""

    default: bool
    """Whether it is used when none is asked for."""


def portaudio() -> Any:
    """The module sounddevice; MissingExtra without it, AudioError without PortAudio itself."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtra("sounddevice", "mic", "the microphone") from error
    except OSError as error:  # the wheel for Linux does not carry the library
        raise AudioError(
            "the microphone needs the PortAudio library; install it: apt install libportaudio2 (Debian, Ubuntu), "
            "dnf install portaudio (Fedora)"
        ) from error
    return sounddevice


def devices(library: Any = None) -> list[Device]:
    """Everything that has an input.

    library: the module sounddevice, or one with the same face; None imports it
    Raises MissingExtra, and AudioError where the sound system cannot be asked.
    """
    library = library if library is not None else portaudio()
    with failing("asking for the sound devices", library):
        systems = [str(entry["name"]) for entry in library.query_hostapis()]
        default = library.default.device[0]
        return [
            Device(
                index,
                f"{entry['name']} ({systems[entry['hostapi']]})",
                int(entry["max_input_channels"]),
                round(entry["default_samplerate"]),
                index == default,
            )
            for index, entry in enumerate(library.query_devices())
            if entry["max_input_channels"] > 0
        ]


def find_device(wanted: str | int | None, found: list[Device]) -> Device:
    """The device with this number or name, or with this in its name; None for the default one.

    Raises AudioError that lists what there is.
    """
    if not found:
        raise AudioError("there is no sound input: plug a microphone in, and allow this program to use it")
    if wanted is None:
        return next((device for device in found if device.default), found[0])
    if isinstance(wanted, int) or wanted.isdigit():
        fitting = [device for device in found if device.index == int(wanted)]
    else:
        fold = wanted.casefold()
        fitting = [device for device in found if device.name.casefold() == fold]
        fitting = fitting or [device for device in found if fold in device.name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(f"{device.index}: {device.name}" for device in fitting or found)
    what = "several inputs fit" if fitting else "no input fits"
    raise AudioError(f"{what} {str(wanted)!r}; choose one of {listed}")


@contextmanager
def failing(doing: str, library: Any) -> Iterator[None]:
    """Turn what PortAudio and sounddevice raise into AudioError."""
    try:
        yield
    except (library.PortAudioError, ValueError, OSError) as error:
        reason = " ".join(str(part) for part in error.args[:1]) or type(error).__name__
        raise AudioError(f"{doing} failed: {reason}; is the device plugged in and free?") from error


class Microphone:
    """An input device that is listened to; a context manager, and a `SoundSource`."""

    ended = False

    def __init__(
        self,
        device: str | int | None = None,
        *,
        capacity: float = CAPACITY,
        library: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find the device, without listening yet.

        device: number or part of a name as `devices` gives them; None for the default
        capacity: seconds of sound that wait at most; library: the module sounddevice or one with the same face
        clock: seconds
        """
        self._library = library if library is not None else portaudio()
        self._clock = clock
        self._wanted = device
        found = find_device(device, devices(self._library))
        self.name = found.name
        self.sample_rate = found.sample_rate
        self._channels = found.channels
        self._ring = Ring(max(1, round(capacity * self.sample_rate)))
        self._meter = LevelMeter(self.sample_rate)
        self._stream: Any = None
        self._paused = False
        self._heard_at = clock()  # when the device last gave sound
        self._lost = False
        self._before: tuple[float, int] | None = None  # the last block: time on the device's clock, position

    # -- device ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start listening. After a loss: look for the device again; the time it was away counts as lost sound."""
        if self._lost:
            self.close()
            with suppress(Exception):  # forget the old list of devices: PortAudio makes it only once
                self._library._terminate()
                self._library._initialize()
        stream = self._opened(self._again())
        with failing(f"starting {self.name}", self._library):
            away = self._clock() - self._heard_at if self._lost and not self._paused else 0.0
            self._ring.skip(round(min(away, LONGEST_GAP) * self.sample_rate))
            self._before, self._heard_at, self._lost = None, self._clock(), False
            self._stream = stream
            stream.start()

    def _again(self) -> Device:
        """The same device, wherever it is now."""
        found = devices(self._library)
        same = [device for device in found if device.name == self.name]
        return same[0] if same else find_device(self._wanted if not self._lost else self.name, found)

    def _opened(self, device: Device) -> Any:
        """A stream of one channel, or of all where the device gives no fewer."""
        refusal = ""
        for channels in dict.fromkeys((1, device.channels)):
            try:
                return self._library.InputStream(
                    device=device.index,
                    channels=channels,
                    samplerate=self.sample_rate,
                    dtype="float32",
                    callback=self._callback,
                )
            except (self._library.PortAudioError, ValueError) as error:
                refusal = str(error.args[0]) if error.args else type(error).__name__
        raise AudioError(f"{device.name} cannot be listened to: {refusal}; is it free? --list shows other inputs")

    def close(self) -> None:
        """Stop listening; harmless when it is closed already."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(Exception):  # a device that is gone cannot even be closed properly
                stream.abort()
                stream.close()

    def __enter__(self) -> Microphone:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _callback(self, samples: Samples, frames: int, when: Any, status: Any) -> None:
        """Called by PortAudio's own thread: copy and return."""
        self._heard_at = self._clock()
        if self._paused:
            self._before = None
            return
        recorded, position = float(when.inputBufferAdcTime), self._ring.captured
        if status.input_overflow and self._before is not None:
            # The device threw sound away; its clock tells how much since the last time.
            then, at = self._before
            self._ring.skip(at + round((recorded - then) * self.sample_rate) - position)
        self._before = (recorded, self._ring.captured)
        self._meter.push(samples)
        self._ring.push(samples)

    # -- sound -----------------------------------------------------------------------------------------------

    @property
    def captured(self) -> int:
        """Samples since the start, lost ones included."""
        return self._ring.captured

    @property
    def dropped(self) -> int:
        """Samples lost because nobody took them in time, the device was too slow, or it was away."""
        return self._ring.dropped

    @property
    def level(self) -> Level:
        """How loud it is."""
        return self._meter.level

    def pause(self) -> None:
        """Throw away what the device gives until `resume`; the clock stands still."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._heard_at = self._clock()
        self._paused = False

    def read(self, timeout: float) -> Block | None:
        """The next block; None after `timeout` seconds without one. Raises DeviceLost when the device is gone."""
        block = self._ring.take(timeout)
        if block is None and self._stream is not None:
            silent = self._clock() - self._heard_at
            if not self._stream.active or silent > STALLED:
                self._lost = True
                raise DeviceLost(f"{self.name} gives no sound any more; plug it in again")
        return block
