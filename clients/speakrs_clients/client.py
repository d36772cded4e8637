"""A live stream to a server, for programs that use asyncio; `speakrs_clients.sync` is the same without.

async with connect("ws://localhost:8765", audio=AudioFormat(sample_rate=48_000)) as stream:
    await stream.send(samples)          # waits where the network is slower than you are
    async for event in stream:          # typed; over lost connections and killed servers, each exactly once
        ...

Everything that is decided is decided by `speakrs_clients.conversation`; here bytes are carried.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal, Self

import anyio
import numpy as np
from numpy.typing import ArrayLike
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from speakrs_clients.addresses import Address, address
from speakrs_clients.conversation import Conversation, Opening
from speakrs_clients.dialing import NO_SOCKET, closed, dial, loss_of, now
from speakrs_clients.inbox import Inbox
from speakrs_clients.losses import Loss, StreamFailed, Unreachable
from speakrs_clients.stream_events import ConnectionLost, ConnectionResumed, Event
from speakrs_server import messages
from speakrs_server.identifiers import is_session
from speakrs_server.messages import (
    AudioFormat,
    Error,
    Flow,
    SessionFinal,
    SessionFinalizing,
    SessionStarted,
    Snapshot,
    SpeakerCreated,
    SpeakerHint,
    SpeakerMerged,
    SpeakerNamed,
    SpeakerSplit,
    TurnFinal,
    TurnProvisional,
    TurnRetracted,
    Warn,
    WatermarkMoved,
    Word,
    WordsLabelled,
    WordsOption,
    WordsRelabelled,
)
from speakrs_stream.audio.pcm import encode, in_columns, scaled
from speakrs_stream.errors import ConfigError

SEND_S = 15.0
"""Seconds after which a server that takes no data counts as gone."""
PIECE_S = 0.5
"""Seconds of sound that are taken over at once."""
MOST_WORDS = 100
"""Words of one message; with the longest texts they fit into one."""
__all__ = [
    "AudioFormat",
    "ConnectionLost",
    "ConnectionResumed",
    "Error",
    "Event",
    "Flow",
    "SessionFinal",
    "SessionFinalizing",
    "SessionStarted",
    "Snapshot",
    "SpeakerCreated",
    "SpeakerHint",
    "SpeakerMerged",
    "SpeakerNamed",
    "SpeakerSplit",
    "Stream",
    "StreamFailed",
    "TurnFinal",
    "TurnProvisional",
    "TurnRetracted",
    "Warn",
    "WatermarkMoved",
    "Word",
    "WordsLabelled",
    "WordsOption",
    "WordsRelabelled",
    "connect",
    "view",
]


class Stream:
    """A session on a server; made by `connect` and `view`. For one event loop; several tasks may use it."""

    def __init__(
        self, conversation: Conversation, where: Address, token: str | None, tls: ssl.SSLContext | None
    ) -> None:
        self.address = where
        """Where the server is."""
        self._talk = conversation
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = tls if tls is not None else (ssl.create_default_context() if where.tls else None)
        self._inbox = Inbox()
        self._news = anyio.Event()  # something to read, room to write, or the end
        self._work = anyio.Event()  # something to send
        self._closed = False
        self._fault: Exception | None = None  # a bug of ours, which must not look like an end

    # -- the user --------------------------------------------------------------------------------------------

    async def send(self, samples: ArrayLike, *, at: int | None = None) -> None:
        """Send sound: (n,) or (n, channels), float within ±1 or integers, at the rate of the stream.

        at: position of the first sample since the start; what lies before the end of the last piece is dropped, a gap
            is told to the server, which takes it for silence. None goes on where the last piece ended.

        Returns at once while there is room, and waits while the network or the server is behind: nothing is ever
        dropped here. Raises StreamFailed once the stream cannot go on, BadFormat for what is no sound of this format.
        """
        await self.send_bytes(self._encoded(samples), at=at)

    def _encoded(self, samples: ArrayLike) -> bytes:
        columns = in_columns(samples, channels=self.audio.channels)
        if columns.dtype == np.int16 and self.audio.encoding == "pcm_s16le":
            return columns.astype("<i2").tobytes()
        return encode(scaled(columns), self.audio.encoding)

    async def send_bytes(self, payload: bytes, *, at: int | None = None) -> None:
        """The same for samples that are encoded as the stream was opened; ValueError for parts of samples."""
        width = self._talk.audio.width
        step = max(round(self.audio.sample_rate * PIECE_S), 1) * width
        for start in range(0, len(payload), step):
            while not self._talk.room() and not self._over:
                await self._wait()
            self._check()
            self._talk.push(payload[start : start + step], None if at is None else at + start // width)
            self._work.set()

    def rename(self, speaker: str, name: str) -> None:
        """Give a speaker (`S1`) a name."""
        self._say(messages.SpeakerRename(speaker=speaker, name=name))

    def same(self, speaker: str, into: str) -> None:
        """Two speakers are one person: `speaker` is given up for `into`."""
        self._say(messages.SpeakerSame(speaker=speaker, into=into))

    def different(self, first: str, second: str) -> None:
        """Two speakers are two people, whatever their voices seem to say."""
        self._say(messages.SpeakerDifferent(first=first, second=second))

    def reject(self, turn: str) -> None:
        """A turn (`t_0001`) is not who it is shown as."""
        self._say(messages.TurnReject(turn=turn))

    def hint(self, *, count: int | None = None, least: int | None = None, most: int | None = None) -> None:
        """From now on there are so many speakers."""
        self._say(messages.SpeakersHint(count=count, min=least, max=most))

    def flush(self) -> None:
        """Everything that was sent so far is to be final now; who is speaking goes on in a new turn."""
        self._say(messages.Flush())

    def send_words(
        self, words: Sequence[Word] | messages.WordsAdd, *, batch: str = "words", offset_ms: int = 0
    ) -> None:
        """Have words of a recognizer labelled, for a stream that was opened with `words`.

        Their speakers come as `WordsLabelled` events, provisional at first, and `WordsRelabelled` after merges.
        words: with times in milliseconds since the start of the stream, or a message as `recognizers` makes them
        batch, offset_ms: of `words.add`, where words are no such message
        """
        if isinstance(words, messages.WordsAdd):
            self._say(words)
            return
        for start in range(0, len(words), MOST_WORDS):
            piece = tuple(words[start : start + MOST_WORDS])
            self._say(messages.WordsAdd(batch=batch, words=piece, offset_ms=offset_ms))

    async def share(self) -> messages.SessionShared:
        """A token with which others may `view` this session, no more; none where the server asks for none."""
        self._talk.share()
        self._work.set()
        while self._talk.shared is None and not self._over:
            await self._wait()
        self._check()
        if self._talk.shared is None:
            raise Unreachable("the stream was left before the server answered")
        return self._talk.shared

    def _say(self, message: messages.Command | messages.WordsAdd) -> None:
        self._talk.command(message)
        self._work.set()

    def finish(self) -> None:
        """No more sound comes; events go on, the last of them is `SessionFinal`."""
        self._talk.end()
        self._work.set()

    async def end(self) -> messages.SessionFinal:
        """No more sound comes: wait for the final result. StreamFailed where there is none.

        Events that come meanwhile stay to be read.
        """
        self.finish()
        while not self._over:
            await self._wait()
        self._check()
        if self._talk.final is None:
            raise Unreachable("the stream was left before its end")
        return self._talk.final

    @property
    def _over(self) -> bool:
        return self._closed or self._talk.phase == "over"

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._talk.failure is not None:
            raise self._talk.failure

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.receive()
        if event is None:
            raise StopAsyncIteration
        return event

    async def receive(self) -> Event | None:
        """The next event; None after the last. StreamFailed once everything was read and the stream failed."""
        while (event := self._inbox.take()) is None:
            if self._over:
                self._check()
                return None
            await self._wait()
        return event

    # -- facts -----------------------------------------------------------------------------------------------

    @property
    def audio(self) -> AudioFormat:
        """The format of the sound."""
        start = self._talk.opening.start
        return start.audio if start is not None else AudioFormat()

    @property
    def session(self) -> str:
        """Name of the session; empty before the server gave it one."""
        return self._talk.session

    @property
    def started(self) -> messages.SessionStarted | None:
        """What the server granted; None before."""
        return self._talk.started

    @property
    def final(self) -> messages.SessionFinal | None:
        """The end; None before."""
        return self._talk.final

    @property
    def connected(self) -> bool:
        """Whether there is a connection over which sound goes."""
        return self._talk.phase == "open"

    @property
    def acknowledged(self) -> messages.AudioAck:
        """How far the sound is: received, safe and worked on, in samples."""
        return self._talk.acknowledged

    @property
    def sent(self) -> int:
        """Samples that were handed over."""
        return self._talk.audio.end

    @property
    def room(self) -> bool:
        """Whether `send` would return at once."""
        return self._talk.room()

    @property
    def resumes(self) -> int:
        """How often the stream went on over a new connection."""
        return self._talk.resumes

    @property
    def held_bytes(self) -> int:
        """Bytes of sound that are kept because they are not safe at the server yet."""
        return self._talk.audio.held

    # -- the connection --------------------------------------------------------------------------------------

    async def opened(self) -> None:
        """Wait until the server has opened the session; StreamFailed where it does not."""
        while self.started is None and not self._over:
            await self._wait()
        if self.started is None:
            self._check()

    async def _wait(self) -> None:
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self._inbox.put(event)
        self._wake()
        self._work.set()

    async def _run(self) -> None:
        """Connect, converse, and connect again, until it is over."""
        try:
            while (attempt := self._talk.attempt()) is not None:
                await anyio.sleep(max(attempt.at - now(), 0.0))
                loss = await self._once(attempt.target)
                self._tell(self._talk.lost(loss, now()))
        except Exception as error:  # the outermost place of this task: whoever uses the stream raises it again
            self._fault = error
        finally:
            self._closed = True
            self._wake()

    async def _once(self, target: str) -> Loss:
        """One connection from its beginning to its end."""
        try:
            socket = await dial(self.address, target, self._headers, self._tls)
        except NO_SOCKET as error:
            return loss_of(error)
        try:
            self._talk.connected(now())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, socket, tasks.cancel_scope)
                tasks.start_soon(self._write, socket, tasks.cancel_scope)
            return self._talk.quiet(now()) or closed(socket)
        finally:
            await self._hang_up(socket)

    async def _read(self, socket: ClientConnection, scope: anyio.CancelScope) -> None:
        with suppress(ConnectionClosed):
            while self._talk.phase != "over":
                self._tell(self._talk.received(await socket.recv(), now()))
        scope.cancel()

    async def _write(self, socket: ClientConnection, scope: anyio.CancelScope) -> None:
        with suppress(ConnectionClosed, TimeoutError):
            while self._talk.quiet(now()) is None:
                self._work = anyio.Event()
                while (data := self._talk.outgoing(now())) is not None:
                    with anyio.fail_after(SEND_S):
                        await socket.send(data)
                    self._wake()  # there may be room again
                with anyio.move_on_after(max(self._talk.deadline(now()) - now(), 0.0)):
                    await self._work.wait()
        scope.cancel()

    async def _hang_up(self, socket: ClientConnection) -> None:
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                if self._talk.phase == "over":
                    await socket.close()
        finally:  # who leaves while it closes cancels that
            socket.transport.abort()


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    audio: AudioFormat | None = None,
    mode: Literal["live", "file"] = "live",
    max_delay: float | None = None,
    speakers: SpeakerHint | None = None,
    words: WordsOption | None = None,
    durability: messages.Durability | None = None,
    keep_audio: bool = False,
    provisional: bool = True,
    metadata: Mapping[str, str] | None = None,
    buffer_s: float = 2.0,
    wait_s: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Stream]:
    """Open a session on the server at `url` (`ws://HOST:PORT`, `wss://HOST`), and leave it when the block is left.

    token: what the server asks for; never part of the address
    audio: the format of what will be sent; 16-bit mono at 16 kHz if None
    mode: `live` at the pace of time, or `file` as fast as the server works
    max_delay: seconds within which turns are final
    speakers, words, durability, metadata: see `session.start` in docs/protocol.md
    keep_audio: have the server keep the sound with the result
    buffer_s: seconds of sound taken over before they can be sent, then `send` waits; more bridges longer outages
    wait_s: seconds to wait for a server that is not there yet, or has no room for one more session
    tls: how to check the server's certificate, for wss; the system's authorities if None

    Raises StreamFailed (Unauthorized, Unreachable, Untrusted, Unspoken, Refused) where there is no session. Leaving
    the block before `end()` leaves the session open for as long as the server keeps it, and then it ends by itself.
    """
    start = messages.SessionStart(
        client="speakrs-clients",
        audio=audio or AudioFormat(),
        mode=mode,
        max_delay_ms=None if max_delay is None else round(max_delay * 1000),
        provisional=provisional,
        speakers=speakers or SpeakerHint(),
        durability=durability,
        keep_audio="with_result" if keep_audio else "until_final",
        words=words,
        metadata=dict(metadata or {}),
    )
    opening = Opening(start=start, buffer_s=buffer_s, wait_s=wait_s, frame_ms=100 if mode == "live" else 400)
    async with _running(url, opening, token, tls) as stream:
        await stream.opened()
        yield stream


@asynccontextmanager
async def view(
    url: str, session: str, *, after: int = 0, token: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Stream]:
    """Look at a session that another client feeds. after: number of the last message that is known already.

    StreamFailed is raised by the iteration where there is no such session.
    """
    if not is_session(session):
        raise ConfigError(f"{session!r} is no name of a session")
    async with _running(url, Opening(session=session, after=after), token, tls) as stream:
        yield stream


@asynccontextmanager
async def _running(url: str, opening: Opening, token: str | None, tls: ssl.SSLContext | None) -> AsyncIterator[Stream]:
    stream = Stream(Conversation(opening, now(), random.random), address(url), token, tls)
    task = asyncio.create_task(stream._run())
    try:
        yield stream
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
