"""Clients that break the rules of WebSocket itself, or try to cost too much: each ends alone, and at once."""

from __future__ import annotations

import json
import random
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from speakrs_server import frames
from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import CLIENT_MESSAGES, AudioFormat
from speakrs_server.protocol import Conversation, ConversationLimits
from tests.server.rig import Client, rig, talk

pytestmark = pytest.mark.anyio
TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
START = b'{"type":"session.start"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, size: int | None = None
) -> bytes:
    """A frame as nobody should send it. size: what its head says, instead of the truth."""
    told = len(data) if size is None else size
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    bit = 0x80 if mask else 0
    if told < 126:
        head += bytes([bit | told])
    elif told < 2**16:
        head += bytes([bit | 126]) + struct.pack(">H", told)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", told)
    if not mask:
        return head + data
    key = b"\x01\x02\x03\x04"
    whole = int.from_bytes(data, "little") ^ int.from_bytes((key * (len(data) // 4 + 1))[: len(data)], "little")
    return head + key + whole.to_bytes(len(data), "little")


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


CASES: list[tuple[bytes, set[int]]] = [
    *((frame(TEXT, START, rsv=rsv), {1002}) for rsv in (1, 2, 4, 3, 5, 6, 7)),
    *((frame(BINARY, b"\0" * 40, rsv=rsv), {1002}) for rsv in (1, 2, 4)),
    *((frame(opcode, b"x"), {1002}) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    *((frame(opcode, START, mask=False), {1002}) for opcode in (TEXT, BINARY, PING, PONG, CLOSE)),
    *((frame(opcode, b"x", fin=False), {1002}) for opcode in (PING, PONG, CLOSE)),
    *((frame(opcode, b"x" * 126), {1002}) for opcode in (PING, PONG, CLOSE)),
    (frame(MORE, b"x"), {1002}),
    (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), {1002}),
    (frame(TEXT, b"{", fin=False) + frame(BINARY, b"}"), {1002}),
    (frame(CLOSE, b"\x03"), {1002}),
    *((close(code), {1002}) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535)),
    *((close(code), {1000, 1001, code}) for code in (1000, 1001, 3000, 4999)),
    (close(1000, b"\xff\xfe"), {1007}),
    *(
        (frame(TEXT, bad), {1007})
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'{"a":"\x80"}')
    ),
    (frame(TEXT, b"\xe2\x82", fin=False) + frame(MORE, b"\x28"), {1007}),
    (frame(TEXT, b"", size=2**63), {1002, 1009}),
    (frame(TEXT, b"", size=2**63 - 1), {1009}),
    (frame(BINARY, b"", size=2**32), {1009}),
    (frame(TEXT, b" " * 70_000), {1009, 4400}),
    (frame(BINARY, b"\0" * 70_000), {1009}),
    (frame(TEXT, b" " * 40_000, fin=False) + frame(MORE, b" " * 40_000), {1009}),
    (frame(TEXT, b"{", fin=False) + frame(MORE, b"", fin=False) * 4_100, {1002, 1008, 1009}),
    (frame(TEXT, b""), {4400}),
    (frame(BINARY, b""), {4400}),
    (frame(TEXT, b"[" * 60_000), {4400}),
    (frame(TEXT, b'{"type":"session.start","metadata":' + b'{"a":' * 10_000), {4400}),
    (frame(TEXT, b'{"type":"session.start","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"), {4400}),
    (frame(TEXT, b'{"type":"session.start","max_delay_ms":1' + b"0" * 5_000 + b"}"), {4400}),
    (frame(TEXT, b'{"type":"session.start","max_delay_ms":1e999}'), {4400}),
    (frame(TEXT, b'{"type":"words.add","batch":"b","words":[' + b"{}," * 20_000 + b"{}]}"), {4400}),
]
"""What is sent after the handshake -> close codes that are right."""


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


async def end_of(port: int, data: bytes) -> int:
    """Close code of the server's answer; 0 where the connection just ends."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        lines = ["GET /v1/stream HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "", ""]
        await stream.send("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await stream.receive()
        head, _, came = answer.partition(b"\r\n\r\n")
        assert b" 101 " in head and b"permessage-deflate" not in head, "compression is never agreed to"
        try:
            await stream.send(data)
            with anyio.fail_after(60):
                while True:
                    came += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, ConnectionError):
            pass
    return closing(came)


def closing(came: bytes) -> int:
    """The code of the close frame in what a server sent."""
    at = 0
    while at + 2 <= len(came):
        opcode, size = came[at] & 0x0F, came[at + 1]
        at += 2
        if size == 126:
            size, at = int.from_bytes(came[at : at + 2], "big"), at + 2
        if opcode == CLOSE:
            return int.from_bytes(came[at : at + 2], "big")
        at += size
    return 0


async def test_every_broken_frame_ends_its_own_connection(tmp_path: Path) -> None:
    async with rig(tmp_path, control_rate=1e6) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(max_delay_ms=2000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrong = []
        for number, (data, codes) in enumerate(CASES):
            code = await end_of(found.port, data)
            if code not in codes | {0} or (code == 0 and len(data) < 60_000):
                wrong.append((number, data[:40], code))
        assert not wrong
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 16_384, f"{grown} KiB for all of them"
        await client.audio(talk()[:64_000])
        await client.until("watermark")


async def test_requests_that_never_end_are_ended(tmp_path: Path) -> None:
    async with rig(tmp_path, hello_timeout_s=0.5) as found:
        slow = [await anyio.to_thread.run_sync(socket.create_connection, ("127.0.0.1", found.port)) for _ in range(60)]
        for one in slow[:30]:
            one.sendall(b"GET /v1/stream HTTP/1.1\r\n")
        assert (await found.get("/healthz"))[0] == 200
        for one in slow:
            one.settimeout(10)
            assert await anyio.to_thread.run_sync(one.recv, 1) == b""
            one.close()


def test_fifty_thousand_messages() -> None:
    """Any text and any frame is taken, dropped or refused with one of our codes; nothing else is raised."""
    chance = random.Random(1)
    tags = [str(kind.__struct_config__.tag) for kind in CLIENT_MESSAGES]
    fields = sorted({name for kind in CLIENT_MESSAGES for name in kind.__struct_fields__})
    values: tuple[Any, ...] = (None, True, -1, 0, 7, 2**53, 1.5, "", "S1", "t_0001", "x" * 300, [], [{}], {})
    limits = ConversationLimits(control_rate=1e9)
    talking = Conversation(limits, "ingest", 0.0)
    codes = set()
    for number in range(50_000):
        if number % 50 == 0:
            talking = Conversation(limits, chance.choice(("ingest", "view")), 0.0)
            if chance.random() < 0.8:
                talking.opened(AudioFormat(), live=False, position=0, now=0.0)
        try:
            if number % 5 == 0:
                head = frames.HEADER.pack(*(chance.randrange(2 ** (8 * n)) for n in (1, 1, 2, 4, 8)))
                good = frames.HEADER.pack(1, chance.choice((0, 1, 4)), 0, 0, talking.position)
                talking.binary((good if chance.random() < 0.7 else head) + bytes(chance.randrange(64)), 0.0)
            else:
                names = chance.sample(fields, chance.randrange(5))
                value = {name: chance.choice(values) for name in names} | {"type": chance.choice(tags)}
                text = json.dumps(value)
                cut = len(text) if chance.random() < 0.9 else chance.randrange(len(text))
                talking.text(text[:cut], 0.0)
        except RemoteProtocolError as error:
            codes.add(error.code.name)
    assert codes <= {"bad_message", "audio_gap", "forbidden", "unsupported_audio", "max_duration", "frame_too_large"}
    assert len(codes) >= 4
