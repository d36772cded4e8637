"""A live stream on a server with the handle of one in this process: whatever shows the one shows the other.

with remote("ws://localhost:8765", sample_rate=48_000, uri="call") as stream:
    for block in microphone:
        for event in stream.push(block):
            ...
    result = stream.finish()
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Any

from numpy.typing import ArrayLike

from speakrs_clients import results, sync
from speakrs_clients.losses import StreamFailed
from speakrs_clients.meters import Link
from speakrs_clients.mirror import Mirror
from speakrs_clients.stream_events import ConnectionLost, ConnectionResumed, Event
from speakrs_server import messages
from speakrs_server.identifiers import speaker_id
from speakrs_stream.audio.pcm import in_columns, scaled, to_mono
from speakrs_stream.core.events import Event as StreamEvent
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.errors import FormatError
from speakrs_stream.formats.rttm import read_rttm
from speakrs_stream.formats.text import milliseconds
from speakrs_stream.stream import Comparison, compared, shown_live

WAIT = 0.1
"""Seconds between looks at what came in."""
News = ConnectionLost | ConnectionResumed | messages.Warn | messages.Error
"""What there is to say about the connection."""


def sentence(news: News) -> str:
    """News for people; empty where they are none."""
    match news:
        case ConnectionLost(reason=reason, failures=1):
            return f"connection lost ({reason}); going on as soon as it is back"
        case ConnectionResumed(outage_s=outage):
            return f"connected again after {outage:.1f} s, nothing was lost"
        case messages.Warn(code=code, message=message) if code != "idle":
            return f"the server says: {message}"
        case messages.Error(fatal=False, message=message):
            return f"the server refused: {message}"
    return ""


class RemoteStream:
    """What `Stream` is for a session of this process. One thread may use it, and any may ask for `link`."""

    def __init__(self, stream: sync.Stream, *, uri: str, token: str | None, tls: ssl.SSLContext | None) -> None:
        """Made by `remote`."""
        assert stream.started is not None
        self.uri = uri
        self.started = stream.started
        """What the server granted."""
        self.final_events: tuple[StreamEvent, ...] = ()
        """Events that `finish` led to; empty before."""
        self.comparison: Comparison | None = None
        """The final result against what was shown; None before `finish`."""
        self._stream, self._token, self._tls = stream, token, tls
        self._mirror = Mirror()
        self._came: SimpleQueue[Event] = SimpleQueue()
        self.told: Callable[[str], None] = lambda sentence: None
        """Called with what there is to say about the connection, from a thread of its own."""
        self._lost = ""
        self._over = Flag()
        self._failure: Exception | None = None
        self._reader = Thread(target=self._read, name="events", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for event in self._stream:
                if isinstance(event, ConnectionLost):
                    self._lost = event.reason
                elif isinstance(event, ConnectionResumed | messages.SessionStarted):
                    self._lost = ""
                if isinstance(event, News) and (said := sentence(event)):
                    self.told(said)
                self._came.put(event)
        except Exception as error:  # the outermost place of this thread; whoever uses the stream raises it again
            self._failure = error
        finally:
            self._over.set()

    # -- sound -----------------------------------------------------------------------------------------------

    def push(self, samples: ArrayLike, *, at: int | None = None) -> list[StreamEvent]:
        """Send sound of any length; returns what came in since the last call. Waits while there is no room.

        samples: (n,) or (n, channels), mixed down here; at: see `Stream.push`. StreamFailed where it cannot go on.
        """
        mono = to_mono(scaled(in_columns(samples)))
        if len(mono):
            self._stream.send(mono, at=at)
        return self.take()

    def take(self) -> list[StreamEvent]:
        """What came in since the last call. StreamFailed where the stream cannot go on."""
        out: list[StreamEvent] = []
        over = self._over.is_set()
        while True:
            try:
                event = self._came.get_nowait()
            except Empty:
                break
            if not isinstance(event, ConnectionLost | ConnectionResumed):
                out += self._mirror.push(event)
        if over and self._failure is not None and not out:
            raise self._failure
        return out

    @property
    def room(self) -> bool:
        """Whether `push` would take sound without waiting."""
        return self._stream.room

    def end(self) -> None:
        """No more sound comes; `take` goes on until `over`."""
        self._stream.finish()

    def over(self, timeout: float) -> bool:
        """Whether everything came in that will; waits for it for so many seconds."""
        return self._over.wait(timeout)

    def finish(self) -> Diarization:
        """End the stream: the result that the server found in all of it. `final_events` holds the last events.

        StreamFailed where there is none: `live()` still says what was shown.
        """
        self.end()
        out: list[StreamEvent] = []
        while not self.over(WAIT):
            out += self.take()
        out += self.take()
        self.final_events = tuple(out)
        if self._failure is not None:
            raise self._failure
        final = self._stream.final
        assert final is not None
        return self._result(final)

    def _result(self, final: messages.SessionFinal) -> Diarization:
        where, session = self._stream.address, self._stream.session
        try:
            found = results.result(where, session, token=self._token, tls=self._tls)
        except (StreamFailed, FormatError):  # a token that may only send still gets what stood in the last message
            if final.rttm is None:
                raise
            found = inline(final, session)
        found = replace(found, uri=self.uri, bundle=found.bundle or self.started.models.bundle)
        self.comparison = compared(self.live(), rounded(found))
        return found

    # -- what is known ---------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """How the connection is; for any thread."""
        rate = self._stream.audio.sample_rate
        waiting = (self._stream.sent - self._stream.acknowledged.durable) / rate
        return Link(self._lost, max(waiting, 0.0), self._stream.resumes)

    @property
    def where(self) -> str:
        """Host and port of the server."""
        return self._stream.address.authority

    @property
    def session(self) -> str:
        """Name of the session on the server."""
        return self._stream.session

    @property
    def state(self) -> StreamState:
        """Turns, speakers and watermark as shown now."""
        return self._mirror.state

    @property
    def samples(self) -> int:
        """Samples at 16 kHz that were handed over."""
        return self._stream.sent * SAMPLE_RATE // self._stream.audio.sample_rate

    @property
    def processed(self) -> int:
        """Samples at 16 kHz that the server has worked on."""
        return self._stream.acknowledged.processed * SAMPLE_RATE // self._stream.audio.sample_rate

    def live(self) -> Diarization:
        """What is shown now, as a result: labels S1, S2 …, merges followed, names filled in."""
        return shown_live(self.state, self.uri, self.samples, self.started.models.bundle)

    # -- speakers --------------------------------------------------------------------------------------------

    def rename(self, speaker: int, name: str) -> list[StreamEvent]:
        """Give a speaker a name; what came in meanwhile."""
        self._stream.rename(speaker_id(speaker), name)
        return self.take()

    def same(self, speaker: int, into: int) -> list[StreamEvent]:
        """Two numbers are one person: `speaker` is given up for `into`; what came in meanwhile."""
        self._stream.same(speaker_id(speaker), speaker_id(into))
        return self.take()


def rounded(result: Diarization) -> Diarization:
    """A result with edges on whole milliseconds, as they are told live."""

    def whole(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        spans = [(Span(milliseconds(t.span.start) * 16, milliseconds(t.span.end) * 16), t.speaker) for t in turns]
        return tuple(Turn(span, speaker) for span, speaker in spans)

    return replace(result, turns=whole(result.turns), exclusive=whole(result.exclusive))


def inline(final: messages.SessionFinal, session: str) -> Diarization:
    """The final result as far as the last message holds it."""
    turns = read_rttm(final.rttm or "").get(session, [])
    found = Diarization.from_turns(turns, uri=session, samples=final.audio_ms * SAMPLE_RATE // 1000)
    named = {final.live_to_final.get(who.id): who.name for who in final.speakers if who.name}
    return replace(found, speakers=tuple(Speaker(s.label, named.get(s.label)) for s in found.speakers))


@contextmanager
def remote(
    url: str,
    *,
    sample_rate: int = SAMPLE_RATE,
    uri: str = "stream",
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[RemoteStream]:
    """Open a stream on a server, and leave it when the block is left. The other options are those of `connect`.

    sample_rate: hertz of everything that will be pushed; uri: what to call the result
    """
    audio = messages.AudioFormat(sample_rate=sample_rate)
    with sync.connect(url, audio=audio, token=token, tls=tls, **options) as stream:
        yield RemoteStream(stream, uri=uri, token=token, tls=tls)
