"""What is kept of a session on disk: its request, its audio and commands, its messages, snapshots and results.

One folder per session, owned by one process at a time through a lock that the system takes back when the process dies.
`input` holds what the client sent and `events` what it was told; a snapshot says how far the first was worked on and
how much of the second that led to.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from speakrs_server.identifiers import is_session
from speakrs_server.messages import DurableMessage, SessionStart, WordsAdd, decode_server, encode
from speakrs_server.records import Cursor, Log, Record, pack, read, seed_of
from speakrs_stream.core.snapshot import pack as pack_values
from speakrs_stream.core.snapshot import unpack as unpack_values
from speakrs_stream.errors import OutputError, SnapshotMismatch
from speakrs_stream.formats.atomic import write_bytes_atomically

AUDIO, COMMAND, ATTACH, END, EVENT, SNAPSHOT, CAPTION = 1, 2, 3, 4, 5, 6, 7
FROM_ENGINE = 1
"""Flag of messages that follow from the audio alone."""
KEPT_SNAPSHOTS = 2
VOICES = "voices.bin"
"""File of the voices that a session is to recognise."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What `session.json` holds."""

    id: str
    key: str
    created: float
    request: SessionStart
    max_delay_ms: int
    durability: str
    resume_window_s: int
    fingerprint: str
    format: int = 1


class Caption(msgspec.Struct, frozen=True, kw_only=True):
    """How far the server's own recognizer is: what CAPTION records hold."""

    until: int = 0
    """Sample at 16 kHz up to which all words are there."""
    utterances: int = 0
    """How many had words."""
    words: WordsAdd | None = None
    """Those of the last, where this record brings them."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot."""

    stream: bytes
    """The engine's state."""
    cursor: Cursor
    """Place in `input` up to which it was worked on."""
    position: int
    """Sample at the client's rate of that place."""
    told: int
    """Messages that follow from the audio up to there."""
    epoch: int = 1
    """Of the newest connection then."""
    reseeded: dict[str, Any] | None = None
    """How what is heard becomes what is told, where that differs since an earlier restart."""
    confirmed: int = 1
    """Newest connection that had sent sound or commands then."""


class Owned(OutputError):
    """Another process holds this session."""


class Journal:
    """The folder of one session. Logs are planned by one thread and written by the committer's."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Take the folder; Owned where another process has it, FileNotFoundError where it is not there."""
        assert is_session(folder.name)
        if create:
            folder.mkdir(parents=True, mode=0o700)
        self.folder = folder
        self._lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Owned(f"session {folder.name} is held by another process") from error
        self.input = Log(folder, "input", seed_of(folder.name, "input"))
        self.events = Log(folder, "events", seed_of(folder.name, "events"))
        self._snapshots = 0

    def open(self) -> None:
        """Make the logs ready to append."""
        self.input.open()
        self.events.open()
        self._snapshots = max(self._snapshot_numbers(), default=0)
        (self.folder / "claim").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder."""
        self.input.close()
        self.events.close()
        os.close(self._lock)

    @property
    def size(self) -> int:
        """Bytes of both logs."""
        return self.input.bytes + self.events.bytes

    # -- what the session is ---------------------------------------------------------------------------------

    def describe(self, description: Description) -> None:
        """Write `session.json`."""
        write_bytes_atomically(self.folder / "session.json", msgspec.json.encode(description), private=True)

    def messages(self) -> Iterator[tuple[DurableMessage, bool]]:
        """What the client was told, in order and without a gap, and whether it follows from the audio alone."""
        expected = 1
        for record, _ in self.events.records():
            if record.kind != EVENT or record.position != expected:
                return
            yield decode_server(record.payload), bool(record.flags & FROM_ENGINE)  # type: ignore[misc]
            expected += 1

    def claimed(self) -> bool:
        """Whether another process asks for this session."""
        return (self.folder / "claim").exists()

    def told(self, since: int, limit: int) -> list[bytes]:
        """Messages after number `since`, as they were sent; at most `limit`."""
        found = []
        for record, _ in self.events.records():
            if record.position > since:
                found.append(record.payload)
                if len(found) == limit:
                    break
        return found

    def audio_digest(self) -> str:
        """SHA-256 of all audio as it was sent."""
        digest = hashlib.sha256()
        for record, _ in self.input.records():
            if record.kind == AUDIO:
                digest.update(record.payload)
        return digest.hexdigest()

    # -- snapshots -------------------------------------------------------------------------------------------

    def _snapshot_path(self, number: int) -> Path:
        return self.folder / f"snapshot-{number:08}.bin"

    def _snapshot_numbers(self) -> list[int]:
        names = (path.name for path in self.folder.glob("snapshot-*.bin"))
        return sorted(int(name[9:17]) for name in names if name[9:17].isdigit() and len(name) == 21)

    def save(self, saved: Saved, *, flush: bool = True) -> None:
        """Write a snapshot and drop the oldest. flush: so that a power cut does not cost it; a torn one is noticed."""
        plain = {
            "segment": saved.cursor.segment,
            "offset": saved.cursor.offset,
            "position": saved.position,
            "told": saved.told,
            "epoch": saved.epoch,
            "reseeded": saved.reseeded,
            "confirmed": saved.confirmed,
        }
        body = pack_values(plain, {"stream": np.frombuffer(saved.stream, np.uint8)}, self.folder.name)
        self._snapshots += 1
        record = pack(Record(SNAPSHOT, 0, self._snapshots, 0, b""), self.input.seed)
        write_bytes_atomically(self._snapshot_path(self._snapshots), record + body, private=True, flush=flush)
        for number in self._snapshot_numbers()[:-KEPT_SNAPSHOTS]:
            self._snapshot_path(number).unlink(missing_ok=True)

    def snapshots(self) -> Iterator[Saved]:
        """Snapshots that are whole and do not reach beyond the logs, newest first."""
        for number in reversed(self._snapshot_numbers()):
            data = self._snapshot_path(number).read_bytes()
            first = next(read(data, self.input.seed), None)
            if first is None or first[0].position != number:
                continue
            try:
                plain, arrays = unpack_values(data[first[1] :], self.folder.name)
            except SnapshotMismatch:
                continue
            cursor = Cursor(plain["segment"], plain["offset"])
            if cursor <= self.input.end:
                stream = arrays["stream"].tobytes()
                told, epoch, reseeded = plain["told"], plain["epoch"], plain.get("reseeded")
                confirmed = plain.get("confirmed", 1)
                yield Saved(stream, cursor, plain["position"], told, epoch, reseeded, confirmed)

    # -- the end ---------------------------------------------------------------------------------------------

    def keep(self, results: dict[str, str]) -> None:
        """Write results: `live` and `final`."""
        for name, text in results.items():
            write_bytes_atomically(self.folder / f"{name}.json", text.encode(), private=True)

    def clean(self, *, keep_audio: bool) -> None:
        """Once the last message is safe: drop what is not kept. Voice prints never are."""
        for number in self._snapshot_numbers():
            self._snapshot_path(number).unlink(missing_ok=True)
        (self.folder / VOICES).unlink(missing_ok=True)
        if not keep_audio:
            self.input.delete()


def read_messages(folder: Path) -> Iterator[DurableMessage]:
    """What a session's clients were told, in order, whoever owns the folder."""
    for record, _ in Log(folder, "events", seed_of(folder.name, "events")).records():
        if record.kind == EVENT:
            yield decode_server(record.payload)  # type: ignore[misc]


