"""The thread that owns a live stream: takes sound from a source, obeys commands between blocks, finishes at the end.

Inference takes as long as it takes; neither the device's callback nor whoever looks at keys and screen waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from speakrs_clients.meters import Pace, Paces
from speakrs_clients.terminal import Airtime, airtime
from speakrs_stream.audio.capture import Block, SoundSource
from speakrs_stream.audio.pcm import to_mono
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import AudioError, DeviceLost, SpeakrsError
from speakrs_stream.stream import Comparison

POLL = 0.1
"""Seconds that sound is waited for before commands are looked at again."""

RETRY = 1.0
"""Seconds between attempts to find a lost device again."""

T = TypeVar("T")
RECENT = 90 * SAMPLE_RATE
"""Samples that a screen may look back on."""

NOTHING = np.zeros(0, np.float32)
"""No sound."""


class LiveStream(Protocol):
    """What a worker runs: `Stream`, or a `RemoteStream` on a server."""

    final_events: tuple[Event, ...]
    """Events that `finish` led to."""
    comparison: Comparison | None
    """The final result against what was shown."""

    @property
    def state(self) -> StreamState:
        """What is shown."""
        ...

    @property
    def samples(self) -> int:
        """Samples at 16 kHz that were handed over."""
        ...

    def push(self, samples: ArrayLike, *, at: int | None = None) -> list[Event]:
        """Add sound, or none to learn what happened meanwhile."""
        ...

    def finish(self) -> Diarization:
        """End the stream."""
        ...

    def live(self) -> Diarization:
        """What is shown, as a result."""
        ...

    def rename(self, speaker: int, name: str) -> list[Event]:
        """Give a speaker a name."""
        ...

    def same(self, speaker: int, into: int) -> list[Event]:
        """Two numbers are one person."""
        ...


Command = Callable[[LiveStream], list[Event]]


@dataclass(frozen=True, slots=True)
class Status:
    """What is known at one moment; a value that any thread may keep."""

    state: StreamState = field(default_factory=StreamState)
    """What the stream shows, without turns that ended more than `RECENT` ago."""

    airtime: Mapping[int, Airtime] = field(default_factory=dict)
    """Who spoke how long, from the start."""

    pace: Pace = field(default_factory=Pace)
    """How far behind everything is."""

    lost: str = ""
    """What happened to the device; empty while it is there."""

    finishing: bool = False
    """Whether no more sound is taken."""


class Worker:
    """Runs a stream on a source until told to stop or the source ends."""

    def __init__(
        self,
        stream: LiveStream,
        source: SoundSource,
        *,
        heard: Callable[[list[Event], StreamState], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """stream: opened at the source's rate; nobody else may touch it until `done`

        heard: told of all events, in the worker's thread, with the state after them
        """
        self.stream = stream
        self.status = Status()
        """How things are."""
        self.result: Diarization | None = None
        """The final result, once done."""
        self.salvaged: Diarization | None = None
        """What was shown live when `error` happened."""
        self.error: Exception | None = None
        """What ended the stream before its time."""
        self._source = source
        self._heard = heard
        self._clock = clock
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._stop, self._done = Flag(), Flag()
        self._paces = Paces()
        self._thread = Thread(target=self._run, name="stream", daemon=True)

    # -- from other threads ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the source, which may raise AudioError, and begin."""
        self._source.open()
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end: what was recorded is still worked off, then the result is made."""
        self._stop.set()

    @property
    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self._done.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait for the end; whether it came."""
        return self._done.wait(timeout)

    def do(self, command: Command) -> None:
        """Have a command carried out as soon as the networks pause."""
        self._commands.put(command)

    def messages(self) -> list[str]:
        """What there was to say since the last time."""
        return _drained(self._messages)

    def tell(self, message: str) -> None:
        """Say something to whoever looks at `messages`."""
        self._messages.put(message)

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._listen()
            self.status = replace(self.status, finishing=True, lost="")
            self._source.close()
            self._obey()
            while (block := self._source.read(0.0)) is not None:
                self._hear(block)
            result = self.stream.finish()
            self._publish(list(self.stream.final_events))
            self.result = result
        except Exception as error:  # the outermost place of this thread; whoever waits raises it again
            self.error = error
            self._source.close()
            self.salvaged = self.stream.live() if self.stream.samples else None
        finally:
            self._done.set()

    def _listen(self) -> None:
        while not self._stop.is_set() and not self._source.ended:
            self._obey()
            try:
                block = self._source.read(POLL)
            except DeviceLost as error:
                self._recover(str(error))
                continue
            if block is not None:
                self._hear(block)
            elif events := self.stream.push(NOTHING):
                self._publish(events)

    def _hear(self, block: Block) -> None:
        before, began = self.stream.samples, self._clock()
        events = self.stream.push(to_mono(block.samples), at=block.at)
        work = self._clock() - began
        if events:
            self._publish(events)
        self._paces.push(
            position=self.stream.samples,
            samples=self.stream.samples - before,
            work=work,
            captured=self._source.captured * SAMPLE_RATE // self._source.sample_rate,
            processed=self.status.state.processed,
            watermark=self.status.state.watermark,
        )
        if events:
            self.status = replace(self.status, pace=self._paces.pace)

    def _publish(self, events: list[Event]) -> None:
        state = self.stream.state
        since = state.processed - RECENT
        recent = {number: turn for number, turn in state.turns.items() if turn.span.end > since or not turn.final}
        self.status = replace(self.status, state=replace(state, turns=recent), airtime=airtime(state))
        if self._heard is not None and events:
            self._heard(events, state)

    def _obey(self) -> None:
        for command in _drained(self._commands):
            try:
                self._publish(command(self.stream))
            except SpeakrsError as error:  # a speaker that is gone, a disk that is full: said, and life goes on
                self.tell(str(error))

    def _recover(self, message: str) -> None:
        """The device is gone: look for it until it is back."""
        self.status = replace(self.status, lost=message)
        attempt = self._clock()
        while not self._stop.wait(POLL):
            self._obey()
            if self._clock() - attempt < RETRY:
                continue
            attempt = self._clock()
            try:
                self._source.open()
            except AudioError:
                continue
            self.tell(f"{self._source.name} is back")
            break
        self.status = replace(self.status, lost="")


def _drained(queue: SimpleQueue[T]) -> list[T]:
    out = []
    while True:
        try:
            out.append(queue.get_nowait())
        except Empty:
            return out
