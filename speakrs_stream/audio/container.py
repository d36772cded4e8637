"""What the first bytes of a sound file say: its kind, whether it is all there, and a length nobody filled in."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol


class Seekable(Protocol):
    """The part of a binary file that is needed here."""

    def seek(self, offset: int, whence: int = 0) -> int: ...

    def read(self, size: int = -1) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Container:
    """The outside of a sound file."""

    kind: str
    """"WAV", "FLAC", "OGG", "MP3", "AIFF", another format's name, or "" when it is none we know."""

    missing: int = 0
    """Bytes of sound that the header promises and the file does not have."""

    header: bytes = b""
    """A header that says how long the file really is; empty when its own one does."""

    body: int = 0
    """Offset of the sound, which `header` belongs in front of."""


STREAMED = 0x7FFF_0000
"""Lengths from here on (and 0) were never filled in: the writer could not go back, or there was no end."""

# Formats that people try and libsndfile cannot read. Offset and bytes that give them away.
FOREIGN = (
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (0, b"\x30\x26\xb2\x75", "a WMA or ASF file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"FLV", "a Flash video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (8, b"AVI ", "an AVI video"),
    (0, b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
)


def inspect(file: Seekable, size: int) -> Container:
    """Look at the header of a file of `size` bytes; the file is left at an unknown place."""
    file.seek(0)
    head = file.read(64)
    for offset, magic, name in FOREIGN:
        if head[offset:].startswith(magic):
            return Container(name)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wav(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Container("AIFF", missing=_aiff_missing(head, size))
    if head[:4] == b"fLaC":
        return Container("FLAC")
    if head[:4] == b"OggS":
        return Container("OGG")
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return Container("AAC (ADTS)" if head[1] & 0xF6 == 0xF0 and head[0] == 0xFF else "MP3")
    return Container("")


def describe(file: Seekable, container: Container) -> str:
    """For a file that cannot be opened: what it seems to be and what to do, as the end of a sentence."""
    file.seek(0)
    head = file.read(512)
    if container.kind.startswith(("a ", "an ")):
        return f"is {container.kind}, which cannot be read; convert it: ffmpeg -i FILE out.wav"
    if container.kind == "AAC (ADTS)":
        return "looks like AAC, which cannot be read; convert it: ffmpeg -i FILE out.wav"
    if container.kind:
        return f"starts like {container.kind} but is damaged or cut short; get it again or convert it with ffmpeg"
    if _is_text(head):
        return "is a text, not sound, whatever its name says; give a WAV, FLAC, OGG or MP3 file"
    return (
        "is not a sound file that can be read: its header is missing, damaged or of an unknown kind; "
        "give WAV, FLAC, OGG or MP3 (bare samples need a header: sox -t raw -r 16000 -e signed -b 16 -c 1 FILE out.wav)"
    )


def _wav(file: Seekable, size: int) -> Container:
    """Walk the chunks of a RIFF file to its sound."""
    at, layout = 12, b""
    for _ in range(1000):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        length = int(struct.unpack("<I", chunk[4:])[0])
        start = at + 8
        if chunk[:4] == b"data":
            present = max(0, size - start)
            # Nobody filled in the length, or the file outgrew the 32 bits there are for it.
            unknown = length == 0 or (length < present and size > 0xFFFF_FFFF)
            if unknown and present and layout and not _chunks_follow(file, start + length + length % 2, size):
                return Container("WAV", header=_wav_header(layout, present), body=start)
            return Container("WAV", missing=length - present if present < length < STREAMED else 0)
        if chunk[:4] == b"fmt " and length <= 1024:
            layout = chunk + file.read(length + length % 2)
        at = start + length + length % 2
    return Container("WAV")


def _wav_header(layout: bytes, length: int) -> bytes:
    """Header of a WAV whose `fmt ` chunk is `layout`, up to its `length` bytes of sound."""
    if length < STREAMED:
        return struct.pack("<4sI4s", b"RIFF", 12 + len(layout) + length, b"WAVE") + layout + _chunk(b"data", length)
    # RF64 keeps lengths of 64 bits in a chunk of their own (EBU Tech 3306).
    lengths = struct.pack("<QQQI", 48 + len(layout) + length, length, 0, 0)
    longer = _chunk(b"ds64", len(lengths)) + lengths + layout + _chunk(b"data", 0xFFFF_FFFF)
    return struct.pack("<4sI4s", b"RF64", 0xFFFF_FFFF, b"WAVE") + longer


def _chunk(name: bytes, length: int) -> bytes:
    return struct.pack("<4sI", name, length)


def _chunks_follow(file: Seekable, at: int, size: int) -> bool:
    """Whether well-formed chunks lead from here exactly to the end: then a length of 0 is meant."""
    for _ in range(1000):
        if at == size:
            return True
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or not all(32 <= byte < 127 for byte in header[:4]):
            return False
        length = struct.unpack("<I", header[4:])[0]
        at += 8 + length + length % 2
        if at > size:
            return at == size + 1 and length % 2 == 1
    return False


def _aiff_missing(head: bytes, size: int) -> int:
    """Bytes that an AIFF file promises beyond its end."""
    length = int(struct.unpack(">I", head[4:8])[0])
    return max(0, length + 8 - size - 1) if length < STREAMED else 0


def _is_text(head: bytes) -> bool:
    """Whether this is the start of a readable text in UTF-8."""
    for cut in range(4):  # the last character may be cut
        try:
            text = head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return bool(text) and all(c.isprintable() or c in "\t\r\n\f" for c in text)
    return False
