"""Results over HTTP: fetched, waited for, refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from speakrs_clients import sync
from speakrs_clients.addresses import Address, address
from speakrs_clients.losses import SessionGone, Unauthorized, Unreachable
from speakrs_clients.results import ATTEMPTS, result
from speakrs_stream.errors import FormatError
from tests.clients.served import served
from tests.clients.stories import SESSION
from tests.server.rig import engine, talk


def test_both_results_of_a_session(tmp_path: Path) -> None:
    sound = np.frombuffer(talk(), "<i2")
    with served(tmp_path) as found, sync.connect(found.address(""), mode="file") as stream:
        stream.send(sound)
        final = stream.end()
        offline = result(stream.address, stream.session)
        live = result(stream.address, stream.session, live=True)
        with pytest.raises(SessionGone):
            result(stream.address, SESSION)
    assert offline.turns == engine().diarize(sound, sample_rate=16_000).turns and offline.uri == stream.session
    assert {turn.speaker for turn in live.turns} == set(final.live_to_final)


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[Address, list[dict[str, str]]]]:
    """A server that gives these answers in turn; its address, and the headers it was asked with."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append({"path": self.path, **dict(self.headers.items())})
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield address(f"ws://127.0.0.1:{server.server_port}"), asked
        server.shutdown()
        thread.join()


def test_a_busy_server_is_asked_again_and_a_refusal_is_final() -> None:
    waits: list[float] = []
    with answering((503, b"busy"), (502, b""), (401, b"who are you?")) as (where, asked):
        with pytest.raises(Unauthorized, match="who are you"):
            result(where, SESSION, token="secret", pause=waits.append)
    assert len(asked) == 3 and waits == [0.75, 1.5]
    assert asked[0]["Authorization"] == "Bearer secret" and asked[0]["path"].endswith("result.json?pass=final")


def test_a_server_that_stays_away() -> None:
    waits: list[float] = []
    with pytest.raises(Unreachable, match=f"connection refused; it is kept on the server as {SESSION}"):
        result(address("ws://127.0.0.1:9"), SESSION, pause=waits.append)
    assert len(waits) == ATTEMPTS


def test_nonsense_and_redirections_are_no_results() -> None:
    with answering((200, b"{}")) as (where, _):
        with pytest.raises(FormatError):
            result(where, SESSION)
    with answering((302, b"")) as (where, asked):
        with pytest.raises(Exception, match="302"):
            result(where, SESSION, token="secret")
    assert len(asked) == 1, "the token is not carried elsewhere"
