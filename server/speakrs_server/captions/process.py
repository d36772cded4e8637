"""A process with recognizers, from outside: started, spoken to, watched, started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.abc
import msgspec

from speakrs_server.captions import wire
from speakrs_server.captions.engines import Hypothesis, Options
from speakrs_server.captions.wire import Packet
from speakrs_stream.errors import ConfigError

LOADING = 900.0
"""Seconds that an engine may take to load; it may have to download its model."""


class Gone(Exception):
    """A recognizer failed, or the process it was in ended."""


class Stream:
    """One recognizer in a process."""

    def __init__(self, number: int, said: Callable[[Hypothesis], None]) -> None:
        self.number = number
        """Its number in the process."""
        self.done = 0
        """Samples that it has worked on."""
        self.finished = False
        """Whether it said everything."""
        self.fault: str | None = None
        """Why it is gone; None while it is there."""
        self.said = said
        """Told what it thinks."""
        self._news = anyio.Event()

    def note(self) -> None:
        """Something changed."""
        self._news.set()

    async def news(self, seconds: float) -> bool:
        """Wait until something changes; whether it did. Gone where the recognizer is."""
        if self.fault is None:
            with anyio.move_on_after(seconds):
                await self._news.wait()
        if self.fault is not None:
            raise Gone(self.fault)
        changed, self._news = self._news.is_set(), anyio.Event()
        return changed


class RecognizerProcess:
    """One process. Everything runs in the event loop's thread."""

    def __init__(self, engine: str, options: Options, tasks: anyio.abc.TaskGroup) -> None:
        """tasks: in which it is read; when these are cancelled it ends."""
        self.streams: dict[int, Stream] = {}
        """Recognizers at work."""
        self.starts = 0
        """How often it was started."""
        self._command = [
            *(sys.executable, "-m", "speakrs_server.captions.child"),
            *(engine, options.model, options.language, str(options.threads)),
        ]
        self._tasks = tasks
        self._process: anyio.abc.Process | None = None
        self._starting, self._writing = anyio.Lock(), anyio.Lock()
        self._numbers = 0

    async def start(self) -> None:
        """Start it where it is not running; ConfigError that says why where its engine cannot be loaded."""
        async with self._starting:
            if self._process is not None:
                return
            process = await anyio.open_process(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            loaded: list[str | None] = []
            answered = anyio.Event()

            def answer(fault: str | None) -> None:
                if not loaded:
                    loaded.append(fault)
                    answered.set()

            self._tasks.start_soon(self._read, process, answer)
            with anyio.move_on_after(LOADING):
                await answered.wait()
            if not loaded or loaded[0] is not None:
                _kill(process)
                raise ConfigError(f"captions: {loaded[0] if loaded else 'the engine is not loaded in time'}")
            self._process = process
            self.starts += 1

    async def _read(self, process: anyio.abc.Process, answer: Callable[[str | None], None]) -> None:
        reader = wire.Reader()
        assert process.stdout is not None
        try:
            async for data in process.stdout:
                for packet in reader.push(data):
                    self._take(packet, answer)
        finally:
            _kill(process)
            if self._process is process:
                self._process = None
            answer("the process of its engine ended")
            for stream in list(self.streams.values()):
                self._lose(stream, "the recognizer's process ended")
            with anyio.CancelScope(shield=True):
                await process.aclose()

    def _take(self, packet: Packet, answer: Callable[[str | None], None]) -> None:
        stream = self.streams.get(packet.stream)
        if packet.kind in (wire.READY, wire.FAILED):
            answer(packet.payload.decode(errors="replace") if packet.kind == wire.FAILED else None)
        elif stream is None:
            return
        elif packet.kind == wire.SAID:
            try:
                stream.said(wire.unsaid(packet.payload))
            except msgspec.DecodeError:
                self._lose(stream, "the recognizer said what nobody can read")
        elif packet.kind == wire.DONE:
            (stream.done,) = wire.NUMBER.unpack(packet.payload)
            stream.note()
        elif packet.kind == wire.FINISHED:
            stream.finished = True
            self.streams.pop(stream.number)
            stream.note()
        elif packet.kind == wire.BROKEN:
            self._lose(stream, f"the recognizer failed: {packet.payload.decode(errors='replace')}")

    def _lose(self, stream: Stream, fault: str) -> None:
        self.streams.pop(stream.number, None)
        stream.fault = fault
        stream.note()

    async def open(self, said: Callable[[Hypothesis], None]) -> Stream:
        """A new recognizer; ConfigError, Gone where there is none to be had."""
        await self.start()
        self._numbers += 1
        stream = self.streams[self._numbers] = Stream(self._numbers, said)
        await self.send(Packet(wire.OPEN, stream.number))
        return stream

    async def send(self, packet: Packet) -> None:
        """Say something; waits while the process is busy. Gone where it is not there."""
        async with self._writing:
            process = self._process
            if process is None or process.stdin is None:
                raise Gone("the recognizer's process ended")
            try:
                await process.stdin.send(wire.pack(packet))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                raise Gone("the recognizer's process ended") from None

    async def close(self, stream: Stream) -> None:
        """Give a recognizer up."""
        if self.streams.pop(stream.number, None) is not None:
            try:
                await self.send(Packet(wire.CLOSE, stream.number))
            except Gone:
                return

    def kill(self) -> None:
        """End the process, which hangs; it is started again when somebody needs it."""
        if self._process is not None:
            _kill(self._process)


def _kill(process: anyio.abc.Process) -> None:
    """End a process, which may have ended already."""
    with suppress(ProcessLookupError):
        process.kill()
