"""Messages over pipes, however they are cut."""

from __future__ import annotations

import io
import random

from speakrs_server.captions import wire
from speakrs_server.captions.engines import HeardWord, Hypothesis
from speakrs_server.captions.wire import Packet, Reader, pack, read, said, unsaid

PACKETS = [Packet(wire.READY), Packet(wire.AUDIO, 7, b"\1" * 3000), Packet(wire.DONE, 2**31, b"12345678")]


def test_any_cut_gives_the_same() -> None:
    data = b"".join(map(pack, PACKETS)) * 3
    rng, reader, found, at = random.Random(1), Reader(), list[Packet](), 0
    while at < len(data):
        size = rng.randint(1, 900)
        found += reader.push(data[at : at + size])
        at += size
    assert found == PACKETS * 3


def test_a_pipe_ends_between_messages_or_in_one() -> None:
    source = io.BytesIO(pack(PACKETS[1]) + pack(PACKETS[2])[:-1])
    assert read(source.read) == PACKETS[1]
    assert read(source.read) is None
    assert read(io.BytesIO(b"").read) is None


def test_hypotheses_come_back() -> None:
    hypothesis = Hypothesis((HeardWord("naïve", 160, 320), HeardWord("'s", 320, 400)), 500, True)
    assert unsaid(said(hypothesis)) == hypothesis