def read_result(folder: Path, name: str) -> str | None:
    """A result in a session's folder, whoever owns it; None where there is none."""
    path = folder / f"{name}.json"
    if name not in ("live", "final") or path.is_symlink() or not path.is_file():
        return None
    return path.read_text(encoding="utf-8")


def read_description(folder: Path) -> Description | None:
    """What a session is; None where the folder is none or damaged."""
    path = folder / "session.json"
    if path.is_symlink():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Description)
    except (OSError, msgspec.DecodeError):
        return None


class Store:
    """The folder of all sessions, and the secret its resume tokens are made with."""

    def __init__(self, root: Path) -> None:
        """Make it where it is missing; OSError where that cannot be."""
        self.root = root
        self.sessions = root / "sessions"
        self.sessions.mkdir(parents=True, exist_ok=True, mode=0o700)

    def secret(self) -> bytes:
        """32 random bytes that every process on this folder shares."""
        path = self.root / "secret.key"
        if not path.exists():
            beside = self.root / f".secret.{os.getpid()}"
            write_bytes_atomically(beside, os.urandom(32), private=True)
            with contextlib.suppress(FileExistsError):  # another process was first: its secret counts
                os.link(beside, path)
            beside.unlink()
        return path.read_bytes()

    def free_mb(self) -> float:
        """Mebibytes of free disk."""
        return shutil.disk_usage(self.root).free / 2**20

    def folder(self, session: str) -> Path | None:
        """Folder of a session; None for a name that is none, or where nothing is."""
        if not is_session(session):
            return None
        path = self.sessions / session
        return path if path.is_dir() and not path.is_symlink() else None

    def create(self, session: str) -> Journal:
        """A new session's journal."""
        journal = Journal(self.sessions / session, create=True)
        journal.open()
        return journal

    def all(self) -> list[str]:
        """Names of all sessions, oldest first."""
        found = [path for path in self.sessions.iterdir() if is_session(path.name) and not path.is_symlink()]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime)]

    def claim(self, session: str) -> None:
        """Ask the process that has a session to give it up."""
        write_bytes_atomically(self.sessions / session / "claim", b"", private=True)

    def delete(self, session: str) -> bool:
        """Remove a session and everything about it; whether there was one. Owned where a process works on it."""
        folder = self.folder(session)
        if folder is None:
            return False
        Journal(folder).close()
        shutil.rmtree(folder)
        return True

    def expire(self, older_than: float) -> list[str]:
        """Remove finished sessions whose result is older than a time (seconds since 1970); which they were."""
        gone = []
        for session in self.all():
            final = self.sessions / session / "final.json"
            try:
                if final.stat().st_mtime < older_than and self.delete(session):
                    gone.append(session)
            except OSError:
                continue
        return gone


def event_record(message: DurableMessage, seq: int, *, from_engine: bool, epoch: int) -> Record:
    """A message as a record."""
    return Record(EVENT, FROM_ENGINE if from_engine else 0, seq, epoch, encode(message))


def command_record(command: Any, position: int, epoch: int) -> Record:
    """A command as a record. position: sample at the client's rate before which it came."""
    return Record(COMMAND, 0, position, epoch, encode(command))


def caption_record(caption: Caption, position: int, epoch: int) -> Record:
    """What the recognizer is done with as a record. position: sample at the client's rate before which it was done."""
    return Record(CAPTION, 0, position, epoch, msgspec.json.encode(caption))
