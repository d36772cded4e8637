"""The process in which recognizers run: `python -m speakrs_server.captions.child ENGINE MODEL LANGUAGE THREADS`.

It speaks `wire` over standard input and output, works on one piece of one stream after the other, and ends with its
input: when the server is gone, so is this.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable

import numpy as np

from speakrs_server.captions import wire
from speakrs_server.captions.engines import Engine, Hypothesis, Options, Recognizer, find
from speakrs_server.captions.wire import Packet
from speakrs_stream.errors import SpeakrsError

NICENESS = 5
"""Recognizers step back for the server and its networks."""


class Streams:
    """The recognizers of one process."""

    def __init__(self, engine: Engine, send: Callable[[Packet], None]) -> None:
        """send: takes messages for the server."""
        self._engine, self._send = engine, send
        self._open: dict[int, Recognizer] = {}
        self._fed: dict[int, int] = {}

    def take(self, packet: Packet) -> None:
        """Do what a message asks. A recognizer that fails ends its stream alone."""
        try:
            self._do(packet)
        except Exception as error:  # whatever somebody else's recognizer does; its message might hold words
            self._forget(packet.stream)
            self._send(Packet(wire.BROKEN, packet.stream, type(error).__name__.encode()))

    def _do(self, packet: Packet) -> None:
        stream = packet.stream
        if packet.kind == wire.OPEN:
            self._open[stream], self._fed[stream] = self._engine.recognizer(), 0
        elif stream not in self._open:
            return  # it broke, or was closed before this came
        elif packet.kind == wire.AUDIO:
            samples = np.frombuffer(packet.payload, "<i2").astype(np.float32) / np.float32(32768)
            self._say(stream, self._open[stream].feed(samples))
            self._fed[stream] += len(samples)
            self._send(Packet(wire.DONE, stream, wire.NUMBER.pack(self._fed[stream])))
        elif packet.kind == wire.FINISH:
            self._say(stream, self._open[stream].finish())
            self._send(Packet(wire.FINISHED, stream))
            self._forget(stream)
        elif packet.kind == wire.CLOSE:
            self._forget(stream)

    def _say(self, stream: int, found: Iterable[Hypothesis]) -> None:
        for hypothesis in found:
            self._send(Packet(wire.SAID, stream, wire.said(hypothesis)))

    def _forget(self, stream: int) -> None:
        self._fed.pop(stream, None)
        if (recognizer := self._open.pop(stream, None)) is not None:
            recognizer.close()


def work(name: str, options: Options, take: Callable[[int], bytes], give: Callable[[bytes], None]) -> int:
    """Load an engine and serve until the input ends; the exit status."""

    def send(packet: Packet) -> None:
        give(wire.pack(packet))

    try:
        engine = find(name)(options)
        engine.recognizer().close()  # what cannot work should not start
    except SpeakrsError as error:
        send(Packet(wire.FAILED, payload=str(error).encode()))
        return 1
    except Exception as error:  # an engine of somebody else
        send(Packet(wire.FAILED, payload=f"{name} cannot be loaded: {type(error).__name__}: {error}".encode()))
        return 1
    send(Packet(wire.READY))
    streams = Streams(engine, send)
    while (packet := wire.read(take)) is not None:
        streams.take(packet)
    return 0


def main(arguments: list[str]) -> int:
    """Keep standard output for the wire: whatever an engine prints goes to standard error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server stops us, once it has what it needs
    os.nice(NICENESS)
    wires = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    name, model, language, threads = arguments
    with open(wires, "wb", buffering=0) as out, open(0, "rb", closefd=False) as source:

        def give(data: bytes) -> None:
            left = memoryview(data)
            while left:
                left = left[out.write(left) or 0 :]

        return work(name, Options(model, language, int(threads)), source.read, give)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
