"""The microphone monitor: keys and screen in this thread, the stream in another, the device's callback in a third."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from speakrs_clients.dialogue import NOTHING, Action, Dialogue, Merge, Pause, Quit, Rename, Save, press
from speakrs_clients.interrupts import Interrupts
from speakrs_clients.meters import Link
from speakrs_clients.screen import LevelView, Phase, View, screen
from speakrs_clients.style import Look
from speakrs_clients.tty import FullScreen, Keyboard
from speakrs_clients.worker import LiveStream, Worker
from speakrs_stream.audio.capture import SoundSource
from speakrs_stream.core.events import Event
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.reducer import StreamState

REFRESH = 0.125
"""Seconds between looks at the screen."""

MESSAGE_SHOWN = 5.0
"""Seconds a message stays."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the header calls things."""

    device: str
    """What is listened to."""

    model: str
    """Bundle and runtime."""


class Monitor:
    """The screen and its keys over a worker."""

    def __init__(
        self,
        worker: Worker,
        source: SoundSource,
        labels: Labels,
        look: Look,
        *,
        save: Callable[[LiveStream], str],
        link: Callable[[], Link] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """save: writes what a stream shows, in the worker's thread, and says what it wrote

        link: how the connection is, where the stream is on a server
        """
        self.named: set[str] = set()
        """Names that were typed in."""
        self._worker = worker
        self._source = source
        self._labels = labels
        self._look = look
        self._save = save
        self._link = link
        self._clock = clock
        self._dialogue: Dialogue = NOTHING
        self._paused = False
        self._message, self._message_until = "", 0.0
        self._clipped, self._clipped_at = 0, None  # type: int, float | None

    def run(self, keyboard: Keyboard, display: FullScreen, interrupts: Interrupts) -> None:
        """Show and obey until the worker is done; KeyboardInterrupt where Ctrl-C is pressed twice."""
        self._worker.start()
        with display:
            while not self._worker.done:
                if interrupts.asked:
                    self._worker.stop()
                now = self._clock()
                width, height = display.size
                lines = screen(self.view(now), now, width, height, self._look.glyphs)
                display.show([self._look.render(line) for line in lines])
                for key in keyboard.read(REFRESH):
                    self.key(key)

    # -- keys ------------------------------------------------------------------------------------------------

    def key(self, key: str) -> None:
        """Take a key."""
        self._dialogue, action = press(self._dialogue, key, self._speakers())
        if action is not None and not self._worker.status.finishing:
            self._act(action)

    def _speakers(self) -> list[int]:
        status = self._worker.status
        return [number for number in status.airtime if status.state.who(number) == number]

    def _act(self, action: Action) -> None:
        match action:
            case Pause():
                self._paused = not self._paused
                (self._source.pause if self._paused else self._source.resume)()
            case Rename(speaker, name):
                self.named.add(name)
                self._worker.do(lambda stream: stream.rename(speaker, name))
            case Merge(speaker, into):
                self._worker.do(lambda stream: stream.same(speaker, into))
            case Save():
                self._worker.do(self._saved)
            case Quit():
                self._worker.stop()

    def _saved(self, stream: LiveStream) -> list[Event]:
        self._worker.tell(self._save(stream))
        return []

    # -- screen ----------------------------------------------------------------------------------------------

    def view(self, now: float) -> View:
        """What to show at the moment `now`."""
        status, level = self._worker.status, self._source.level
        link = self._link() if self._link is not None else None
        if level.clipped > self._clipped:
            self._clipped, self._clipped_at = level.clipped, now
        for message in self._worker.messages():
            self._message, self._message_until = message, now + MESSAGE_SHOWN
        message = status.lost or (self._message if now < self._message_until else "")
        if not message and link is not None and link.lost:
            message = f"no connection to the server ({link.lost}); trying again"
        rate = self._source.sample_rate
        captured = self._source.captured * SAMPLE_RATE // rate
        return View(
            device=self._labels.device,
            sample_rate=rate,
            model=self._labels.model,
            phase=self._phase(captured, link),
            captured=captured,
            dropped=self._source.dropped * SAMPLE_RATE // rate,
            state=status.state,
            airtime=status.airtime,
            pace=status.pace,
            link=link,
            level=LevelView(level.rms, level.peak, self._clipped_at),
            dialogue=self._dialogue,
            message=message,
        )

    def _phase(self, captured: int, link: Link | None) -> Phase:
        status = self._worker.status
        if status.finishing:
            return "finishing"
        if status.lost:
            return "lost"
        if self._paused:
            return "paused"
        if link is not None and link.lost:
            return "away"
        return "listening" if captured else "starting"


class Feed:
    """Events on their way from a worker's thread to the one that prints them."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[list[Event], StreamState]] = SimpleQueue()

    def put(self, events: list[Event], state: StreamState) -> None:
        """Hand over events and the state after them."""
        self._queue.put((events, state))

    def get(self, timeout: float) -> tuple[list[Event], StreamState] | None:
        """The next, or None after `timeout` seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except Empty:
            return None


def listen(
    worker: Worker,
    feed: Feed,
    interrupts: Interrupts,
    tell: Callable[[list[Event], StreamState], None],
    note: Callable[[str], None],
) -> None:
    """Without a screen: hand every event to `tell`, and what else there is to say to `note`, until the worker is done.

    feed: the one that the worker was given; KeyboardInterrupt where Ctrl-C is pressed twice
    """
    worker.start()
    lost = ""
    while True:
        over = worker.done
        if interrupts.asked:
            worker.stop()
        while (heard := feed.get(0.0 if over else REFRESH)) is not None:
            tell(*heard)
        status = worker.status
        news: Sequence[str] = [status.lost] if status.lost and status.lost != lost else []
        lost = status.lost
        for message in (*news, *worker.messages()):
            note(message)
        if over:
            return
