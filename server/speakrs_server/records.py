"""Checksummed records in segment files: what was written whole is read back, what is torn or flipped ends the log.

Each record has a header of 24 bytes, big-endian, and a payload:

0   u16  0x5352
2   u8   kind
3   u8   flags
4   u32  length of the payload
8   u64  position: a sample, a number of a message, or of a segment, by kind
16  u32  epoch of the writer
20  u32  CRC-32 of the log's own seed, the header before it, and the payload

The seed is made of the session's and the log's name, so that no record counts in another place than its own. A
segment starts with a record that holds its number.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

HEADER = struct.Struct(">HBBIQI")
_SUM = struct.Struct(">I")
HEADER_SIZE = HEADER.size + _SUM.size
MAGIC = 0x5352
LONGEST = 2**26
SEGMENT_BYTES = 64 * 2**20
SEGMENT_KIND = 0


class Record(msgspec.Struct, frozen=True, gc=False):
    """One entry of a log."""

    kind: int
    """What it is; see `journal`."""
    flags: int
    """More about what it is."""
    position: int
    """Where it belongs."""
    epoch: int
    """Of the connection it came over."""
    payload: bytes
    """What it holds."""


class Cursor(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place between records."""

    segment: int
    """Number of the segment, from 1."""
    offset: int
    """Bytes from its start."""


def seed_of(*names: str) -> int:
    """What the checksums of a log start from."""
    return zlib.crc32("\0".join(names).encode())


def pack(record: Record, seed: int) -> bytes:
    """A record as bytes."""
    head = HEADER.pack(MAGIC, record.kind, record.flags, len(record.payload), record.position, record.epoch)
    return head + _SUM.pack(zlib.crc32(record.payload, zlib.crc32(head, seed))) + record.payload


def read(data: bytes | memoryview, seed: int, at: int = 0) -> Iterator[tuple[Record, int]]:
    """Records from `at` on, each with the byte after it; stops in front of the first that is not whole and right."""
    view = memoryview(data)
    while at + HEADER_SIZE <= len(view):
        magic, kind, flags, length, position, epoch = HEADER.unpack_from(view, at)
        end = at + HEADER_SIZE + length
        if magic != MAGIC or length > LONGEST or end > len(view):
            return
        payload = view[at + HEADER_SIZE : end]
        (mark,) = _SUM.unpack_from(view, at + HEADER.size)
        if zlib.crc32(payload, zlib.crc32(view[at : at + HEADER.size], seed)) != mark:
            return
        yield Record(kind, flags, position, epoch, bytes(payload)), end
        at = end


class Log:
    """One append-only log of a session, in one or more segment files.

    `plan` says where bytes will lie and `write` puts them there; the two may be called by different threads. A write
    that fails leaves no torn record and breaks the log: nothing is taken after a gap.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seed: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        write: Callable[[int, bytes], int] = os.write,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """folder: where its segments lie; write, sync: how bytes reach the disk."""
        self.folder, self.name, self.seed = folder, name, seed
        self.broken = False
        """Whether a write failed: only opening it anew helps."""
        self.bytes = 0
        """Bytes in all segments."""
        self._segment_bytes = segment_bytes
        self._write, self._sync = write, sync
        self._planned = Cursor(0, 0)
        self._descriptor = -1
        self._at = Cursor(0, 0)

    # -- reading ---------------------------------------------------------------------------------------------

    def path(self, segment: int) -> Path:
        """File of a segment."""
        return self.folder / f"{self.name}-{segment:08}.seg"

    def segments(self) -> list[int]:
        """Numbers of the segments there are."""
        pattern = re.compile(re.escape(self.name) + r"-(\d{8})\.seg")
        found = (pattern.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match.group(1)) for match in found if match)

    def records(self, since: Cursor | None = None) -> Iterator[tuple[Record, Cursor]]:
        """Valid records in order, each with the place after it; ends at the first fault of any kind."""
        expected = None
        for number in self.segments():
            if since is not None and number < since.segment:
                continue
            if expected is not None and number != expected:
                return
            data = self.path(number).read_bytes()
            first = next(read(data, self.seed), None)
            if first is None or first[0].kind != SEGMENT_KIND or first[0].position != number:
                return
            start = since.offset if since is not None and number == since.segment else first[1]
            good = max(start, first[1])
            for record, end in read(data, self.seed, good):
                good = end
                yield record, Cursor(number, end)
            if good < len(data):
                return
            expected = number + 1

    # -- writing ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make ready to append: cut off what is torn, and put aside segments behind it."""
        end = Cursor(0, 0)
        for number in self.segments():
            data = self.path(number).read_bytes()
            good = 0
            for record, place in read(data, self.seed):
                if good == 0 and (record.kind != SEGMENT_KIND or record.position != number):
                    break
                good = place
            if (end.segment and number != end.segment + 1) or not good:
                self._put_aside(number)
                break
            end = Cursor(number, good)
            if good < len(data):
                os.truncate(self.path(number), good)
                break
        for number in self.segments():
            if number > end.segment:
                self._put_aside(number)
        self._planned = self._at = end
        if end.segment:
            self._descriptor = os.open(self.path(end.segment), os.O_WRONLY | os.O_APPEND)
        self.bytes = sum(self.path(number).stat().st_size for number in self.segments())
        self.broken = False

    def _put_aside(self, number: int) -> None:
        path = self.path(number)
        path.replace(path.with_suffix(".damaged"))

    def plan(self, record: Record) -> tuple[int, bytes, Cursor]:
        """Segment and bytes to hand to `write`, in this order, and the place after them."""
        data = pack(record, self.seed)
        if not self._planned.segment or self._planned.offset + len(data) > self._segment_bytes:
            number = self._planned.segment + 1
            data = pack(Record(SEGMENT_KIND, 0, number, 0, b""), self.seed) + data
            self._planned = Cursor(number, 0)
        self._planned = Cursor(self._planned.segment, self._planned.offset + len(data))
        self.bytes += len(data)
        return self._planned.segment, data, self._planned

    @property
    def end(self) -> Cursor:
        """The place after everything planned."""
        return self._planned

    def write(self, segment: int, data: bytes) -> None:
        """Append bytes to a segment, the last or a new one; OSError where they are not all there, and then none are."""
        if self.broken:
            raise OSError("an earlier write failed")
        try:
            if segment != self._at.segment:
                self.close()
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(self.path(segment), flags, 0o600)
                self._at = Cursor(segment, 0)
            left = memoryview(data)
            while left:
                left = left[self._write(self._descriptor, bytes(left)) :]
        except OSError:
            self.broken = True
            if self._descriptor >= 0:
                os.ftruncate(self._descriptor, self._at.offset)
            raise
        self._at = Cursor(segment, self._at.offset + len(data))

    def sync(self) -> None:
        """Wait until what was written survives a power cut."""
        if self._descriptor >= 0:
            self._sync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1  # two threads may want to at the end of a server
        if descriptor >= 0:
            os.close(descriptor)

    def delete(self) -> None:
        """Remove every segment."""
        self.close()
        for number in self.segments():
            self.path(number).unlink(missing_ok=True)
