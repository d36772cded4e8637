"""Captions of a whole server: which processes there are, and which session has a recognizer in which."""

from __future__ import annotations

import anyio
import anyio.abc
import structlog

from speakrs_server.captions.captioner import Captioner
from speakrs_server.captions.engines import Options
from speakrs_server.captions.process import RecognizerProcess
from speakrs_server.hosted import Hosted
from speakrs_server.message_parts import WordsOption
from speakrs_server.messages import Warn
from speakrs_server.settings import Settings
from speakrs_stream.core.grid import SAMPLE_RATE

log = structlog.get_logger("speakrs_server")


class Captions:
    """The recognizers of one server. Everything runs in the event loop's thread."""

    def __init__(self, settings: Settings, tasks: anyio.abc.TaskGroup) -> None:
        """tasks: in which processes are read and sessions listened to."""
        self.engine = settings.captions
        """Name of the engine."""
        options = Options(settings.captions_model, settings.captions_language, settings.threads)
        self._settings, self._tasks = settings, tasks
        self._processes = [
            RecognizerProcess(settings.captions, options, tasks) for _ in range(settings.captions_processes)
        ]
        self._captioners: dict[str, tuple[Captioner, anyio.CancelScope]] = {}

    async def start(self) -> None:
        """Load the engine in one process; the others start when they are needed. ConfigError where that fails."""
        await self._processes[0].start()
        log.info("captions ready", engine=self.engine)

    @property
    def lag_s(self) -> float:
        """Seconds that the slowest recognizer is behind its session."""
        return max((captioner.lag for captioner, _ in self._captioners.values()), default=0) / SAMPLE_RATE

    def option(self, asked: WordsOption | None) -> tuple[WordsOption | None, Warn | None]:
        """What a session gets of the words it asks for, and what its client should know."""
        if asked is not None and not (asked.enabled and asked.source == "server"):
            return asked, None
        if len(self._captioners) >= self._settings.captions_sessions:
            return None, Warn(code="captions_full", message="no captions: this server listens to enough sessions")
        return asked or WordsOption(source="server"), None

    def attend(self, hosted: Hosted) -> None:
        """Listen for the words of a session that is opened or goes on."""
        desk = hosted.words
        if desk is None or desk.source != "server" or hosted.over:
            return
        loads = {id(process): len(process.streams) for process in self._processes}
        process = min(self._processes, key=lambda one: loads[id(one)])
        captioner = Captioner(hosted, desk, process, self._settings.captions_max_lag_s)
        scope = anyio.CancelScope()
        self._captioners[hosted.id] = captioner, scope
        hosted.recognizing = True

        async def work() -> None:
            with scope:
                try:
                    await captioner.run()
                except Exception as error:  # captions must never end a session
                    log.error("captions failed", session=hosted.id, error=type(error).__name__)
                    hosted.recognized()
            if self._captioners.get(hosted.id, (None,))[0] is captioner:
                del self._captioners[hosted.id]

        self._tasks.start_soon(work)

    def drop(self, session: str) -> None:
        """The session is not here any more."""
        if (found := self._captioners.pop(session, None)) is not None:
            found[1].cancel()


def unavailable(asked: WordsOption | None) -> tuple[WordsOption | None, Warn | None]:
    """What a session gets where the server has no captions."""
    if asked is not None and asked.enabled and asked.source == "server":
        return None, Warn(code="captions_unavailable", message="no captions: this server runs without a recognizer")
    return asked, None
