"""One socket: bytes in, checked by the conversation, handed to the session; what the session tells, out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from speakrs_server import messages
from speakrs_server.auth import Grant
from speakrs_server.codes import ProtocolError, RemoteProtocolError
from speakrs_server.frames import AudioFrame
from speakrs_server.hosted import Hosted
from speakrs_server.limits import backlog
from speakrs_server.messages import ClientMessage, ServerMessage, encode, for_viewers
from speakrs_server.outbox import Outbox
from speakrs_server.protocol import Conversation, Role
from speakrs_server.teller import Listener

if TYPE_CHECKING:
    from speakrs_server.app import Server

JOURNAL_WARNINGS = (0.8, 0.95)
"""Shares of a session's journal at which a warning is due."""
WRITE_LIMIT = 65_536
"""Bytes that a connection's buffer takes before those who send must wait."""
PAGE = 256
"""Durable messages sent in one go."""
FAREWELL = 2.0
"""Seconds that a closing connection gets at most."""


class Connection:
    """The conversation with one client, as it goes over one socket."""

    def __init__(self, server: Server, socket: ServerConnection, role: Role, session: str, after: int) -> None:
        """session: of a viewer; after: the last message it has."""
        self.server = server
        self.role = role
        self.epoch = 0
        self._socket = socket
        self._session, self._after = session, after
        self._talk = Conversation(server.conversation_limits, role, server.now())
        self._hosted: Hosted | None = None
        self._outbox = Outbox(after)
        self._news = anyio.Event()
        self._scope = anyio.CancelScope()
        self._fault: ProtocolError | None = None
        self._done = False
        self._acked: messages.AudioAck | None = None
        self._acked_at = self._beat_at = server.now()
        self._flow = "ok"
        self._samples = 0  # received, and not in the figures yet
        self._filled = 0  # warnings of a full journal so far

    # -- from outside ----------------------------------------------------------------------------------------

    def expel(self, fault: ProtocolError) -> None:
        """End the conversation, with a reason."""
        if self._fault is None:
            self._fault = fault
            self._scope.cancel()

    def wake(self) -> None:
        """There is something to send."""
        self._news.set()

    # -- the whole of it -------------------------------------------------------------------------------------

    async def run(self, grant: Grant | None) -> None:
        """From the first message to the last. grant: what a header said; None: the first message must."""
        try:
            with self._scope:
                try:
                    await self._converse(grant)
                except* ConnectionClosed:
                    pass
                except* ProtocolError as group:
                    self._fault = self._fault or _first(group)
        finally:
            self._leave()
            with anyio.CancelScope(shield=True):
                await self._farewell()

    async def _converse(self, grant: Grant | None) -> None:
        with anyio.move_on_after(self.server.settings.hello_timeout_s) as waiting:
            while self._hosted is None:
                await self._hello(await self._socket.recv(), grant)
        if waiting.cancelled_caught or self._hosted is None:
            raise RemoteProtocolError("hello_timeout", "the first message did not come in time")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, self._hosted)
            await self._send(self._hosted)
            tasks.cancel_scope.cancel()

    async def _hello(self, data: bytes | str, grant: Grant | None) -> None:
        if not isinstance(data, str):
            raise RemoteProtocolError("bad_message", "the first message is text")
        try:
            message = self._talk.text(data, self.server.now())
        except RemoteProtocolError as error:
            if error.fatal:
                raise
            await self._say(_error(error))
            return
        match message:
            case messages.SessionStart():
                grant = grant or self.server.check(message.token)
                hosted, started = await self.server.start(grant, message, self)
                self.epoch = 1
                self._outbox = self._box(0, message.provisional, message.provisional_interval_ms)
                self._enter(hosted, live=message.mode == "live")
                hosted.open(started)
            case messages.SessionResume():
                hosted, resumed = await self.server.resume(message, self)
                request = hosted.description.request
                self.epoch = resumed.epoch
                self._outbox = self._box(message.last_seq, request.provisional, request.provisional_interval_ms)
                self._enter(hosted, live=request.mode == "live")
                await self._say(resumed)
                self._catch_up(hosted)
            case messages.SessionView():
                hosted = self.server.view(grant or self.server.check(message.token), self._session, self)
                self._outbox = self._box(self._after, message.provisional, message.provisional_interval_ms)
                self._enter(hosted, live=True)
                self._catch_up(hosted)
            case _:
                await self._say(messages.Pong(id=getattr(message, "id", 0)))

    def _catch_up(self, hosted: Hosted) -> None:
        """What is shown now and told to nobody again."""
        self._outbox.put(hosted.board.snapshot())
        for words in hosted.words.book.shown() if hosted.words is not None else ():
            self._outbox.put(words)

    def _box(self, after: int, provisional: bool, interval_ms: int) -> Outbox:
        return Outbox(after, provisional=provisional, interval_s=interval_ms / 1000)

    def _enter(self, hosted: Hosted, *, live: bool) -> None:
        self._hosted = hosted
        self._listener = Listener(self._outbox, self.wake)
        hosted.listeners.append(self._listener)
        self._talk.opened(hosted.audio, live=live, position=hosted.received, now=self.server.now())
        if hosted.ending:
            self._talk.phase = "ending"
        self._live = live

    def _leave(self) -> None:
        self._count()
        if self._hosted is not None:
            if self._listener in self._hosted.listeners:
                self._hosted.listeners.remove(self._listener)
            self.server.left(self._hosted, self)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _read(self, hosted: Hosted) -> None:
        while True:
            data = await self._socket.recv()
            try:
                if isinstance(data, str):
                    self._take(hosted, self._talk.text(data, self.server.now()))
                elif (frame := self._talk.binary(data, self.server.now())) is not None:
                    self._sound(hosted, frame)
            except RemoteProtocolError as error:
                if error.fatal:
                    raise
                self._outbox.put(_error(error))
                self.wake()
            # a file: the client waits, TCP tells it
            while not self._live and hosted.unworked_ms > self.server.settings.max_unacked_ms:  # noqa: ASYNC110
                await anyio.sleep(0.02)

    def _mine(self, hosted: Hosted) -> None:
        if not self.server.host.registry.current(hosted.id, self.epoch):
            raise RemoteProtocolError("superseded", "the session goes on over a newer connection")
        self.server.host.registry.confirm(hosted.id, self.epoch)

    def _sound(self, hosted: Hosted, frame: AudioFrame) -> None:
        self._mine(hosted)
        if frame.offset > hosted.received:
            missing = hosted.ms(frame.offset - hosted.received)
            self.server.host.metrics.anomalies.labels("gap").inc()
            self._outbox.put(messages.Warn(code="audio_gap", message=f"{missing} ms are missing and taken for silence"))
        hosted.sound(frame)
        self._samples += frame.samples

    def _count(self) -> None:
        """What came since the last time, for the figures."""
        if self._hosted is not None and self._samples:
            self.server.host.metrics.received.inc(self._samples / self._hosted.audio.sample_rate)
            self._samples = 0

    def _room(self, hosted: Hosted) -> None:
        """Warn before the journal is full, and end the connection when it is."""
        share = hosted.journal.size / (self.server.settings.journal_per_session_mb * 2**20)
        if share > 1:
            raise RemoteProtocolError("max_duration", "the session fills its journal")
        due = sum(share >= warning for warning in JOURNAL_WARNINGS)
        if due > self._filled:
            self._filled = due
            self._outbox.put(
                messages.Warn(code="max_duration", message=f"{share:.0%} of the session's journal is full")
            )

    def _take(self, hosted: Hosted, message: ClientMessage) -> None:
        match message:
            case messages.Ping():
                self._outbox.put(messages.Pong(id=message.id))
                self.wake()
            case messages.SessionEnd():
                if not hosted.ending:
                    self._mine(hosted)
                    self.server.host.finish(hosted)
            case messages.SessionShare():
                self._outbox.put(self.server.share(hosted))
                self.wake()
            case messages.SessionStart() | messages.SessionResume() | messages.SessionView():
                raise AssertionError("the conversation lets these come first only")
            case _:
                self._mine(hosted)
                if (why := hosted.command(message)) is not None:
                    raise RemoteProtocolError("bad_message", why, fatal=False, ref=messages.type_of(message))

    # -- writing ---------------------------------------------------------------------------------------------

    async def _send(self, hosted: Hosted) -> None:
        """Send what there is until the session is over."""
        while True:
            self._news = anyio.Event()
            while self._outbox.sent < hosted.board.seq:
                for data in await self.server.host.told(hosted, self._outbox.sent, PAGE):
                    await self._put(for_viewers(data) if self.role == "view" else data)
                    self._outbox.sent += 1
            for data in self._outbox.take(self.server.now()):
                await self._put(data)
            if hosted.board.ended and self._outbox.sent >= hosted.board.seq:
                self._done = True
                return
            if self._outbox.sent < hosted.board.seq:
                continue
            deadline = self._outbox.deadline()
            if deadline is None:
                await self._news.wait()
            else:
                with anyio.move_on_after(max(deadline - self.server.now(), 0.01)):
                    await self._news.wait()

    async def _put(self, data: bytes) -> None:
        """Send, or give the connection up: a client that stops reading would hold us for ever."""
        if len(data) + self._socket.transport.get_write_buffer_size() < WRITE_LIMIT:  # nothing to wait for
            await self._socket.send(data, text=True)
            return
        try:
            with anyio.fail_after(self.server.settings.send_timeout_s):
                await self._socket.send(data, text=True)
        except TimeoutError:
            self.server.host.metrics.aborts.inc()
            self._socket.transport.abort()
            raise RemoteProtocolError("slow_consumer", "the client stopped reading") from None

    async def _say(self, message: ServerMessage) -> None:
        await self._put(encode(message))

    # -- the clock -------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """What time alone leads to; called again and again."""
        if (hosted := self._hosted) is None or self._fault is not None:
            return
        try:
            for warning in self._talk.tick(now):
                self._outbox.put(warning)
            if self.role == "ingest":
                self._room(hosted)
                self._acknowledge(hosted, now)
                hosted.tick()
        except ProtocolError as fault:
            self.expel(fault)
            return
        self._count()
        if now - self._beat_at >= self.server.settings.heartbeat_s:
            self._beat_at = now
            self._outbox.put(self.server.heartbeat(hosted))
        if self._outbox.deadline() is not None:
            self.wake()

    def _acknowledge(self, hosted: Hosted, now: float) -> None:
        ack = hosted.ack()
        if ack != self._acked or now - self._acked_at >= 1.0:
            self._acked, self._acked_at = ack, now
            self._outbox.put(ack)
        state = backlog(hosted.unworked_ms, limit_ms=self.server.settings.max_unacked_ms)
        if state == "overrun" and self._live:
            raise RemoteProtocolError("ingest_overrun", "far more audio came than could be worked on")
        if (flow := "ok" if state == "ok" else "slow") != self._flow:
            self._flow = flow
            self._outbox.put(msgspec.convert({"state": flow, "lag_ms": hosted.unworked_ms}, messages.Flow))
            if flow == "slow" and self._live:
                self._outbox.put(messages.Warn(code="ingest_lag", message="the server falls behind this session"))

    # -- the end ---------------------------------------------------------------------------------------------

    async def _farewell(self) -> None:
        """Say why, close, and make sure that it is closed: `close` alone waits for a client that may be gone."""
        code, reason = (1000, "done") if self._done else (1011, "internal")
        with anyio.move_on_after(FAREWELL):
            try:
                if self._fault is not None:
                    code, reason = self._fault.code.close, self._fault.code.name
                    await self._socket.send(encode(_error(self._fault, self.server.retry_after_ms())), text=True)
                await self._socket.close(code, reason)
            except ConnectionClosed:
                pass
        self._socket.transport.abort()
        self.server.host.metrics.closes.labels(str(self._socket.close_code or 1006)).inc()


def _error(fault: ProtocolError, retry_after_ms: int | None = None) -> messages.Error:
    return messages.Error(
        code=fault.code.name,
        message=str(fault),
        fatal=fault.fatal,
        retryable=fault.code.retryable,
        ref=fault.ref,
        retry_after_ms=(fault.retry_after_ms or retry_after_ms) if fault.fatal and fault.code.retryable else None,
    )


def _first(group: BaseExceptionGroup[ProtocolError]) -> ProtocolError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
