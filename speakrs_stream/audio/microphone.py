"""A microphone: the device's callback fills a bounded ring, a reader empties it, and what was lost is counted.

The callback does nothing but copy. A reader that falls behind loses the oldest sound, never the newest, and every
block says where it lies, so that a gap can become silence of the right length. PortAudio through sounddevice.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Condition
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.audio.live import LONGEST_GAP
from speakrs_stream.audio.pcm import CLIPPED, to_mono
from speakrs_stream.errors import AudioError, ConfigError, DeviceLost, MissingExtra

Samples = NDArray[np.float32]

CAPACITY = 30.0
"""Seconds of sound that wait for a reader at most."""

STALLED = 3.0
"""Seconds without any sound after which a device counts as lost."""

SILENCE = -120.0
"""Decibels that stand for no sound at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Sound as it was recorded."""

    at: int
    """Position of the first sample since the start, at the device's rate; lost sound counts."""

    samples: Samples
    """(n,) or (n, channels)."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it has been lately, in dB of full scale."""

    rms: float = SILENCE
    """Power over about a tenth of a second."""

    peak: float = SILENCE
    """Largest sample of about the last second."""

    clipped: int = 0
    """Samples at full scale since the start."""


class SoundSource(Protocol):
    """Anything that sound comes from while time passes: a microphone, or a recording that plays one."""

    name: str
    """For people."""

    sample_rate: int
    """Hertz."""

    @property
    def captured(self) -> int:
        """Samples since the start, lost ones included."""
        ...

    @property
    def dropped(self) -> int:
        """Samples that were lost."""
        ...

    @property
    def level(self) -> Level:
        """How loud it is."""
        ...

    def open(self) -> None:
        """Start listening; also after it was lost. Raises AudioError where that cannot be."""
        ...

    def pause(self) -> None:
        """Hear nothing until `resume`; the clock stands still."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def read(self, timeout: float) -> Block | None:
        """The next block, or None after `timeout` seconds without one. DeviceLost when there is no device any more."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will ever come again: a recording has an end, a microphone has none."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class Ring:
    """Blocks between a thread that cannot wait and one that works; when it is full the oldest are dropped."""

    def __init__(self, capacity: int) -> None:
        """capacity: samples."""
        if capacity < 1:
            raise ConfigError(f"a ring needs room for at least one sample, got {capacity}")
        self._capacity = capacity
        self._blocks: deque[Block] = deque()
        self._held = 0
        self._change = Condition()
        self.captured = 0
        """Samples pushed or skipped since the start."""
        self.dropped = 0
        """Samples skipped, or pushed out before anybody took them."""

    def push(self, samples: Samples) -> None:
        """Add a copy of samples (n,) or (n, channels); never waits for a reader."""
        kept = np.array(samples[-self._capacity :], np.float32)
        with self._change:
            at = self.captured + len(samples) - len(kept)
            self.dropped += len(samples) - len(kept)
            self.captured += len(samples)
            while self._blocks and self._held + len(kept) > self._capacity:
                gone = len(self._blocks.popleft().samples)
                self._held -= gone
                self.dropped += gone
            if len(kept):
                self._blocks.append(Block(at, kept))
                self._held += len(kept)
            self._change.notify_all()

    def skip(self, samples: int) -> None:
        """Sound was lost before it got here: what follows lies later."""
        with self._change:
            self.captured += max(0, samples)
            self.dropped += max(0, samples)

    def take(self, timeout: float) -> Block | None:
        """The oldest block; None where none comes within `timeout` seconds."""
        with self._change:
            if not self._change.wait_for(lambda: self._blocks, timeout):
                return None
            block = self._blocks.popleft()
            self._held -= len(block.samples)
            self._change.notify_all()
            return block

    def wait_for_room(self, samples: int, timeout: float) -> bool:
        """Wait until `samples` more fit; False where they do not within `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._held + samples <= self._capacity, timeout)

    @property
    def waiting(self) -> int:
        """Samples that nobody has taken yet."""
        with self._change:
            return self._held


class LevelMeter:
    """Levels of sound pushed block by block; bounded, and cheap enough for a callback."""

    def __init__(self, sample_rate: int) -> None:
        self._rms_span, self._peak_span = sample_rate // 10, sample_rate
        self._position = 0
        self._clipped = 0
        self._recent: deque[tuple[int, int, float, float]] = deque()  # end, length, sum of squares, peak

    def push(self, samples: Samples) -> None:
        """Add sound (n,) or (n, channels)."""
        if not samples.size:
            return
        sane = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        mono, magnitude = to_mono(sane), np.abs(sane)
        self._position += len(samples)
        self._clipped += int((magnitude >= CLIPPED).sum())
        power = float(np.dot(mono, mono))
        self._recent.append((self._position, len(samples), power, float(magnitude.max())))
        while self._recent[0][0] <= self._position - self._peak_span:
            self._recent.popleft()

    @property
    def level(self) -> Level:
        """As it stands; safe to ask from another thread."""
        recent = list(self._recent)
        power, length = 0.0, 0
        for _, count, squares, _ in reversed(recent):
            power, length = power + squares, length + count
            if length >= self._rms_span:
                break
        rms = math.sqrt(power / length) if length else 0.0
        return Level(decibels(rms), decibels(max((peak for *_, peak in recent), default=0.0)), self._clipped)


def decibels(amplitude: float) -> float:
    """20 log10 of an amplitude of which 1 is full scale; `SILENCE` at least."""
    return max(SILENCE, 20 * math.log10(amplitude)) if amplitude > 0 else SILENCE


# -- devices ---------------------------------------------------------------------------------------------------------


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
