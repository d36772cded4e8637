"""Running a server: sockets and signals around `Server`, from a free port to the last byte written."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import numpy as np
import structlog
from websockets.asyncio.server import Server as SocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from speakrs_server.app import Server, log, read_authenticator
from speakrs_server.auth import choose_subprotocol
from speakrs_server.connection import WRITE_LIMIT
from speakrs_server.funnel import Funnel
from speakrs_server.settings import Settings
from speakrs_server.web import process_request, response
from speakrs_stream.core.grid import WINDOW
from speakrs_stream.engine import Engine
from speakrs_stream.errors import ConfigError, ModelError, SpeakrsError
from speakrs_stream.settings_file import read_settings

COLLECT = (20_000, 50, 100)
"""Thresholds of the garbage collector's generations."""


def configure_logging(level: str) -> None:
    """JSON lines on standard error; sockets that come and go are no news."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def golden(engine: Engine) -> None:
    """One inference of each network on a fixed sound; ModelError where the answers cannot be right."""
    sound = np.sin(np.arange(WINDOW) * 0.05).astype(np.float32) * np.float32(0.1)
    networks = engine.networks
    probabilities = np.exp(networks.segment(sound[None])).sum(axis=-1)
    if not np.allclose(probabilities, 1.0, atol=1e-2):
        raise ModelError("the segmentation network's probabilities do not add up to one: the bundle is damaged")
    if engine.model.layout.kind == "split":
        features = networks.trunk(np.zeros((1, 200, 80), np.float32))
        statistics = np.concatenate([features.mean(axis=1), features.std(axis=1)], axis=1)
        found = networks.head(statistics)
    else:
        found = networks.multimask(np.zeros((1, 998, 80), np.float32), np.ones((1, 3, 589), np.float32))
    if not np.isfinite(found).all():
        raise ModelError("the embedding network gives values that are not finite: the bundle is damaged")


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The certificate, loaded; None where there is none. ConfigError where it cannot be."""
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use the certificate in {settings.tls_cert}: {error}") from error
    return context


def _select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    chosen = choose_subprotocol(offered)
    return Subprotocol(chosen) if chosen else None


def port_of(sockets: SocketServer) -> int:
    """The port that is listened on."""
    return int(next(iter(sockets.sockets)).getsockname()[1])


@asynccontextmanager
async def running(server: Server, check: Callable[[Engine], None] = golden) -> AsyncIterator[tuple[int, int]]:
    """A server that listens, drained at the end; yields its port and the one of /metrics (0: none).

    check: tries the networks; what it raises ends the server
    """
    loop = asyncio.get_running_loop()

    def schedule(call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is gone: so is everybody who could be told
            loop.call_soon_threadsafe(call)

    def failed(error: Exception) -> None:
        loop.call_exception_handler({"message": "a call from another thread failed", "exception": error})

    context = tls_context(server.settings)
    async with anyio.create_task_group() as tasks:
        server.host.open(tasks, Funnel(schedule, failed).put)
        sockets: list[SocketServer] = []
        try:
            await anyio.to_thread.run_sync(check, server.engine)
            if server.host.captions is not None:
                await server.host.captions.start()
            await server.host.recover_all()
            tasks.start_soon(server.keep_house)
            tasks.start_soon(server.keep_time)
            sockets.append(await _listen(server, context))
            admin = await _admin(server)
            sockets += admin
            server.ready = True
            log.info("listening", host=server.settings.host, port=port_of(sockets[0]))
            server.notifier.ready(f"listening on port {port_of(sockets[0])}")
            server.tls = context
            yield port_of(sockets[0]), port_of(admin[0]) if admin else 0
        finally:
            with anyio.CancelScope(shield=True):
                server.notifier.stopping()
                for one in sockets:
                    one.close(close_connections=False)
                await server.drain()
                tasks.cancel_scope.cancel()
                await anyio.to_thread.run_sync(server.host.close)


async def _listen(server: Server, context: ssl.SSLContext | None) -> SocketServer:
    settings = server.settings
    return await serve(
        server.handle,
        settings.host,
        settings.port,
        process_request=partial(process_request, server),
        select_subprotocol=_select,
        compression=None,
        max_size=max(settings.max_frame_bytes, 65_536) + 16,
        max_queue=8,
        open_timeout=settings.hello_timeout_s,
        ping_interval=20,
        ping_timeout=20,
        close_timeout=2,
        write_limit=WRITE_LIMIT,
        ssl=context,
        server_header=None,
        logger=quiet(),
    )


async def _admin(server: Server) -> list[SocketServer]:
    settings = server.settings
    if settings.admin_port < 0:
        return []

    def answer(connection: ServerConnection, request: Request) -> Response:
        if request.path == "/metrics":
            return response(200, server.host.metrics.text(), "text/plain")
        return response(404, "there is nothing here but /metrics\n")

    async def nobody(connection: ServerConnection) -> None:
        raise AssertionError("every request is answered before the upgrade")

    admin = await serve(
        nobody,
        settings.admin_host,
        settings.admin_port,
        process_request=answer,
        open_timeout=settings.hello_timeout_s,
        compression=None,
        server_header=None,
        logger=quiet(),
    )
    return [admin]


def quiet() -> logging.Logger:
    """A logger for `websockets` that says nothing: a client that breaks off is no news, and must not fill a disk."""
    logger = logging.getLogger("speakrs_server.sockets")
    logger.propagate = False
    logger.disabled = True
    return logger


async def serve_until_signal(server: Server, announce: Callable[[int], None]) -> None:
    """Listen until SIGTERM or SIGINT; SIGHUP reads keys and certificates again. announce: told the port."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with running(server) as (port, _):
            announce(port)
            async for number in signals:
                if number != signal.SIGHUP:
                    break
                reload(server)


def reload(server: Server) -> None:
    """Read keys and certificates again; what cannot be used is said, and the old ones stay."""
    server.notifier.reloading()
    try:
        fresh = read_authenticator(server.settings)
        if server.tls is not None:
            server.tls.load_cert_chain(server.settings.tls_cert, server.settings.tls_key)
        server.authenticator = fresh
        log.info("reloaded")
    except (SpeakrsError, OSError, ssl.SSLError) as error:
        log.error("reload failed", error=str(error))
    server.notifier.ready("serving")


def settle() -> None:
    """What was loaded stays: the garbage collector need not look at it again, nor at thousands of sessions so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def loop_options() -> dict[str, bool]:
    """What anyio is to know of the event loop: uvloop, where it is installed, takes half as long for a frame."""
    return {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


def run(settings: Settings, announce: Callable[[int], None], engine: Callable[[Settings], Engine]) -> int:
    """Serve until told to stop; the exit status. engine: opens the networks."""
    configure_logging(settings.log_level)
    server = Server(settings, engine(settings))
    settle()
    anyio.run(serve_until_signal, server, announce, backend_options=loop_options())
    return 0


def open_engine(settings: Settings) -> Engine:
    """The engine the settings ask for."""
    engine = Engine(
        settings.bundle or None,
        mode=settings.mode,
        backend=settings.backend,
        embedding=settings.embedding,
        threads=settings.threads,
    )
    if settings.tuned:
        engine.config = read_settings(settings.tuned).config(engine.bundle, engine.config)
    return engine
