"""What the recognizers' process does, without the process."""

from __future__ import annotations

import io

import numpy as np

from speakrs_server.captions import wire
from speakrs_server.captions.child import work
from speakrs_server.captions.engines import Options
from speakrs_server.captions.wire import Packet, Reader, pack, unsaid

ENGINE = "tests.server.captions.voices:load"


def spoken(seconds: float, loud: bool = True) -> bytes:
    return np.full(int(16_000 * seconds), 3000 if loud else 0, "<i2").tobytes()


def answers(*packets: Packet, options: Options | None = None, engine: str = ENGINE) -> tuple[int, list[Packet]]:
    reader, found = Reader(), list[Packet]()
    source = io.BytesIO(b"".join(map(pack, packets)))
    status = work(engine, options or Options(), source.read, lambda data: found.extend(reader.push(data)))
    return status, found


def test_streams_are_recognized_side_by_side() -> None:
    status, found = answers(
        Packet(wire.OPEN, 1),
        Packet(wire.OPEN, 2),
        Packet(wire.AUDIO, 1, spoken(0.5)),
        Packet(wire.AUDIO, 2, spoken(0.3, loud=False)),
        Packet(wire.AUDIO, 1, spoken(0.2, loud=False)),
        Packet(wire.CLOSE, 2),
        Packet(wire.AUDIO, 2, spoken(0.1)),
        Packet(wire.FINISH, 1),
    )
    assert status == 0
    assert [(p.kind, p.stream) for p in found] == [
        (wire.READY, 0),
        (wire.SAID, 1),
        (wire.DONE, 1),
        (wire.DONE, 2),
        (wire.SAID, 1),
        (wire.DONE, 1),
        (wire.FINISHED, 1),
    ]
    last = unsaid(found[4].payload)
    assert (last.final, last.until, last.words[0].text, last.words[0].end) == (True, 8000, "word at 0", 8000)
    assert found[5].payload == wire.NUMBER.pack(11_200)


def test_a_fault_ends_one_stream_and_tells_no_words() -> None:
    _, found = answers(
        Packet(wire.OPEN, 1), Packet(wire.AUDIO, 1, spoken(2)), Packet(wire.FINISH, 1), options=Options("raise")
    )
    assert [p.payload for p in found if p.kind == wire.BROKEN] == [b"RuntimeError"]
    assert wire.FINISHED not in {p.kind for p in found}


def test_an_engine_that_cannot_start_says_why() -> None:
    status, found = answers(options=Options("refuse"))
    assert (status, found) == (1, [Packet(wire.FAILED, payload=b"this model is refused; take another")])
    status, found = answers(engine="nobody")
    assert status == 1 and b"there is no captions engine 'nobody'" in found[0].payload
