"""A client's half of `speakrs.v1` as a state machine: where to connect, what to send, what to tell the user. Pure.

No socket, no clock and no chance: time is given to every method, in seconds of a clock that only goes forward, and
random numbers come from the function it is made with. A shell connects where `attempt` says, carries what `outgoing`
gives, hands in what it receives, and says how the connection ended; all decisions are made here. Messages with `seq`
are told exactly once and in order, over any number of connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from speakrs_clients.losses import Loss, Refused, SessionGone, StreamFailed, Unspoken, described
from speakrs_clients.pacing import Pacing
from speakrs_clients.reconnecting import VIEW_S, Reconnecting
from speakrs_clients.stream_events import SILENT, ConnectionLost, ConnectionResumed, Event, understood
from speakrs_clients.unacknowledged import Unacknowledged
from speakrs_server import frames, messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import Command, ServerMessage, SessionStart, WordsAdd
from speakrs_stream.audio.pcm import WIDTHS

Phase = Literal["away", "hello", "replay", "open", "over"]
QUIET_S = 10.0
"""Seconds without a message after which a connection counts as dead; the server acknowledges audio every second."""
BEATS = 2.5
"""The same where no audio is acknowledged, in heartbeats."""
PING_S = 20.0
"""Seconds of silence on our side after which a ping keeps the connection open, at most."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection to be made."""

    at: float
    """When."""
    target: str
    """Path and query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a stream is opened with."""

    start: SessionStart | None = None
    """What to ask for; None for a viewer."""
    session: str = ""
    """The session that a viewer looks at."""
    after: int = 0
    """Number of the last message that a viewer has."""
    buffer_s: float = 2.0
    """Seconds of audio that are taken over before they can be sent; more waits at the caller."""
    wait_s: float = 0.0
    """Seconds to wait for a server that is not there at the start, or has no room for one more session."""
    frame_ms: int = 100
    """Milliseconds of audio in one frame."""


