"""Events on standard output as they come: lines for people, or JSON lines for programs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from speakrs_clients import records
from speakrs_clients.style import Line, Look, Piece, look
from speakrs_clients.terminal import Scroll, ending, final_lines, pending_lines
from speakrs_stream.cli.shell import complain, interactive
from speakrs_stream.formats.text import one_line

if TYPE_CHECKING:
    from speakrs_stream.core.events import Event
    from speakrs_stream.core.reducer import StreamState
    from speakrs_stream.diarization import Diarization
    from speakrs_stream.stream import Comparison, Stream

MOST_PENDING = 8
"""Provisional turns shown at most."""


class EventPrinter(Protocol):
    """Shows a stream from its first event to its result."""

    @property
    def gone(self) -> bool:
        """Whether nobody reads any more."""
        ...

    def events(self, events: Sequence[Event], state: StreamState) -> None:
        """Events, and the state after them."""

    def note(self, sentence: str) -> None:
        """Something else that people should know, such as a lost connection."""

    def ending(self, result: Diarization, comparison: Comparison | None) -> None:
        """The final result."""


def stdout_look(*, ascii_wanted: bool = False) -> Look:
    """What standard output can show."""
    encoding = getattr(sys.stdout, "encoding", None)
    return look(os.environ, terminal=sys.stdout.isatty(), encoding=encoding, ascii_only=ascii_wanted)


class Output:
    """Standard output, written at once; notices when its reader closes the pipe."""

    def __init__(self) -> None:
        self.gone = False
        """Whether nobody reads any more."""

    def write(self, text: str) -> None:
        """Write text; nothing happens once the reader is gone."""
        if self.gone or not text:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            self.gone = True
            # What is still buffered must not fail again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class LinePrinter:
    """Lines for people; on a terminal what may still change stands below and is replaced in place."""

    def __init__(self, *, in_place: bool, ascii_wanted: bool = False) -> None:
        """in_place: whether provisional turns are shown, where a terminal can."""
        self._look = stdout_look(ascii_wanted=ascii_wanted)
        self._scroll = Scroll(self._look)
        self._in_place = in_place and interactive(sys.stdout)
        self._out = Output()
        self._pending: Sequence[Line] = ()
        self._progress = ""

    @property
    def gone(self) -> bool:
        """Whether nobody reads any more."""
        return self._out.gone

    def events(self, events: Sequence[Event], state: StreamState) -> None:
        """What is final scrolls; what is not is replaced."""
        lines = final_lines(events, state, self._look.glyphs)
        if self._in_place:
            room = min(MOST_PENDING, shutil.get_terminal_size().lines - 3)
            self._pending = pending_lines(state, room, self._look.glyphs)
            self._replace(lines)
        else:
            self._print(lines)

    def progress(self, words: str) -> None:
        """How far it is, below everything else; nothing where that cannot be replaced."""
        if self._in_place and words != self._progress:
            self._progress = words
            self._replace([])

    def note(self, sentence: str) -> None:
        """Above what may change, or on standard error where nothing is replaced."""
        if self._in_place:
            self._replace([(Piece(one_line(sentence), "warn"),)])
        else:
            complain(sentence)

    def _replace(self, above: Sequence[Line]) -> None:
        below = [*self._pending, *([(Piece(self._progress, "dim"),)] if self._progress else [])]
        self._out.write(self._scroll.update(above, below, shutil.get_terminal_size().columns))

    def ending(self, result: Diarization, comparison: Comparison | None) -> None:
        """Who spoke how long, who that was live, and what differs."""
        self._out.write(self._scroll.clear())
        self._print([(), *ending(result, comparison, self._look.glyphs)])

    def _print(self, lines: Iterable[Line]) -> None:
        self._out.write("".join(f"{self._look.render(line)}\n" for line in lines))


class JsonPrinter:
    """One JSON object a line: `started`, every event, `result`."""

    def __init__(self, uri: str, *, bundle: str, step: int | None, max_delay: int) -> None:
        """uri: name of the recording; step, max_delay: samples at 16 kHz, see `records.started`."""
        self._out = Output()
        self._print([records.line(records.started(uri, bundle=bundle, step=step, max_delay=max_delay))])

    @classmethod
    def of(cls, stream: Stream, bundle: str) -> JsonPrinter:
        """For a stream in this process."""
        return cls(stream.uri, bundle=bundle, step=stream.config.step, max_delay=stream.live_config.max_delay)

    @property
    def gone(self) -> bool:
        """Whether nobody reads any more."""
        return self._out.gone

    def events(self, events: Sequence[Event], state: StreamState) -> None:
        """Each event as it is."""
        self._print(records.lines(events, state))

    def note(self, sentence: str) -> None:
        """Something that is no event, on standard error."""
        complain(sentence)

    def ending(self, result: Diarization, comparison: Comparison | None) -> None:
        """The whole result."""
        self._print([records.line(records.result(result, comparison))])

    def _print(self, lines: Iterable[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
