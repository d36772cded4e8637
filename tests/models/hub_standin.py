"""A Hugging Face hub on 127.0.0.1: what huggingface_hub asks for, with the faults of real networks on request."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

LARGE = 100_000
"""Bytes from which a file is kept as the hub keeps large ones: behind a redirect, named by its SHA-256."""


@dataclass
class Faults:
    """What goes wrong, and how often."""

    cuts: dict[str, list[int]] = field(default_factory=dict)
    """File -> bytes after which each coming transfer breaks off."""
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """File -> HTTP statuses that the coming answers have; 0 for one that is in order."""
    announce: dict[str, str] = field(default_factory=dict)
    """File -> hash that is announced instead of the true one."""
    sizes: dict[str, int] = field(default_factory=dict)
    """File -> size that is announced instead of the true one."""
    no_ranges: bool = False
    """Whether a transfer always begins at the start."""
    no_etag: bool = False
    """Whether hashes are kept secret."""
    commit: str | None = None
    """Commit that is claimed instead of the one asked for."""


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    file: str
    start: int
    token: str


class Standin:
    """The running stand-in."""

    def __init__(self, directory: Path, repository: str) -> None:
        self.directory = directory
        self.repository = repository
        self.faults = Faults()
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        standin = self

        class Bound(Handler):
            hub = standin

        self._server = Server(("127.0.0.1", 0), Bound)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def transfers(self, file: str) -> list[int]:
        """Where each transfer of a file began, in bytes."""
        return [one.start for one in self.requests if one.method == "GET" and one.file == file and "/cdn/" in one.path]

    def etag(self, file: str) -> str:
        """SHA-256 of a large file, Git's object name of a small one."""
        content = (self.directory / file).read_bytes()
        if len(content) >= LARGE:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(ThreadingHTTPServer):
    """Says nothing when a client hangs up."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that dies in the middle is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    hub: ClassVar[Standin]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Where a file is, and its hash."""
        self._answer()

    def do_GET(self) -> None:
        """A file."""
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        found = re.fullmatch(rf"/(cdn|{re.escape(self.hub.repository)}/resolve)/([0-9a-f]{{40}})/(.+)", path)
        file = found.group(3) if found else ""
        ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(ranged.group(1)) if ranged else 0
        with self.hub.lock:
            token = self.headers.get("Authorization", "")
            self.hub.requests.append(Request(self.command, path, file, start, token))
            planned = self.hub.faults.statuses.get(file)
            status = planned.pop(0) if planned else 0
        if status:
            return self._status(status)
        if not found or not (self.hub.directory / file).is_file():
            return self._status(404, "EntryNotFound" if found else "RepoNotFound")
        commit = self.hub.faults.commit or found.group(2)
        large = (self.hub.directory / file).stat().st_size >= LARGE
        if found.group(1) == "cdn" or not large:
            return self._content(file, start, commit, "cdn" if found.group(1) == "cdn" else "hub")
        self.send_response(302)
        self._describe(file, commit, linked=True)
        self.send_header("Location", f"{self.hub.endpoint.replace('127.0.0.1', 'localhost')}/cdn/{commit}/{file}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _describe(self, file: str, commit: str, *, linked: bool) -> None:
        faults = self.hub.faults
        self.send_header("X-Repo-Commit", commit)
        etag = faults.announce.get(file, self.hub.etag(file))
        size = faults.sizes.get(file, (self.hub.directory / file).stat().st_size)
        if linked:
            self.send_header("X-Linked-Size", str(size))
        if not faults.no_etag:
            self.send_header("X-Linked-Etag" if linked else "ETag", f'"{etag}"')

    def _content(self, file: str, start: int, commit: str, place: str) -> None:
        content = (self.hub.directory / file).read_bytes()
        if self.hub.faults.no_ranges:
            start = 0
        if start and start >= len(content):
            return self._status(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if place == "hub":
            self._describe(file, commit, linked=False)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        with self.hub.lock:
            cuts = self.hub.faults.cuts.get(file)
            cut = cuts.pop(0) if cuts else None
        if cut is None:
            self.wfile.write(content[start:])
        else:
            self.wfile.write(content[start : start + cut])
            self.wfile.flush()
            self.close_connection = True

    def _status(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(directory: Path, repository: str) -> Iterator[Standin]:
    """Serve the files of a directory as a model repository, at any commit."""
    standin = Standin(directory, repository)
    try:
        yield standin
    finally:
        standin.close()