class Conversation:
    """Everything a client knows of its stream."""

    def __init__(self, opening: Opening, now: float, chance: Callable[[], float]) -> None:
        """chance: a random number of [0, 1)."""
        start = opening.start or SessionStart()
        self.opening = opening
        self.phase: Phase = "away"
        """Not connected, waiting for an answer, hearing what was missed, at work, or over."""
        self.failure: StreamFailed | None = None
        """Why it is over before its time, or what is missing from it."""
        self.started: messages.SessionStarted | None = None
        """What the server granted."""
        self.final: messages.SessionFinal | None = None
        """The end."""
        self.acknowledged = messages.AudioAck(received=0, durable=0, processed=0)
        """How far the audio is, in samples at the client's rate."""
        self.audio = Unacknowledged(WIDTHS[start.audio.encoding] * start.audio.channels)
        """What was handed over and is not safe yet."""
        self.session = opening.session
        """Name of the session; empty before there is one."""
        self.seq = opening.after
        """Number of the last message that was told."""
        self.shared: messages.SessionShared | None = None
        """The token for viewers; None before there was an answer to `share`."""
        self.resumes = 0
        """Connections that went on after one was lost."""
        self.ending = False
        """Whether the user said that no more comes."""
        self._reconnecting = Reconnecting(now, chance, opening.wait_s)
        self._pacing: Pacing | None = None
        self._token = ""
        self._said: messages.Error | None = None
        self._hello_due = self._end_given = self._finalizing = self._share_wanted = self._share_due = False
        self._known = 0  # the last message that was told before this connection
        self._frames = 0
        self._heard_at = self._spoke_at = now

    @property
    def viewer(self) -> bool:
        """Whether it only looks."""
        return self.opening.start is None

    # -- the user --------------------------------------------------------------------------------------------

    def room(self) -> bool:
        """Whether audio is taken over now; otherwise the caller waits."""
        start = self.opening.start
        return start is None or self.audio.waiting < self.opening.buffer_s * start.audio.sample_rate

    def push(self, payload: bytes, at: int | None = None) -> None:
        """Take audio over. at: position of its first sample; a gap is told to the server. StreamFailed when over."""
        self._usable()
        self.audio.push(payload, at)

    def command(self, message: Command | WordsAdd) -> None:
        """Say something about speakers, or add words; it applies after all audio so far. StreamFailed when over."""
        self._usable()
        data = messages.encode(message)
        if len(data) > messages.MAX_MESSAGE:
            raise Refused(f"a message has at most {messages.MAX_MESSAGE} bytes, this one {len(data)}", "bad_message")
        self.audio.order(data)

    def share(self) -> None:
        """Ask for a token that lets others view the session; `shared` has the answer. StreamFailed when over."""
        self._usable()
        self._share_wanted = self._share_due = True

    def end(self) -> None:
        """No more audio comes."""
        self.ending = True

    def _usable(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.viewer:
            raise Refused("a viewer can change nothing", "forbidden")
        if self._finalizing and not self.ending:
            raise SessionGone("the server ended the session by itself, after too long without a connection")
        if self.ending or self.phase == "over":
            raise SessionGone("the stream has been ended; open a new one for more audio")

    # -- the connection --------------------------------------------------------------------------------------

    def attempt(self) -> Attempt | None:
        """The connection to make next; None when it is over. For the phase `away`."""
        if self.phase == "over":
            return None
        if self.viewer:
            target = f"/v1/sessions/{self.session}/events?after={self.seq}"
        else:
            target = f"/v1/stream?resume={self.session}" if self.session else "/v1/stream"
        return Attempt(self._reconnecting.at, target)

    def connected(self, now: float) -> None:
        """The connection is there."""
        self._reconnecting.connected(now)
        self.phase, self._hello_due, self._end_given, self._said = "hello", True, False, None
        self._heard_at = self._spoke_at = now
        self._known, self._share_due = self.seq, self._share_wanted

    def lost(self, loss: Loss, now: float) -> list[Event]:
        """The connection ended, or did not come about."""
        if self.phase == "over":
            return []
        window: float | None = None
        if self.started is not None:
            window = self.started.resume.window_s
        elif self.viewer and self._known:
            window = VIEW_S
        failure = self._reconnecting.lost(loss, self._said, now, window_s=window)
        if failure is not None:
            return self._fail(failure)
        self.phase = "away"
        return [ConnectionLost(described(loss), self._reconnecting.at - now, self._reconnecting.failures)]

    def _fail(self, failure: StreamFailed) -> list[Event]:
        self.phase, self.failure = "over", failure
        return []

    # -- what comes in ---------------------------------------------------------------------------------------

    def received(self, data: bytes | str, now: float) -> list[Event]:
        """A frame from the server; what to tell the user. What goes wrong is not raised but kept in `failure`."""
        if self.phase == "over" or not isinstance(data, str):
            return []
        self._heard_at = now
        try:
            message = understood(data)
        except RemoteProtocolError as error:
            return self._fail(Unspoken(f"the server says what is no message of speakrs.v1: {error}"))
        if message is None:
            return []
        seq = getattr(message, "seq", None)
        if seq is not None:
            if seq <= self.seq:
                return []
            if seq != self.seq + 1:
                return self._forgot(f"message {seq} came after message {self.seq}")
            self.seq = seq
        more = isinstance(message, messages.AudioAck) and message.durable > self.acknowledged.durable
        self._reconnecting.heard(now, news=seq is not None or more)
        return self._take(message, now)

    def _take(self, message: ServerMessage, now: float) -> list[Event]:
        match message:
            case messages.SessionStarted():
                return self._begin(message, now)
            case messages.SessionResumed():
                return self._go_on(message, now)
            case messages.Snapshot():
                if self.phase == "replay" and message.as_of < self._known:
                    return self._forgot(f"{message.as_of} messages are left of {self._known}")
                came_back = self._reconnecting.outage(now) if self.viewer else None
                self.phase = "open"
                return [message] if came_back is None else [ConnectionResumed(0, came_back), message]
            case messages.AudioAck():
                self.acknowledged = message
                self.audio.forget(min(message.durable, self.audio.highest))
            case messages.Error() if message.fatal:
                self._said = message
            case messages.SessionShared():
                self.shared, self._share_wanted = message, False
            case messages.SessionFinalizing():
                self._finalizing = True
            case messages.SessionFinal():
                self.phase, self.final = "over", message
                said = message.samples  # no acknowledgement follows
                self.acknowledged = messages.AudioAck(received=said, durable=said, processed=said)
                self.audio.forget(min(said, self.audio.highest))
                if not self.viewer and message.samples < self.audio.end:
                    missing = self.audio.end - message.samples
                    self.failure = SessionGone(f"the session ended {missing} samples before what was handed over")
        return [] if isinstance(message, SILENT) else [message]

    def _begin(self, started: messages.SessionStarted, now: float) -> list[Event]:
        if started.protocol.split(".")[0] != messages.PROTOCOL.split(".")[0]:
            return self._fail(Unspoken(f"the server speaks version {started.protocol} of the protocol"))
        self.started, self.session, self._token = started, started.session, started.resume.token
        if not self.viewer:
            self.phase = "open"
            self._reconnecting.outage(now)
            self._pace(started, now)
        return [replace(started, resume=messages.Resume(token="", window_s=started.resume.window_s))]

    def _go_on(self, resumed: messages.SessionResumed, now: float) -> list[Event]:
        self._token, position = resumed.resume.token, resumed.next_sample
        self.phase = "replay"
        self.resumes += 1
        try:
            self.audio.rewind(position)
        except ValueError as error:
            return self._forgot(str(error))
        processed = min(self.acknowledged.processed, position)
        self.acknowledged = replace(self.acknowledged, received=position, processed=processed)
        assert self.started is not None
        self._pace(self.started, now)
        return [ConnectionResumed(resumed.epoch, self._reconnecting.outage(now) or 0.0)]

    def _forgot(self, what: str) -> list[Event]:
        return self._fail(SessionGone(f"the server has lost a part of the session: {what}"))

    def _pace(self, started: messages.SessionStarted, now: float) -> None:
        start = self.opening.start
        assert start is not None
        self._pacing = Pacing(
            started.limits,
            live=start.mode == "live",
            sample_rate=start.audio.sample_rate,
            width=self.audio.width,
            frame_ms=self.opening.frame_ms,
            now=now,
        )

    # -- what goes out ---------------------------------------------------------------------------------------

    def outgoing(self, now: float) -> str | bytes | None:
        """The next frame to send; None where nothing is to be sent now. Ask again when the last one is on its way."""
        data = self._next(now)
        if data is not None:
            self._spoke_at = now
        return data

    def _next(self, now: float) -> str | bytes | None:
        if self._hello_due and self.phase == "hello":
            self._hello_due = False
            return self._hello()
        if self.phase != "open" or self.viewer or self._pacing is None:
            return None
        if self._share_due:
            self._share_due = False
            return messages.encode(messages.SessionShare()).decode()
        if not (self._end_given or self._finalizing):
            if self._pacing.control_ready(now) <= now and (order := self.audio.next_order()) is not None:
                self._pacing.control()
                return order.decode()
            if (frame := self._frame(self._pacing, now)) is not None:
                return frame
            if self.ending and self.audio.idle:
                self._end_given = True
                return messages.encode(messages.SessionEnd(last_sample=self.audio.end)).decode()
        if now >= self._spoke_at + self._ping_s():
            return messages.encode(messages.Ping(id=self._frames)).decode()
        return None

    def _hello(self) -> str:
        if self.viewer:
            return messages.encode(messages.SessionView()).decode()
        if self.session:
            resume = messages.SessionResume(session=self.session, token=self._token, last_seq=self.seq)
            return messages.encode(resume).decode()
        assert self.opening.start is not None
        return messages.encode(self.opening.start).decode()

    def _frame(self, pacing: Pacing, now: float) -> bytes | None:
        if pacing.sound_ready(now) > now or not pacing.fits(self.audio.sent, self.acknowledged.processed):
            return None
        piece = self.audio.next_audio(pacing.frame)
        if piece is None:
            return None
        self._frames += 1
        pacing.sound(len(piece.payload) // self.audio.width)
        return frames.pack(piece.payload, piece.position, number=self._frames, discontinuity=piece.after_gap)

    # -- the clock -------------------------------------------------------------------------------------------

    def quiet(self, now: float) -> Loss | None:
        """A loss where the server has said nothing for too long: the connection is to be given up."""
        if self.phase in ("away", "over") or now < self._heard_at + self._patience():
            return None
        return Loss("silence")

    def deadline(self, now: float) -> float:
        """When `outgoing` or `quiet` may have something new although nothing happens."""
        due = self._heard_at + self._patience()
        if self.phase != "open" or self.viewer or self._pacing is None:
            return due
        waits = [self._spoke_at + self._ping_s()]
        if not self.audio.idle:
            waits += [self._pacing.control_ready(now), self._pacing.sound_ready(now)]
        return min([due, *(at for at in waits if at > now)])

    def _patience(self) -> float:
        acknowledged = not (self.viewer or self._finalizing)
        if self.started is None or acknowledged:
            return QUIET_S if acknowledged else BEATS * QUIET_S
        return max(BEATS * self.started.heartbeat_s, QUIET_S)

    def _ping_s(self) -> float:
        return PING_S if self.started is None else min(PING_S, self.started.limits.idle_s / 3)
