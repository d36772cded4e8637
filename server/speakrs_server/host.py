"""Sessions that are alive in this process, and the threads that hear and write for them; recovery from the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import structlog

from speakrs_server import enrolled, messages
from speakrs_server.captions.service import Captions, unavailable
from speakrs_server.codes import ProtocolError, RemoteProtocolError
from speakrs_server.committer import Committer, Submission
from speakrs_server.hosted import Hosted
from speakrs_server.journal import VOICES, Description, Journal, Owned, Saved, Store, read_description
from speakrs_server.limits import Pauses
from speakrs_server.messages import ServerMessage
from speakrs_server.metrics import Metrics
from speakrs_server.recovery import recover
from speakrs_server.results import finish, offline
from speakrs_server.sessions import Registry
from speakrs_server.settings import Settings
from speakrs_server.unit import EnrolledVoice, Recipe, Unit, recipe_for
from speakrs_server.worker import Item, Report, Runner, Sound, Worker, lanes, runner_of
from speakrs_stream import __version__
from speakrs_stream.core.config import SpeakerBounds
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.engine import Engine
from speakrs_stream.errors import SnapshotMismatch

HANDOVER = 8.0
"""Seconds that another process gets to give up a session."""
AT_ONCE = 4
"""Snapshots that are written, and results that are made, at a time."""
GATHER = 0.01
"""Seconds for which sound of all sessions is gathered before it is handed to the worker."""
log = structlog.get_logger("speakrs_server")


class Host:
    """Everything about sessions but who may use them. Runs in the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        expel: Callable[[str, ProtocolError], None],
        runner: Runner | None = None,
        opens: type[Unit] = Unit,
    ) -> None:
        """expel: ends the conversations of a session; runner: answers questions instead of the engine's networks;
        opens: what hears a session. OSError where the data folder cannot be used."""
        self.settings, self.engine = settings, engine
        self.store = Store(Path(settings.data_dir))
        self.registry = Registry()
        self.metrics = Metrics(__version__)
        self.sessions: dict[str, Hosted] = {}
        """Those that are heard, waited for, or finished here."""
        self._expel, self._opens = expel, opens
        self._pauses = Pauses()
        self._broken: set[str] = set()  # of `sessions`, those that are about to be let go of
        self._restarts = 0  # lanes given up, as far as that was told
        self._recovering: dict[str, anyio.Lock] = {}
        self._low = False  # whether clients were told that the disk is nearly full
        self._runner = runner or runner_of(engine.networks)
        self._base = Recipe(
            engine.config, LiveConfig(), engine.model, engine.bundle.sha256, messages.AudioFormat(), SpeakerBounds()
        )
        self.captions: Captions | None = None
        """Listens for words; None where nobody does."""
        self._closed = False
        self._given: list[tuple[str, Item]] = []  # on its way to the worker
        self._handing = False  # whether `_hand_over` is due
        self._tasks: anyio.abc.TaskGroup

    # -- threads ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def open(self, tasks: anyio.abc.TaskGroup, call: Callable[[Callable[[], None]], None]) -> None:
        """Start the threads. call: runs something in the event loop, from any thread."""
        self._tasks = tasks
        # so few at a time: neither snapshots nor results may take all threads from those who want to open a session
        self._savers, self._concluders = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(AT_ONCE)
        if self.settings.captions:
            self.captions = Captions(self.settings, tasks)
        self.committer = Committer(self.settings.commit_interval_ms / 1000, self.metrics.fsync.observe, call)
        self.worker = Worker(
            self._runner,
            lambda report: call(partial(self._report, report)),
            max_batch=self.settings.max_batch,
            max_wait=self.settings.max_wait_ms / 1000,
            lanes=lanes(self.settings.lanes, self.engine.backend_name),
            patience=self.settings.inference_timeout_s,
            observe=self.metrics.inferred,
        )

    def _report(self, report: Report) -> None:
        hosted = self.sessions.get(report.session)
        if hosted is not None:
            before = hosted.processed
            hosted.report(report)
            self.metrics.processed.inc((hosted.processed - before) / hosted.audio.sample_rate)
            hosted.want_snapshot(self.settings.snapshot_interval_s)

    def commit(self, submission: Submission) -> None:
        """See `hosted.Outside`."""
        if not self._closed:  # else the journal is closed: what is not in it is heard again by whoever goes on
            self.committer.submit(submission)

    def give(self, session: str, item: Item) -> None:
        """See `hosted.Outside`."""
        self._given.append((session, item))
        if not isinstance(item, Sound):
            self._hand_over()
        elif not self._handing:
            self._handing = True
            asyncio.get_running_loop().call_later(GATHER, self._hand_over)

    def _hand_over(self) -> None:
        """What sessions were given since the last time, to the worker: waking its thread for each would cost more."""
        given, self._given, self._handing = self._given, [], False
        if given and not self._closed:
            self.worker.give_all(given)

    def seen(self, message: ServerMessage, latency_ms: int | None) -> None:
        """See `hosted.Outside`."""
        self.metrics.told(message, latency_ms)

    def heard(self, anomalies: Mapping[str, int]) -> None:
        """See `hosted.Outside`."""
        for kind, samples in anomalies.items():
            self.metrics.anomalies.labels(kind).inc(samples)

    def save(self, session: str, journal: Journal, saved: Saved) -> None:
        """See `hosted.Outside`."""

        async def work() -> None:
            try:
                async with self._savers:
                    hosted = self.sessions.get(session)
                    if hosted is None or hosted.over:
                        return  # it ended meanwhile, and voice prints go when a session goes
                    flush = hosted.durability == "synced"
                    await anyio.to_thread.run_sync(partial(journal.save, saved, flush=flush))
            except Exception as error:  # the journal alone is enough to recover from: only slower
                log.warning("snapshot failed", session=session, error=type(error).__name__)
            if session in self.sessions:
                self.sessions[session].snapshot_saved()

        self._tasks.start_soon(work)

    def conclude(self, session: str, unit: Unit) -> None:
        """See `hosted.Outside`."""
        hosted = self.sessions[session]

        def work() -> messages.SessionFinal:
            final = offline(session, unit, self.engine)
            done = finish(session, hosted.board, final, hosted.journal.audio_digest(), hosted.received)
            hosted.journal.keep({"live": done.live.to_json(), "final": done.final.to_json()})
            return done.message

        async def task() -> None:
            try:
                final = await anyio.to_thread.run_sync(work, limiter=self._concluders)
            except OSError as error:
                self.broke(session, "storage_full", f"the result cannot be written: {error.strerror or error}")
                return
            except Exception as error:  # one session's result must not stop the others
                log.error("result failed", session=session, error=f"{type(error).__name__}: {error}")
                self.broke(session, "engine_failed", "the result could not be made")
                return
            if session in self.sessions:
                hosted.concluded(final)

        self._tasks.start_soon(task)

    def ended(self, session: str) -> None:
        """See `hosted.Outside`."""
        self.registry.final(session)
        hosted = self.sessions[session]

        async def clean() -> None:
            keep = hosted.description.request.keep_audio == "with_result"
            try:
                await anyio.to_thread.run_sync(partial(hosted.journal.clean, keep_audio=keep))
            except OSError as error:  # the next start, or the sweep, gets rid of it
                log.warning("session cannot be cleaned", session=session, error=error.strerror)
            await self.let_go(session)

        self._tasks.start_soon(clean)
        log.info("session ended", session=session, audio_ms=hosted.ms(hosted.received))

    def broke(self, session: str, code: str, message: str) -> None:
        """See `hosted.Outside`: connections are told, and a resume reads the session from its journal again."""
        if session not in self.sessions or session in self._broken:
            return  # everything that was on its way when it broke fails, too
        self._broken.add(session)
        log.warning("session broke", session=session, code=code)
        fault = RemoteProtocolError(code, message)
        self._expel(session, fault)
        if not fault.code.retryable:
            self.registry.failed(session)
            self._tasks.start_soon(self.let_go, session)
            return
        self.registry.forget(session)
        self._pauses.failed(session, self.now())
        self._tasks.start_soon(self._go_on_later, session)

    async def _go_on_later(self, session: str) -> None:
        """A session that broke is read from its journal again, whether or not its client comes back for it."""
        await self.let_go(session)
        await anyio.sleep(max(self._pauses.left(session, self.now()), 0.5))
        if self._closed or session in self.sessions:
            return
        try:
            await self.recover(session)
        except Owned:
            return  # another process goes on with it
        except Exception as error:  # it stays on the disk, and a resume tries again
            log.error("session cannot be recovered", session=session, error=f"{type(error).__name__}: {error}")

    async def let_go(self, session: str) -> None:
        """Let go of a session: what is submitted is written first."""
        hosted = self.sessions.get(session)
        if hosted is None:
            return
        self.worker.drop(session)
        if self.captions is not None:
            self.captions.drop(session)
        written = anyio.Event()
        self.commit(Submission((), "none", lambda error: written.set()))
        await written.wait()
        while hosted.listeners and hosted.board.ended:  # noqa: ASYNC110 - rare, and short
            await anyio.sleep(0.05)  # they still read the last messages
        self._broken.discard(session)
        if self.sessions.pop(session, None) is not None:
            await anyio.to_thread.run_sync(hosted.journal.close)

    # -- opening ---------------------------------------------------------------------------------------------

    async def voices(self, request: messages.SessionStart) -> tuple[EnrolledVoice, ...]:
        """Voices that a client wants recognised; RemoteProtocolError where they are not known."""
        known, directory = request.speakers.known, self.settings.voices_dir
        if not known:
            return ()
        return await anyio.to_thread.run_sync(enrolled.find, known, directory, self.engine.bundle)

    def recipe(self, request: messages.SessionStart, max_delay_ms: int, voices: Sequence[EnrolledVoice] = ()) -> Recipe:
        """What a session's hearing is made of; ConfigError where it asks for what is impossible."""
        return recipe_for(request, max_delay_ms, self._base, voices)

    def words(self, asked: messages.WordsOption | None) -> tuple[messages.WordsOption | None, messages.Warn | None]:
        """What a session gets of the words it asks for, and what its client should know."""
        return self.captions.option(asked) if self.captions is not None else unavailable(asked)

    def listens(self, description: Description) -> str | None:
        """Which recognizer listens to a session; None where none does."""
        words = description.request.words
        listens = self.captions is not None and words is not None and words.enabled and words.source == "server"
        return self.settings.captions if listens else None

    async def open_session(self, description: Description, recipe: Recipe) -> Hosted:
        """A new session; OSError where its journal cannot be written."""
        journal = await anyio.to_thread.run_sync(self._create, description, recipe.voices)
        hosted = self.sessions[description.id] = Hosted(description, journal, self)
        self.worker.host(description.id, self._opens(recipe))
        self._listen(hosted)
        return hosted

    def _listen(self, hosted: Hosted) -> None:
        if self.captions is not None:
            self.captions.attend(hosted)

    def _create(self, description: Description, voices: Sequence[EnrolledVoice]) -> Journal:
        journal = self.store.create(description.id)
        enrolled.keep(journal.folder, voices)
        journal.describe(description)
        return journal

    def finish(self, hosted: Hosted) -> None:
        """No more audio comes for a session."""
        self.registry.ending(hosted.id)
        hosted.end()

    async def told(self, hosted: Hosted, after: int, limit: int) -> list[bytes]:
        """Durable messages after number `after`, wherever they are."""
        if hosted.teller.in_memory(after):
            return hosted.teller.tail(after, limit)
        return await anyio.to_thread.run_sync(hosted.journal.told, after, limit)

    # -- recovery --------------------------------------------------------------------------------------------

    async def recover_all(self) -> None:
        """Take every session on the disk that is not over and that nobody has."""
        for session in await anyio.to_thread.run_sync(self.store.all):
            folder = self.store.folder(session)
            if folder is None or session in self.sessions or _clean(folder):
                continue
            try:
                await self.recover(session)
            except Owned:
                continue
            except Exception as error:  # one damaged session must not keep the server from starting
                log.error("session cannot be recovered", session=session, error=f"{type(error).__name__}: {error}")

    async def recover(self, session: str) -> None:
        """Go on with a session from its journal; Owned where another process has it."""
        lock = self._recovering.setdefault(session, anyio.Lock())
        async with lock:  # two at once would keep each other out of the folder
            await self._recover(session)
        if not lock.statistics().tasks_waiting:
            self._recovering.pop(session, None)

    async def _recover(self, session: str) -> None:
        if session in self.sessions:
            return
        loaded = await anyio.to_thread.run_sync(self._load, session)
        if loaded is None or session in self.sessions:
            return
        hosted, unit, items = loaded
        self.sessions[session] = hosted
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
            confirmed=hosted.confirmed,
            now=self.now(),
            ending=hosted.ending,
        )
        self.worker.host(session, unit)
        self._listen(hosted)
        self.worker.give_all([(session, item) for item in items])
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
            recipe = self.recipe(description.request, description.max_delay_ms, enrolled.kept(folder))
            hosted = Hosted(description, journal, self)
            told = sum(from_engine for _, from_engine in journal.messages())
            for saved in journal.snapshots():
                try:
                    if saved.told <= told:
                        unit = self._opens.restore(saved.stream, recipe)
                        return hosted, unit, recover(hosted, saved, unit)
                except SnapshotMismatch:
                    continue
            unit = self._opens(recipe)
            return hosted, unit, recover(hosted, None, unit)
        except BaseException:
            journal.close()
            raise

    async def take_over(self, session: str) -> None:
        """Host a session that lies on the disk, asking another process if need be; nothing where it is hosted."""
        if session in self.sessions:
            if self.registry.find(session) is None:  # it broke, and is not let go of yet
                raise RemoteProtocolError("engine_failed", "the session is being read again", retry_after_ms=500)
            return
        if self.store.folder(session) is None:
            raise RemoteProtocolError("unknown_session", "there is no such session")
        if (pause := self._pauses.left(session, self.now())) > 0:
            why, after = "the session failed again and again", round(pause * 1000) + 500
            raise RemoteProtocolError("engine_failed", why, retry_after_ms=after)
        until = self.now() + HANDOVER
        while session not in self.sessions:
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
        if session not in self.sessions:
            raise RemoteProtocolError("unknown_session", "the session cannot be read")

    async def give_up(self, session: str) -> None:
        """Another process takes over."""
        self._expel(session, RemoteProtocolError("superseded", "the session goes on in another process"))
        self.registry.forget(session)
        await self.let_go(session)
        log.info("session given up", session=session)

    async def keep_house(self) -> None:
        """Finish sessions nobody came back to, give up those that another process asks for, watch the networks."""
        self.worker.watch()
        if self.worker.figures.restarts > self._restarts:
            self.metrics.restarts.inc(self.worker.figures.restarts - self._restarts)
            self._restarts = self.worker.figures.restarts
            log.error("the networks did not answer and were given up")
        self._warn_of_disk()
        for session in self.registry.expired(self.now()):
            if (hosted := self.sessions.get(session)) is not None:
                self.finish(hosted)
        for session, hosted in list(self.sessions.items()):
            hosted.tick()
            if hosted.journal.claimed():
                await self.give_up(session)

    def _warn_of_disk(self) -> None:
        reserve, free = self.settings.disk_reserve_mb, self.store.free_mb()
        if free >= 2 * reserve:
            self._low = False
        elif not self._low:
            self._low = True
            log.warning("the disk is nearly full", free_mb=round(free))
            for hosted in self.sessions.values():
                hosted.teller.pass_on(messages.Warn(code="storage_low", message="the server's disk is nearly full"))

    async def sweep(self) -> None:
        """Remove results whose time is over."""
        self._pauses.forget(self.now() - 600)
        for session in await anyio.to_thread.run_sync(self.store.expire, time.time() - self.settings.result_ttl_s):
            self.registry.forget(session)

    def close(self) -> None:
        """Stop the threads; what was submitted is written."""
        self.worker.stop()
        self._closed = True
        self.committer.close()
        for hosted in self.sessions.values():
            hosted.journal.close()


def _clean(folder: Path) -> bool:
    """Whether a session is finished and holds nothing that should be gone."""
    description = read_description(folder)
    kept = description is not None and description.request.keep_audio == "with_result"
    prints = any(folder.glob("snapshot-*.bin")) or (folder / VOICES).exists()
    sound = not kept and any(folder.glob("input-*.seg"))
    return (folder / "final.json").exists() and not prints and not sound
