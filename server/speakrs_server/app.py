"""The server: who may open, resume and see sessions, and the connections there are; drain at the end."""

from __future__ import annotations

import secrets
import ssl
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import msgspec
import structlog
from websockets.asyncio.server import ServerConnection

from speakrs_server import messages
from speakrs_server.auth import Authenticator, Grant, read_tokens
from speakrs_server.codes import ProtocolError, RemoteProtocolError
from speakrs_server.connection import Connection
from speakrs_server.host import Host
from speakrs_server.hosted import Hosted
from speakrs_server.identifiers import new_session
from speakrs_server.journal import Description
from speakrs_server.limits import Load, Verdict, admit
from speakrs_server.messages import PROTOCOL
from speakrs_server.notify import Notifier
from speakrs_server.protocol import ConversationLimits
from speakrs_server.routes import Route
from speakrs_server.sealed import VIEW_S, ResumeTokens, ViewTokens
from speakrs_server.settings import Settings
from speakrs_server.status import health, measure
from speakrs_server.unit import Unit, least_delay_ms
from speakrs_server.worker import Runner
from speakrs_stream import __version__
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError

TICK = 0.5
"""Seconds between looks of a connection at the clock."""
PARTS = 10
"""Connections look at the clock in so many parts."""
log = structlog.get_logger("speakrs_server")


@dataclass(frozen=True, slots=True)
class Admission:
    """What was found out about a connection before it became a WebSocket."""

    route: Route
    """What it asked for."""
    grant: Grant | None
    """What its header allows."""


