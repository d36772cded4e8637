"""A server in memory that keeps its word, over connections that break at random: for tests of the client's core.

What is on its way when a connection breaks is lost in both directions; a crash forgets what was not durable.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from speakrs_clients.conversation import Conversation
from speakrs_clients.losses import Loss
from speakrs_clients.stream_events import Event
from speakrs_server import messages
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import ServerMessage, encode
from speakrs_server.protocol import Conversation as Checks
from speakrs_server.protocol import ConversationLimits
from tests.clients.stories import SESSION


@dataclass
class ModelServer:
    """One session; raises where a client breaks the protocol."""

    chance: random.Random
    limits: ConversationLimits = field(default_factory=lambda: ConversationLimits(max_unacked_ms=2_000))
    audio: bytearray = field(default_factory=bytearray)
    durable: int = 0
    """Bytes that a crash does not forget."""
    processed: int = 0
    commands: list[tuple[int, str]] = field(default_factory=list)
    """Position in samples and name of what was obeyed, once each."""
    told: list[ServerMessage] = field(default_factory=list)
    shown: int = 0
    """Durable messages that a crash does not forget."""
    epoch: int = 1
    ending: bool = False
    out: deque[ServerMessage] = field(default_factory=deque)
    """What is on its way to the client."""
    checks: Checks | None = None
    sent: int = 0
    file: bool = False
    started: messages.SessionStarted | None = None

    # -- the connection --------------------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        self.checks = Checks(self.limits, "ingest", now)
        self.out.clear()

    def crash(self) -> None:
        """Forget what was not durable."""
        self.checks = None
        del self.audio[self.durable :]
        self.processed = min(self.processed, self.durable // 2)
        del self.told[self.shown :]
        self.ending = isinstance(self.told[-1], messages.SessionFinal)
        if not self.ending:
            self.commands = [order for order in self.commands if order[0] * 2 < self.durable]

    def take(self, data: bytes | str, now: float) -> None:
        """A frame of the client; RemoteProtocolError where it may not say that."""
        assert self.checks is not None
        if isinstance(data, bytes):
            frame = self.checks.binary(data, now)
            assert frame is not None, "nothing is sent that was there already"
            self.audio += b"\0\0" * (frame.offset - len(self.audio) // 2) + frame.payload
            return
        try:
            message = self.checks.text(data, now)
        except RemoteProtocolError as error:
            if error.fatal:
                raise
            code = error.code.name
            self.out.append(messages.Error(code=code, message=str(error), fatal=False, retryable=False))
            return
        match message:
            case messages.SessionStart():
                self._start(message, now)
            case messages.SessionResume():
                self._resume(message, now)
            case messages.SpeakerRename():
                if message.name not in [name for _, name in self.commands]:
                    self.commands.append((len(self.audio) // 2, message.name))
            case messages.SessionEnd():
                self.ending = True

    def _start(self, start: messages.SessionStart, now: float) -> None:
        assert self.checks is not None
        self.file = start.mode == "file"
        # a start whose answer is lost leaves an empty session behind, which is nobody's
        self.audio.clear()
        self.told.clear()
        self.commands.clear()
        self.shown = self.durable = self.processed = 0
        self.started = messages.SessionStarted(
            seq=1,
            protocol="1.0",
            session=SESSION,
            server="model",
            models=messages.Models(bundle="model", sha256="00"),
            audio=start.audio,
            max_delay_ms=4000,
            durability="written",
            resume=messages.Resume(token="r1", window_s=300),
            limits=messages.Limits(
                max_frame_bytes=self.limits.max_frame_bytes,
                max_frame_ms=self.limits.max_frame_ms,
                max_unacked_ms=self.limits.max_unacked_ms,
                max_rate=self.limits.max_rate,
                max_session_s=self.limits.max_session_s,
                idle_s=self.limits.idle_s,
            ),
            heartbeat_s=10.0,
        )
        self.told.append(self.started)
        self.shown = 1
        self.sent = 0
        self.checks.opened(start.audio, live=not self.file, position=0, now=now)

    def _resume(self, resume: messages.SessionResume, now: float) -> None:
        assert self.checks is not None and self.started is not None
        assert resume.token in (f"r{self.epoch}", *(f"r{epoch}" for epoch in range(self.epoch))) and resume.token
        assert resume.last_seq <= self.shown, "only what is durable was told"
        self.epoch += 1
        position = len(self.audio) // 2
        self.checks.opened(self.started.audio, live=not self.file, position=position, now=now)
        if self.ending:
            self.checks.phase = "ending"
        self.out.append(
            messages.SessionResumed(
                session=SESSION,
                epoch=self.epoch,
                next_sample=position,
                replay_from=resume.last_seq + 1,
                resume=messages.Resume(token=f"r{self.epoch}", window_s=300),
            )
        )
        self.sent = resume.last_seq
        self._catch_up()
        self.out.append(
            messages.Snapshot(as_of=self.shown, open_turns=(), speakers=(), final_until_ms=0, processed_until_ms=0)
        )

    def _catch_up(self) -> None:
        self.out.extend(self.told[self.sent : self.shown])
        self.sent = self.shown

    # -- its own life ----------------------------------------------------------------------------------------

    def live(self) -> None:
        """Something happens: audio is written down, worked on, something is told."""
        self.durable = len(self.audio) if self.chance.random() < 0.7 else self.durable
        self.processed += self.chance.randint(0, len(self.audio) // 2 - self.processed)
        if self.ending and self.durable == len(self.audio) and self.chance.random() < 0.5:
            self._finish()
        elif self.told and not self.ending and self.chance.random() < 0.5:
            self.told.append(
                messages.WatermarkMoved(
                    seq=len(self.told) + 1, final_until_ms=len(self.told), processed_until_ms=len(self.told)
                )
            )
        if self.chance.random() < 0.7:
            self.shown = len(self.told)
        if self.checks is not None and self.checks.phase != "hello":
            self._catch_up()
            samples = len(self.audio) // 2
            self.out.append(messages.AudioAck(received=samples, durable=self.durable // 2, processed=self.processed))

    def _finish(self) -> None:
        if isinstance(self.told[-1], messages.SessionFinal):
            return
        self.processed = len(self.audio) // 2
        self.told.append(messages.SessionFinalizing(seq=len(self.told) + 1, left_ms=0))
        self.told.append(
            messages.SessionFinal(
                seq=len(self.told) + 1,
                samples=self.processed,
                audio_ms=self.processed // 16,
                speakers=(),
                live_to_final={},
                results=messages.Results(live="", final=""),
                sha256=messages.Digests(audio="", live_rttm="", final_rttm=""),
            )
        )


@dataclass
class World:
    """A client and a server, and a network in between."""

    talk: Conversation
    server: ModelServer
    chance: random.Random
    breaks: float = 0.05
    """Chance that a connection breaks in a step."""
    now: float = 0.0
    heard: list[Event] = field(default_factory=list)
    wire: deque[bytes | str] = field(default_factory=deque)
    """What is on its way to the server."""
    lost: int = 0

    def step(self) -> None:
        """Something happens, and a moment goes by."""
        self.now += self.chance.uniform(0.0, 0.1)
        if self.talk.phase == "away":
            attempt = self.talk.attempt()
            assert attempt is not None
            self.now = max(self.now, attempt.at)
            if self.chance.random() < 0.2:
                self.heard += self.talk.lost(Loss("network" if self.talk.session else "handshake"), self.now)
                return
            self.server.connect(self.now)
            self.talk.connected(self.now)
        self._up()
        self.server.live()
        self._down()
        if self.talk.phase not in ("away", "over") and self.chance.random() < self.breaks:
            self._break()

    def _up(self) -> None:
        while (data := self.talk.outgoing(self.now)) is not None:
            self.wire.append(data)
        for _ in range(self.chance.randint(0, len(self.wire))):
            self.server.take(self.wire.popleft(), self.now)

    def _down(self) -> None:
        for _ in range(self.chance.randint(0, len(self.server.out))):
            self.heard += self.talk.received(encode(self.server.out.popleft()).decode(), self.now)

    def _break(self) -> None:
        self.lost += 1
        for _ in range(self.chance.randint(0, len(self.wire))):  # some of it arrives, and nobody is told
            self.server.take(self.wire.popleft(), self.now)
        self.wire.clear()
        self.server.out.clear()
        if self.server.started is not None and self.talk.session and self.chance.random() < 0.3:
            self.server.crash()
        self.server.checks = None
        self.heard += self.talk.lost(Loss("closed"), self.now)
