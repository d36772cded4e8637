"""A live stream to a server, for programs without asyncio: `speakrs_clients.client` in a thread of its own.

with connect("ws://localhost:8765") as stream:
    stream.send(samples)
    stream.finish()
    for event in stream:
        ...

Several threads may use one stream, such as one that sends and one that reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Self

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from numpy.typing import ArrayLike

from speakrs_clients import client
from speakrs_clients.addresses import Address
from speakrs_clients.client import AudioFormat, Event, SpeakerHint, StreamFailed, Word, WordsOption
from speakrs_server import messages

__all__ = ["AudioFormat", "Event", "SpeakerHint", "Stream", "StreamFailed", "Word", "WordsOption", "connect", "view"]


class Stream:
    """A session on a server; made by `connect` and `view`."""

    def __init__(self, stream: client.Stream, portal: BlockingPortal) -> None:
        self._stream = stream
        self._portal = portal

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        async def call() -> Any:
            found = function(*arguments, **named)
            return await found if isinstance(found, Awaitable) else found

        return self._portal.call(call)

    def send(self, samples: ArrayLike, *, at: int | None = None) -> None:
        """See `client.Stream.send`: waits while the network or the server is behind."""
        self._call(self._stream.send, samples, at=at)

    def send_bytes(self, payload: bytes, *, at: int | None = None) -> None:
        """See `client.Stream.send_bytes`."""
        self._call(self._stream.send_bytes, payload, at=at)

    def rename(self, speaker: str, name: str) -> None:
        """Give a speaker (`S1`) a name."""
        self._call(self._stream.rename, speaker, name)

    def same(self, speaker: str, into: str) -> None:
        """Two speakers are one person: `speaker` is given up for `into`."""
        self._call(self._stream.same, speaker, into)

    def different(self, first: str, second: str) -> None:
        """Two speakers are two people, whatever their voices seem to say."""
        self._call(self._stream.different, first, second)

    def reject(self, turn: str) -> None:
        """A turn (`t_0001`) is not who it is shown as."""
        self._call(self._stream.reject, turn)

    def hint(self, *, count: int | None = None, least: int | None = None, most: int | None = None) -> None:
        """From now on there are so many speakers."""
        self._call(self._stream.hint, count=count, least=least, most=most)

    def flush(self) -> None:
        """Everything that was sent so far is to be final now; who is speaking goes on in a new turn."""
        self._call(self._stream.flush)

    def send_words(
        self, words: Sequence[Word] | messages.WordsAdd, *, batch: str = "words", offset_ms: int = 0
    ) -> None:
        """See `client.Stream.send_words`."""
        self._call(self._stream.send_words, words, batch=batch, offset_ms=offset_ms)

    def share(self) -> messages.SessionShared:
        """A token with which others may `view` this session, no more; none where the server asks for none."""
        found: messages.SessionShared = self._call(self._stream.share)
        return found

    def finish(self) -> None:
        """No more sound comes; events go on, the last of them is `SessionFinal`."""
        self._call(self._stream.finish)

    def end(self) -> messages.SessionFinal:
        """No more sound comes: wait for the final result; StreamFailed where there is none."""
        found: messages.SessionFinal = self._call(self._stream.end)
        return found

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.receive()
        if event is None:
            raise StopIteration
        return event

    def receive(self, timeout: float | None = None) -> Event | None:
        """The next event; None after the last. TimeoutError after so many seconds, StreamFailed where it failed."""

        async def receive() -> Event | None:
            with anyio.fail_after(timeout):
                return await self._stream.receive()

        return self._portal.call(receive)

    @property
    def address(self) -> Address:
        """Where the server is."""
        return self._stream.address

    @property
    def session(self) -> str:
        """Name of the session; empty before the server gave it one."""
        return self._stream.session

    @property
    def started(self) -> messages.SessionStarted | None:
        """What the server granted; None before."""
        return self._stream.started

    @property
    def final(self) -> messages.SessionFinal | None:
        """The end; None before."""
        return self._stream.final

    @property
    def connected(self) -> bool:
        """Whether there is a connection over which sound goes."""
        return self._stream.connected

    @property
    def acknowledged(self) -> messages.AudioAck:
        """How far the sound is: received, safe and worked on, in samples."""
        return self._stream.acknowledged

    @property
    def sent(self) -> int:
        """Samples that were handed over."""
        return self._stream.sent

    @property
    def audio(self) -> AudioFormat:
        """The format of the sound."""
        return self._stream.audio

    @property
    def room(self) -> bool:
        """Whether `send` would return at once."""
        room: bool = self._call(lambda: self._stream.room)
        return room

    @property
    def resumes(self) -> int:
        """How often the stream went on over a new connection."""
        return self._stream.resumes


@contextmanager
def connect(url: str, **options: Any) -> Iterator[Stream]:
    """Open a session on a server; the options are those of `client.connect`, and so are the errors."""
    with _opened(client.connect(url, **options)) as stream:
        yield stream


@contextmanager
def view(url: str, session: str, **options: Any) -> Iterator[Stream]:
    """Look at a session that another client feeds; the options are those of `client.view`."""
    with _opened(client.view(url, session, **options)) as stream:
        yield stream


@contextmanager
def _opened(stream: AbstractAsyncContextManager[client.Stream]) -> Iterator[Stream]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(stream) as inner:
        yield Stream(inner, portal)