def read_authenticator(settings: Settings) -> Authenticator:
    """Tokens and keys from their files; ConfigError where one cannot be used."""
    secret = key = None
    try:
        if settings.jwt_secret_file:
            secret = Path(settings.jwt_secret_file).read_bytes().strip()
            if len(secret) < 32:
                raise ConfigError(f"{settings.jwt_secret_file}: an HS256 secret has at least 32 bytes")
        if settings.jwt_public_key_file:
            key = Path(settings.jwt_public_key_file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the keys of JSON Web Tokens: {error}") from error
    tokens = read_tokens(Path(settings.tokens_file)) if settings.tokens_file else ()
    return Authenticator(tokens, secret, key, settings.jwt_audience, settings.guarded)


class Server:
    """Everything but the sockets; runs in one event loop."""

    def __init__(
        self, settings: Settings, engine: Engine, *, runner: Runner | None = None, opens: type[Unit] = Unit
    ) -> None:
        """runner: answers questions instead of the engine's networks; opens: what hears a session; ConfigError, OSError
        where it cannot start."""
        self.settings = settings
        self.engine = engine
        self.authenticator = read_authenticator(settings)
        self.host = Host(settings, engine, self._expel, runner, opens)
        self.resume_tokens = ResumeTokens(self.host.store.secret())
        self.view_tokens = ViewTokens(self.host.store.secret())
        self.draining = False
        self.ready = False
        """Whether the networks gave a sound answer and recovery is done."""
        self.loop_lag = 0.0
        """Seconds that the event loop is late."""
        self.tls: ssl.SSLContext | None = None
        """The certificate in use; None without TLS."""
        self.notifier = Notifier()
        self.connections = 0
        """WebSockets open now."""
        self.conversation_limits = ConversationLimits(
            **{name: getattr(settings, name) for name in ConversationLimits.__dataclass_fields__}
        )
        self._feeders: dict[str, Connection] = {}
        self._viewers: dict[str, set[Connection]] = {}
        self._parts: tuple[set[Connection], ...] = tuple(set() for _ in range(PARTS))
        self._next_part = 0
        self._admissions: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return self.host.now()

    # -- who may do what -------------------------------------------------------------------------------------

    def check(self, token: str | None) -> Grant:
        """What a token allows; RemoteProtocolError where nothing."""
        now = time.time()
        if (grant := self.view_tokens.grant(token, now)) is not None:
            return grant
        return self.authenticator.check(token, now)

    def verdict(self, grant: Grant | None) -> Verdict:
        """Whether one more session may be opened."""
        key = grant.key if grant else ""
        most = self.settings.sessions_per_key
        if grant is not None and grant.max_sessions is not None:
            most = min(most, grant.max_sessions)
        if grant is not None and not self.authenticator.guarded:
            most = self.settings.max_sessions
        load = Load(
            len(self.host.registry),
            self.host.registry.of_key(key),
            self.host.worker.figures.capacity(limit) if (limit := self.settings.load_limit) else float("inf"),
            self.draining,
            self.host.store.free_mb(),
            health(self)[1],
        )
        reserve = self.settings.disk_reserve_mb
        return admit(load, max_sessions=self.settings.max_sessions, per_key=most, reserve_mb=reserve)

    def admitted(self, connection: ServerConnection, route: Route, grant: Grant | None) -> None:
        """Remember what was found out before the upgrade."""
        self._admissions[connection] = Admission(route, grant)

    # -- connections -----------------------------------------------------------------------------------------

    async def handle(self, socket: ServerConnection) -> None:
        """One WebSocket, from its first message to its end."""
        admission = self._admissions.pop(socket)
        route = admission.route
        role: Any = "ingest" if route.kind == "stream" else "view"
        connection = Connection(self, socket, role, route.session, route.after)
        self.connections += 1
        part = self._parts[self._next_part]
        self._next_part = (self._next_part + 1) % PARTS
        part.add(connection)
        self.host.metrics.connections.labels(role).inc()
        try:
            await connection.run(admission.grant)
        except Exception as error:  # the outermost shell of one connection
            log.error("connection failed", error=f"{type(error).__name__}: {error}")
        finally:
            part.discard(connection)
            self.connections -= 1
            self.host.metrics.connections.labels(role).dec()

    async def start(
        self, grant: Grant, request: messages.SessionStart, connection: Connection
    ) -> tuple[Hosted, messages.SessionStarted]:
        """Open a session; RemoteProtocolError where it may or can not be."""
        if not grant.may("ingest", session=grant.session):
            raise RemoteProtocolError("forbidden", "this token does not allow to send audio")
        verdict = self.verdict(grant)
        if verdict.refused:
            raise RemoteProtocolError(verdict.code, verdict.reason, retry_after_ms=verdict.retry_after_s * 1000)
        settings = self.settings
        delay = max(request.max_delay_ms or settings.max_delay_ms, least_delay_ms(self.engine.config.step))
        try:
            recipe = self.host.recipe(request, delay, await self.host.voices(request))
        except ConfigError as error:
            raise RemoteProtocolError("bad_message", str(error), ref="session.start") from error
        self.authenticator.use(grant, time.time())
        words, note = self.host.words(request.words)
        session = new_session()
        entry = self.host.registry.open(session, grant.key, request.resume_window_s or settings.resume_window_s)
        description = Description(
            id=session,
            key=grant.key,
            created=time.time(),
            request=msgspec.structs.replace(request, token=None, words=words),
            max_delay_ms=delay,
            durability=request.durability or settings.durability,
            resume_window_s=int(entry.window_s),
            fingerprint=self.engine.bundle.sha256,
        )
        try:
            hosted = await self.host.open_session(description, recipe)
        except OSError as error:
            self.host.registry.forget(session)
            raise RemoteProtocolError("storage_full", "the journal cannot be written") from error
        hosted.notes = (note,) if note is not None else ()
        self._feeders[session] = connection
        log.info("session started", session=session, key=grant.key)
        return hosted, self._started(description)

    def _started(self, description: Description) -> messages.SessionStarted:
        settings = self.settings
        return messages.SessionStarted(
            seq=0,
            protocol=PROTOCOL,
            session=description.id,
            server=f"speakrs-stream/{__version__}",
            models=messages.Models(bundle=self.engine.bundle.name, sha256=self.engine.bundle.sha256),
            audio=description.request.audio,
            max_delay_ms=description.max_delay_ms,
            durability=description.durability,  # type: ignore[arg-type]
            resume=self._resume_with(description, 1),
            limits=messages.Limits(
                max_frame_bytes=settings.max_frame_bytes,
                max_frame_ms=settings.max_frame_ms,
                max_unacked_ms=settings.max_unacked_ms,
                max_rate=settings.max_rate,
                max_session_s=settings.max_session_s,
                idle_s=settings.idle_s,
            ),
            heartbeat_s=settings.heartbeat_s,
            captions=self.host.listens(description),
        )

    def _resume_with(self, description: Description, epoch: int) -> messages.Resume:
        until = time.time() + self.settings.max_session_s + description.resume_window_s
        token = self.resume_tokens.seal(description.id, epoch, until)
        return messages.Resume(token=token, window_s=description.resume_window_s)

    async def resume(
        self, request: messages.SessionResume, connection: Connection
    ) -> tuple[Hosted, messages.SessionResumed]:
        """Go on with a session, wherever it was; RemoteProtocolError where that cannot be."""
        try:
            shown = self.resume_tokens.open(request.token, request.session, time.time())
            await self.host.take_over(request.session)
            entry = self.host.registry.resume(request.session, shown)
        except RemoteProtocolError as error:
            self.host.metrics.resumes.labels(error.code.name).inc()
            raise
        hosted = self.host.sessions[request.session]
        if (old := self._feeders.get(request.session)) is not None:
            old.expel(RemoteProtocolError("superseded", "the session goes on over a newer connection"))
        self._feeders[request.session] = connection
        hosted.attach(entry.epoch)
        self.host.metrics.resumes.labels("ok").inc()
        log.info("session resumed", session=request.session, epoch=entry.epoch)
        resumed = messages.SessionResumed(
            session=request.session,
            epoch=entry.epoch,
            next_sample=hosted.received,
            replay_from=request.last_seq + 1,
            resume=self._resume_with(hosted.description, entry.epoch),
        )
        return hosted, resumed

    def view(self, grant: Grant, session: str, connection: Connection) -> Hosted:
        """Let a viewer in; RemoteProtocolError where it may not."""
        hosted = self.host.sessions.get(session)
        owner = hosted.description.key if hosted else None
        if hosted is None or not grant.may("view", owner, session):
            raise RemoteProtocolError("unknown_session", "there is no such session here")
        viewers = self._viewers.setdefault(session, set())
        if len(viewers) >= self.settings.viewers_per_session:
            raise RemoteProtocolError("too_fast", f"a session has at most {len(viewers)} viewers")
        viewers.add(connection)
        return hosted

    def left(self, hosted: Hosted, connection: Connection) -> None:
        """A connection is gone."""
        if connection.role == "view":
            self._viewers.get(hosted.id, set()).discard(connection)
            return
        if self._feeders.get(hosted.id) is connection:
            del self._feeders[hosted.id]
        self.host.registry.park(hosted.id, connection.epoch, self.now())

    def heartbeat(self, hosted: Hosted) -> messages.Heartbeat:
        """Sign of life."""
        return messages.Heartbeat(
            t=int(time.time() * 1000),
            received_ms=hosted.ms(hosted.received),
            processed_ms=hosted.ms(hosted.processed),
            lag_ms=hosted.unworked_ms,
        )

    def share(self, hosted: Hosted) -> messages.SessionShared:
        """What lets others view a session; no token where none is needed."""
        if not self.authenticator.guarded:
            return messages.SessionShared()
        return messages.SessionShared(token=self.view_tokens.seal(hosted.id, time.time()), expires_s=VIEW_S)

    def retry_after_ms(self) -> int:
        """When to come back after a fault: not all at once."""
        return 300 + secrets.randbelow(1200)

    # -- the end ---------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Tell everybody to come back elsewhere, and write down what there is."""
        self.draining = True
        log.info("draining", sessions=len(self.host.registry), connections=self.connections)
        fault = RemoteProtocolError("draining", "the server stops; resume")
        for connection in [one for part in self._parts for one in part]:
            connection.expel(fault)
        with anyio.move_on_after(self.settings.drain_timeout_s / 2):
            while any(self._parts):  # noqa: ASYNC110 - once in a server's life
                await anyio.sleep(0.02)

    def _expel(self, session: str, fault: ProtocolError) -> None:
        for connection in [*self._viewers.get(session, ()), *filter(None, [self._feeders.get(session)])]:
            connection.expel(fault)

    async def keep_time(self) -> None:
        """Every connection looks at the clock, a part of them after the other: all at once would hold up the rest."""
        for part in cycle(self._parts):
            await anyio.sleep(TICK / PARTS)
            for connection in list(part):
                connection.tick(self.now())

    async def keep_house(self) -> None:
        """Every half second: what has expired, who asks for a session, and the figures."""
        swept = 0.0
        while True:
            before = self.now()
            await anyio.sleep(0.5)
            self.loop_lag = max(self.now() - before - 0.5, 0.0)
            await self.host.keep_house()
            measure(self)
            if health(self)[1]:
                self.notifier.alive(self.now())
            if self.now() - swept > 60:
                swept = self.now()
                await self.host.sweep()
