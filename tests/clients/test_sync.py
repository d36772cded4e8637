"""The client without asyncio: the same session from threads."""

from __future__ import annotations

import gc
import hashlib
import inspect
import threading
from pathlib import Path

import anyio
import numpy as np
import pytest

from speakrs_clients import client
from speakrs_clients.losses import Unreachable
from speakrs_clients.sync import Event, Stream, Word, WordsOption, connect, view
from speakrs_server import messages
from tests.server.rig import Rig, rig, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def used(found: Rig) -> None:
    sound = np.frombuffer(talk(), "<i2")
    seen: list[Event] = []
    with connect(found.address(), mode="file", max_delay=2, words=WordsOption()) as stream:
        with view(found.address(""), stream.session) as viewer:
            reader = threading.Thread(target=lambda: seen.extend(viewer))
            reader.start()
            stream.hint(count=2)
            stream.send_words([Word(id="w", start_ms=1_000, end_ms=1_500)])
            stream.send(sound[:200_000])
            stream.rename("S1", "Ann")
            stream.flush()
            stream.send_bytes(sound[200_000:].tobytes())
            stream.finish()
            events = list(stream)
            reader.join()
        assert stream.end() == stream.final == events[-1]
        assert stream.sent == len(sound) and stream.resumes == 0 and stream.acknowledged.received == len(sound)
        with pytest.raises(TimeoutError):
            connected_and_silent(found)
    assert stream.final is not None and stream.final.sha256.audio == hashlib.sha256(talk()).hexdigest()
    kinds = {type(event) for event in events}
    assert {messages.SpeakerNamed, messages.TurnFinal, messages.WordsLabelled} <= kinds and messages.Error not in kinds
    assert [e for e in seen if isinstance(e, messages.TurnFinal)] == [
        e for e in events if isinstance(e, messages.TurnFinal)
    ]


def connected_and_silent(found: Rig) -> None:
    with connect(found.address()) as stream:
        assert isinstance(stream.receive(), messages.SessionStarted) and stream.connected
        stream.receive(timeout=0.1)


async def test_a_session_from_threads(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        await anyio.to_thread.run_sync(used, found)
    gc.collect()  # a socket that was left open fails the test here


async def test_who_leaves_at_the_last_event_leaves_no_socket_open(tmp_path: Path) -> None:
    def once(found: Rig) -> None:
        with connect(found.address(), mode="file") as stream:
            stream.send(np.zeros(1_600, np.int16))
            assert stream.end().samples == 1_600

    async with rig(tmp_path) as found:
        for _ in range(8):
            await anyio.to_thread.run_sync(once, found)
    gc.collect()


def test_errors_come_as_they_are() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"), connect("ws://127.0.0.1:9"):
        pass


def test_the_twin_has_everything() -> None:
    asynchronous = {"opened", "held_bytes"}
    for name, member in vars(client.Stream).items():
        if name.startswith("_") or name in asynchronous:
            continue
        twin = getattr(Stream, name)
        assert isinstance(member, property) == isinstance(twin, property), name
        if not isinstance(member, property) and name != "receive":
            assert inspect.signature(member).parameters.keys() == inspect.signature(twin).parameters.keys(), name
