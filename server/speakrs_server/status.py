"""How the server is: healthy, ready, and its figures; and what may be told of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speakrs_server.journal import Description, read_description, read_result

if TYPE_CHECKING:
    from speakrs_server.app import Server

WEDGED = 10.0
"""Seconds after which work that does not end counts as hung."""
STATES: tuple[Any, ...] = ("attached", "parked", "ending", "final", "failed")


def health(server: Server) -> tuple[str, bool]:
    """A word for the state, and whether the process is worth keeping."""
    since = server.host.worker.since  # the networks are watched; what else hangs can only be killed
    if since is not None and server.now() - since > WEDGED:
        return "Critical", False
    return ("Healthy", True) if server.loop_lag < 1.0 else ("Degraded", False)


def readiness(server: Server) -> tuple[str, bool]:
    """A word for the state, and whether new sessions are welcome."""
    if not server.ready:
        return "Initializing", False
    state, healthy = health(server)
    if not healthy:
        return state, False
    return ("Ready", True) if not server.verdict(None).refused else ("Degraded", False)


def measure(server: Server) -> None:
    """Bring the figures up to date."""
    host, metrics = server.host, server.host.metrics
    for state in STATES:
        metrics.sessions.labels(state).set(host.registry.count(state))
    metrics.capacity.set(host.worker.figures.capacity(server.settings.load_limit or 1.0))
    metrics.depth.set(host.worker.depth)
    metrics.rtf.set(host.worker.figures.rtf)
    metrics.loop_lag.set(server.loop_lag)
    metrics.lag.set(max((hosted.unworked_ms for hosted in host.sessions.values()), default=0) / 1000)
    metrics.captions_lag.set(host.captions.lag_s if host.captions is not None else 0)
    metrics.journal.set(sum(hosted.journal.size for hosted in host.sessions.values()))


def describe(server: Server, session: str) -> Description | None:
    """What a session is, wherever it is kept."""
    if (hosted := server.host.sessions.get(session)) is not None:
        return hosted.description
    folder = server.host.store.folder(session)
    return read_description(folder) if folder else None


def session_info(server: Server, session: str, description: Description) -> dict[str, Any]:
    """What anybody who may see a session may know of it."""
    entry = server.host.registry.find(session)
    hosted = server.host.sessions.get(session)
    folder = server.host.store.folder(session)
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


def result(server: Server, session: str, *, live: bool) -> str | None:
    """A result as JSON; None where there is none yet. The live one is there from the first turn on."""
    folder = server.host.store.folder(session)
    found = read_result(folder, "live" if live else "final") if folder else None
    hosted = server.host.sessions.get(session)
    if found is None and live and hosted is not None:
        board, bundle = hosted.board, server.engine.bundle.name
        return board.live(session, board.processed_until_ms, bundle).to_json()
    return found
