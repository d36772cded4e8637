"""What the server and its recognizers' processes say to each other over pipes: framed messages, many streams in one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from speakrs_server.captions.engines import HeardWord, Hypothesis

HEADER = struct.Struct(">BII")
"""Kind, number of the stream, length of the payload."""
OPEN, AUDIO, FINISH, CLOSE = 1, 2, 3, 4
"""To the process. AUDIO: 16-bit little-endian mono samples at 16 kHz."""
READY, FAILED, SAID, DONE, FINISHED, BROKEN = 11, 12, 13, 14, 15, 16
"""From it. FAILED: why it cannot start. DONE: samples worked on so far, for people 8 bytes. BROKEN: kind of fault."""
NUMBER = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Packet:
    """One message."""

    kind: int
    """One of the numbers above."""
    stream: int = 0
    """Whose it is; 0 for nobody's."""
    payload: bytes = b""
    """What it holds."""


def pack(packet: Packet) -> bytes:
    """As bytes."""
    return HEADER.pack(packet.kind, packet.stream, len(packet.payload)) + packet.payload


def read(take: Callable[[int], bytes]) -> Packet | None:
    """The next message of a pipe; None at its end. take: reads so many bytes, fewer at the end."""
    head = take(HEADER.size)
    if len(head) < HEADER.size:
        return None
    kind, stream, length = HEADER.unpack(head)
    payload = take(length)
    return Packet(kind, stream, payload) if len(payload) == length else None


class Reader:
    """Messages from bytes that come in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def push(self, data: bytes) -> list[Packet]:
        """Take bytes; the messages that are whole now."""
        self._data += data
        found, at = [], 0
        while len(self._data) - at >= HEADER.size:
            kind, stream, length = HEADER.unpack_from(self._data, at)
            end = at + HEADER.size + length
            if end > len(self._data):
                break
            found.append(Packet(kind, stream, bytes(self._data[at + HEADER.size : end])))
            at = end
        del self._data[:at]
        return found


class _Said(msgspec.Struct, frozen=True, array_like=True):
    words: list[tuple[str, int, int]]
    until: int
    final: bool


def said(hypothesis: Hypothesis) -> bytes:
    """A hypothesis as the payload of SAID."""
    words = [(word.text, word.start, word.end) for word in hypothesis.words]
    return msgspec.json.encode(_Said(words, hypothesis.until, hypothesis.final))


def unsaid(payload: bytes) -> Hypothesis:
    """The hypothesis in a payload; msgspec.DecodeError where there is none."""
    found = msgspec.json.decode(payload, type=_Said)
    return Hypothesis(tuple(HeardWord(*word) for word in found.words), found.until, found.final)
