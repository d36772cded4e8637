"""The server: sessions, connections and threads put together; recovery at the start, drain at the end."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import anyio.abc
import msgspec
import structlog
from websockets.asyncio.server import ServerConnection

from speakrs_server import messages
from speakrs_server.auth import Authenticator, Grant, read_tokens
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.committer import Committer, Submission
from speakrs_server.connection import Connection
from speakrs_server.hosted import Hosted
from speakrs_server.identifiers import new_session
from speakrs_server.journal import Description, Journal, Owned, Saved, Store, read_description, read_result
from speakrs_server.limits import Load, Verdict, admit
from speakrs_server.messages import PROTOCOL, ServerMessage
from speakrs_server.metrics import Metrics
from speakrs_server.protocol import ConversationLimits
from speakrs_server.results import finish
from speakrs_server.routes import Route
from speakrs_server.sealed import VIEW_S, ResumeTokens, ViewTokens
from speakrs_server.sessions import Registry
from speakrs_server.settings import Settings
from speakrs_server.unit import Recipe, Unit, recipe_for
from speakrs_server.worker import Item, Report, Runner, Worker, runner_of
from speakrs_stream import __version__
from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError, SnapshotMismatch

HANDOVER = 8.0
"""Seconds that another process gets to give up a session."""
WEDGED = 10.0
"""Seconds after which work that does not end counts as hung."""
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

    def __init__(self, settings: Settings, engine: Engine, *, runner: Runner | None = None) -> None:
        """runner: answers questions instead of the engine's networks; ConfigError, OSError where it cannot start."""
        self.settings = settings
        self.engine = engine
        self.store = Store(Path(settings.data_dir))
        self.authenticator = read_authenticator(settings)
        self.resume_tokens = ResumeTokens(self.store.secret())
        self.view_tokens = ViewTokens(self.store.secret())
        self.registry = Registry()
        self.metrics = Metrics(__version__)
        self.hosted: dict[str, Hosted] = {}
        self.draining = False
        self.ready = False
        """Whether the networks gave a sound answer and recovery is done."""
        self.loop_lag = 0.0
        """Seconds that the event loop is late."""
        self.tls: ssl.SSLContext | None = None
        """The certificate in use; None without TLS."""
        self.connections = 0
        """WebSockets open now."""
        self.conversation_limits = ConversationLimits(
            **{name: getattr(settings, name) for name in ConversationLimits.__dataclass_fields__}
        )
        self._runner = runner or runner_of(engine.networks)
        self._base = Recipe(
            engine.config, LiveConfig(), engine.model, engine.bundle.sha256, messages.AudioFormat(), SpeakerBounds()
        )
        self._feeders: dict[str, Connection] = {}
        self._viewers: dict[str, set[Connection]] = {}
        self._everybody: set[Connection] = set()
        self._admissions: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()
        self._closed = False
        self._tasks: anyio.abc.TaskGroup
        self._portal: Callable[[Callable[[], None]], None]

    # -- threads ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def open(self, tasks: anyio.abc.TaskGroup, call: Callable[[Callable[[], None]], None]) -> None:
        """Start the threads. call: runs something in the event loop, from any thread."""
        self._tasks, self._portal = tasks, call
        self.committer = Committer(self.settings.commit_interval_ms / 1000, self.metrics.fsync.observe)
        self.worker = Worker(
            self._runner,
            lambda report: call(partial(self._report, report)),
            max_batch=self.settings.max_batch,
            observe=self.metrics.inferred,
        )

    def _report(self, report: Report) -> None:
        hosted = self.hosted.get(report.session)
        if hosted is not None:
            hosted.report(report)
            hosted.want_snapshot(self.settings.snapshot_interval_s)

    def commit(self, submission: Submission) -> None:
        """See `hosted.Outside`."""
        done = submission.done
        if self._closed:
            return  # the journal is closed: what is not in it is heard again by whoever goes on

        def committed(error: OSError | None) -> None:
            self._portal(lambda: done(error))

        self.committer.submit(Submission(submission.writes, submission.durability, committed))

    def give(self, session: str, item: Item) -> None:
        """See `hosted.Outside`."""
        self.worker.give(session, item)

    def seen(self, message: ServerMessage) -> None:
        """See `hosted.Outside`."""
        self.metrics.told(message)

    def save(self, session: str, journal: Journal, saved: Saved) -> None:
        """See `hosted.Outside`."""

        async def work() -> None:
            try:
                await anyio.to_thread.run_sync(partial(journal.save, saved))
            except Exception as error:  # the journal alone is enough to recover from: only slower
                log.warning("snapshot failed", session=session, error=type(error).__name__)
            if session in self.hosted:
                self.hosted[session].snapshot_saved()

        self._tasks.start_soon(work)

    def conclude(self, session: str, unit: Unit) -> None:
        """See `hosted.Outside`."""
        hosted = self.hosted[session]

        def work() -> messages.SessionFinal:
            final = self.engine.diarization(unit.outcome(), session)
            done = finish(session, hosted.board, final, hosted.journal.audio_digest(), hosted.received)
            hosted.journal.keep({"live": done.live.to_json(), "final": done.final.to_json()})
            return done.message

        async def task() -> None:
            try:
                final = await anyio.to_thread.run_sync(work)
            except Exception as error:  # one session's result must not stop the others
                log.error("result failed", session=session, error=f"{type(error).__name__}: {error}")
                self.broke(session, "engine_failed", "the result could not be made")
                return
            if session in self.hosted:
                hosted.concluded(final)

        self._tasks.start_soon(task)

    def ended(self, session: str) -> None:
        """See `hosted.Outside`."""
        self.registry.final(session)
        hosted = self.hosted[session]

        async def clean() -> None:
            keep = hosted.description.request.keep_audio == "with_result"
            await anyio.to_thread.run_sync(partial(hosted.journal.clean, keep_audio=keep))
            await self._unhost(session)

        self._tasks.start_soon(clean)
        log.info("session ended", session=session, audio_ms=hosted.ms(hosted.received))

    def broke(self, session: str, code: str, message: str) -> None:
        """See `hosted.Outside`: connections are told, and a resume reads the session from its journal again."""
        hosted = self.hosted.get(session)
        if hosted is None:
            return
        log.warning("session broke", session=session, code=code)
        fault = RemoteProtocolError(code, message)
        for connection in [*self._viewers.get(session, ()), *filter(None, [self._feeders.get(session)])]:
            connection.expel(fault)
        if fault.code.retryable:
            self.registry.forget(session)
        else:
            self.registry.failed(session)
        self._tasks.start_soon(self._unhost, session)

    async def _unhost(self, session: str) -> None:
        """Let go of a session: what is submitted is written first."""
        hosted = self.hosted.get(session)
        if hosted is None:
            return
        self.worker.drop(session)
        written = anyio.Event()
        self.commit(Submission((), "none", lambda error: written.set()))
        await written.wait()
        while hosted.listeners and hosted.board.ended:  # noqa: ASYNC110 - rare, and short
            await anyio.sleep(0.05)  # they still read the last messages
        if self.hosted.pop(session, None) is not None:
            await anyio.to_thread.run_sync(hosted.journal.close)

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
            len(self.registry),
            self.registry.of_key(key),
            self.worker.figures.capacity(),
            self.draining,
            self.store.free_mb(),
            self.health()[1],
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
        self._everybody.add(connection)
        self.metrics.connections.labels(role).inc()
        try:
            await connection.run(admission.grant)
        except Exception as error:  # the outermost shell of one connection
            log.error("connection failed", error=f"{type(error).__name__}: {error}")
        finally:
            self._everybody.discard(connection)
            self.connections -= 1
            self.metrics.connections.labels(role).dec()

    async def start(
        self, grant: Grant, request: messages.SessionStart, connection: Connection
    ) -> tuple[Hosted, messages.SessionStarted]:
        """Open a session; RemoteProtocolError where it may or can not be."""
        if not grant.may("ingest", session=grant.session):
            raise RemoteProtocolError("forbidden", "this token does not allow to send audio")
        verdict = self.verdict(grant)
        if verdict.refused:
            raise RemoteProtocolError(verdict.code, verdict.reason)
        settings = self.settings
        delay = request.max_delay_ms or settings.max_delay_ms
        try:
            recipe = recipe_for(request, delay, self._base)
        except ConfigError as error:
            raise RemoteProtocolError("bad_message", str(error), ref="session.start") from error
        self.authenticator.use(grant, time.time())
        session = new_session()
        entry = self.registry.open(session, grant.key, request.resume_window_s or settings.resume_window_s)
        description = Description(
            id=session,
            key=grant.key,
            created=time.time(),
            request=msgspec.structs.replace(request, token=None),
            max_delay_ms=delay,
            durability=request.durability or settings.durability,
            resume_window_s=int(entry.window_s),
            fingerprint=self.engine.bundle.sha256,
        )
        try:
            journal = await anyio.to_thread.run_sync(self._create, session, description)
        except OSError as error:
            self.registry.forget(session)
            raise RemoteProtocolError("storage_full", "the journal cannot be written") from error
        hosted = Hosted(description, journal, self)
        self.hosted[session] = hosted
        self._feeders[session] = connection
        self.worker.host(session, Unit(recipe))
        log.info("session started", session=session, key=grant.key)
        return hosted, self._started(description)

    def _create(self, session: str, description: Description) -> Journal:
        journal = self.store.create(session)
        journal.describe(description)
        return journal

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
            if request.session not in self.hosted:
                await self._take_over(request.session)
            entry = self.registry.resume(request.session, shown)
        except RemoteProtocolError as error:
            self.metrics.resumes.labels(error.code.name).inc()
            raise
        hosted = self.hosted[request.session]
        if (old := self._feeders.get(request.session)) is not None:
            old.expel(RemoteProtocolError("superseded", "the session goes on over a newer connection"))
        self._feeders[request.session] = connection
        hosted.attach(entry.epoch)
        self.metrics.resumes.labels("ok").inc()
        log.info("session resumed", session=request.session, epoch=entry.epoch)
        resumed = messages.SessionResumed(
            session=request.session,
            epoch=entry.epoch,
            next_sample=hosted.received,
            replay_from=request.last_seq + 1,
            resume=self._resume_with(hosted.description, entry.epoch),
        )
        return hosted, resumed

    async def _take_over(self, session: str) -> None:
        """Host a session that lies on the disk, asking another process for it if need be."""
        if self.store.folder(session) is None:
            raise RemoteProtocolError("unknown_session", "there is no such session")
        until = self.now() + HANDOVER
        while session not in self.hosted:
            try:
                await self.recover(session)
                break
            except Owned:
                if self.now() > until:
                    raise RemoteProtocolError("internal", "another process has this session") from None
                await anyio.to_thread.run_sync(self.store.claim, session)
                await anyio.sleep(0.1)
            except (OSError, ValueError) as error:
                raise RemoteProtocolError("unknown_session", "the session cannot be read") from error
        if session not in self.hosted:
            raise RemoteProtocolError("unknown_session", "the session cannot be read")

    def view(self, grant: Grant, session: str, connection: Connection) -> Hosted:
        """Let a viewer in; RemoteProtocolError where it may not."""
        hosted = self.hosted.get(session)
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
        self.registry.park(hosted.id, connection.epoch, self.now())

    async def told(self, hosted: Hosted, after: int, limit: int) -> list[bytes]:
        """Durable messages after number `after`, wherever they are."""
        if hosted.in_memory(after):
            return hosted.tail(after, limit)
        return await anyio.to_thread.run_sync(hosted.journal.told, after, limit)

    def finish(self, hosted: Hosted) -> None:
        """No more audio comes for a session."""
        self.registry.ending(hosted.id)
        hosted.end()

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

    # -- recovery --------------------------------------------------------------------------------------------

    async def recover_all(self) -> None:
        """Take every session on the disk that is not over and that nobody has."""
        for session in await anyio.to_thread.run_sync(self.store.all):
            folder = self.store.folder(session)
            if folder is None or session in self.hosted or _clean(folder):
                continue
            try:
                await self.recover(session)
            except Owned:
                continue
            except Exception as error:  # one damaged session must not keep the server from starting
                log.error("session cannot be recovered", session=session, error=f"{type(error).__name__}: {error}")

    async def recover(self, session: str) -> None:
        """Go on with a session from its journal; Owned where another process has it."""
        loaded = await anyio.to_thread.run_sync(self._load, session)
        if loaded is None or session in self.hosted:
            return
        hosted, unit, items = loaded
        self.hosted[session] = hosted
        description = hosted.description
        if hosted.board.ended:
            self.registry.recover(
                session, description.key, 0, epoch=hosted.epoch, confirmed=1, now=self.now(), ending=True
            )
            self.ended(session)
            return
        self.registry.recover(
            session,
            description.key,
            description.resume_window_s,
            epoch=hosted.epoch,
            confirmed=max(hosted.epoch - 1, 1),
            now=self.now(),
            ending=hosted.ending,
        )
        self.worker.host(session, unit)
        for item in items:
            self.worker.give(session, item)
        log.info("session recovered", session=session, epoch=hosted.epoch, audio_ms=hosted.ms(hosted.received))

    def _load(self, session: str) -> tuple[Hosted, Unit, list[Item]] | None:
        """In a thread: read everything about a session."""
        folder = self.store.folder(session)
        description = read_description(folder) if folder else None
        if folder is None or description is None:
            return None
        journal = Journal(folder)
        try:
            journal.open()
            recipe = recipe_for(description.request, description.max_delay_ms, self._base)
            hosted = Hosted(description, journal, self)
            told = sum(from_engine for _, from_engine in journal.messages())
            for saved in journal.snapshots():
                try:
                    if saved.told <= told:
                        unit = Unit.restore(saved.stream, recipe)
                        return hosted, unit, hosted.recover(saved, unit)
                except SnapshotMismatch:
                    continue
            unit = Unit(recipe)
            return hosted, unit, hosted.recover(None, unit)
        except BaseException:
            journal.close()
            raise

    # -- the clock -------------------------------------------------------------------------------------------

    async def keep_house(self) -> None:
        """Every half second: what has expired, who asks for a session, and the figures."""
        swept = 0.0
        while True:
            before = self.now()
            await anyio.sleep(0.5)
            self.loop_lag = max(self.now() - before - 0.5, 0.0)
            for session in self.registry.expired(self.now()):
                if (hosted := self.hosted.get(session)) is not None:
                    self.finish(hosted)
            for session in list(self.hosted):
                if self.hosted[session].journal.claimed():
                    await self._give_up(session)
            self._measure()
            if self.now() - swept > 60:
                swept = self.now()
                gone = await anyio.to_thread.run_sync(self.store.expire, time.time() - self.settings.result_ttl_s)
                for session in gone:
                    self.registry.forget(session)

    async def _give_up(self, session: str) -> None:
        """Another process takes over."""
        fault = RemoteProtocolError("superseded", "the session goes on in another process")
        for connection in [*self._viewers.get(session, ()), *filter(None, [self._feeders.get(session)])]:
            connection.expel(fault)
        self.registry.forget(session)
        await self._unhost(session)
        log.info("session given up", session=session)

    def _measure(self) -> None:
        metrics = self.metrics
        states: tuple[Any, ...] = ("attached", "parked", "ending", "final", "failed")
        for state in states:
            metrics.sessions.labels(state).set(self.registry.count(state))
        metrics.capacity.set(self.worker.figures.capacity())
        metrics.rtf.set(self.worker.figures.rtf)
        metrics.loop_lag.set(self.loop_lag)
        metrics.lag.set(max((hosted.unworked_ms for hosted in self.hosted.values()), default=0) / 1000)
        metrics.journal.set(sum(hosted.journal.size for hosted in self.hosted.values()))

    # -- facts -----------------------------------------------------------------------------------------------

    def health(self) -> tuple[str, bool]:
        """A word for the state, and whether the process is worth keeping."""
        since = self.worker.since
        if since is not None and self.now() - since > WEDGED:
            return "Critical", False
        return ("Healthy", True) if self.loop_lag < 1.0 else ("Degraded", False)

    def readiness(self) -> tuple[str, bool]:
        """A word for the state, and whether new sessions are welcome."""
        if not self.ready:
            return "Initializing", False
        state, healthy = self.health()
        if not healthy:
            return state, False
        return ("Ready", True) if not self.verdict(None).refused else ("Degraded", False)

    def describe(self, session: str) -> Description | None:
        """What a session is, wherever it is kept."""
        if (hosted := self.hosted.get(session)) is not None:
            return hosted.description
        folder = self.store.folder(session)
        return read_description(folder) if folder else None

    def session_info(self, session: str, description: Description) -> dict[str, Any]:
        """What anybody who may see a session may know of it."""
        entry = self.registry.find(session)
        hosted = self.hosted.get(session)
        folder = self.store.folder(session)
        over = folder is not None and (folder / "final.json").exists()
        return {
            "session": session,
            "state": entry.state if entry else ("final" if over else "parked"),
            "created": description.created,
            "audio_ms": hosted.ms(hosted.received) if hosted else None,
            "final_until_ms": hosted.board.final_until_ms if hosted else None,
            "metadata": description.request.metadata,
            "results": {
                "live": f"/v1/sessions/{session}/result.rttm?pass=live",
                "final": f"/v1/sessions/{session}/result.rttm?pass=final",
            },
        }

    def result(self, session: str, *, live: bool) -> str | None:
        """A result as JSON; None where there is none yet. The live one is there from the first turn on."""
        folder = self.store.folder(session)
        found = read_result(folder, "live" if live else "final") if folder else None
        hosted = self.hosted.get(session)
        if found is None and live and hosted is not None:
            board, bundle = hosted.board, self.engine.bundle.name
            return board.live(session, board.processed_until_ms, bundle).to_json()
        return found

    # -- the end ---------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Tell everybody to come back elsewhere, and write down what there is."""
        self.draining = True
        log.info("draining", sessions=len(self.registry), connections=self.connections)
        fault = RemoteProtocolError("draining", "the server stops; resume")
        for connection in list(self._everybody):
            connection.expel(fault)
        with anyio.move_on_after(self.settings.drain_timeout_s / 2):
            while self._everybody:  # noqa: ASYNC110 - once in a server's life
                await anyio.sleep(0.02)

    def close(self) -> None:
        """Stop the threads; what was submitted is written."""
        self.worker.stop()
        self._closed = True
        self.committer.close()
        for hosted in self.hosted.values():
            hosted.journal.close()


def _clean(folder: Path) -> bool:
    """Whether a session is finished and holds nothing that should be gone."""
    description = read_description(folder)
    kept = description is not None and description.request.keep_audio == "with_result"
    left = any(folder.glob("snapshot-*.bin")) or (not kept and any(folder.glob("input-*.seg")))
    return (folder / "final.json").exists() and not left
