"""The terminal as a device: keys one by one, and a full screen that is redrawn without flicker. POSIX only."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The alternate screen, no cursor, no wrapping, empty."""

LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Around one picture: terminals that know this show it at once, others ignore it."""

LONE_ESCAPE = 0.05
"""Seconds after which an escape character is the key and not the start of a sequence."""

DEFAULT_SIZE = (80, 24)


def changes(before: Sequence[str] | None, after: Sequence[str]) -> str:
    """What to write so that a screen that shows `before` shows `after`; nothing where nothing changed.

    before: rendered lines; None where the screen shows anything at all
    """
    old = list(before) if before is not None else []
    out = [] if before is not None else ["\x1b[2J"]
    for index in range(max(len(old), len(after))):
        line = after[index] if index < len(after) else ""
        if before is None or index >= len(old) or old[index] != line:
            # Erase first: behind the last column some terminals would erase what was just written.
            out.append(f"\x1b[{index + 1};1H\x1b[2K{line}")
    return f"{BEGIN}{''.join(out)}{END}" if out else ""


class KeyDecoder:
    """Bytes from a terminal as keys: characters, "enter", "backspace", "escape"; arrows and their kind are dropped."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._sequence = ""

    @property
    def open(self) -> bool:
        """Whether an escape character waits for what follows it."""
        return bool(self._sequence)

    def push(self, data: bytes) -> list[str]:
        """Keys that became complete."""
        keys = []
        for character in self._text.decode(data):
            keys += self._take(character)
        return keys

    def settle(self) -> list[str]:
        """No more came for a while: a lone escape character was the key."""
        lone, self._sequence = self._sequence == "\x1b", ""
        return ["escape"] if lone else []

    def _take(self, character: str) -> list[str]:
        if character == "\x1b":
            keys = self.settle()
            self._sequence = character
            return keys
        if self._sequence:
            started = self._sequence == "\x1b"
            self._sequence += character
            if (started and character not in "[O") or (not started and "@" <= character <= "~"):
                self._sequence = (
                    ""  # Alt with a key, or the end of an arrow or function key: none of them means a thing
                )
            return []
        if character in "\r\n":
            return ["enter"]
        if character in "\x7f\x08":
            return ["backspace"]
        return [character] if character.isprintable() else []


class Keyboard:
    """Keys as they are pressed, not line by line; Ctrl-C stays a signal. A context manager."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of a terminal."""
        self._descriptor = descriptor
        self._decoder = KeyDecoder()
        self._before: list[Any] | None = None

    def __enter__(self) -> Keyboard:
        import termios
        import tty

        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSADRAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        if self._before is not None:
            with contextlib.suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self, timeout: float) -> list[str]:
        """Keys that were pressed; none after `timeout` seconds."""
        until = time.monotonic() + timeout
        while True:
            wait = max(0.0, until - time.monotonic())
            if self._decoder.open:
                wait = min(wait, LONE_ESCAPE)
            ready, _, _ = select.select([self._descriptor], [], [], wait)
            if ready:
                data = os.read(self._descriptor, 1024)
                keys = self._decoder.push(data)
                if keys or not data:
                    return keys
            elif self._decoder.open:
                return self._decoder.settle()
            else:
                return []


class FullScreen:
    """A screen of one's own until it is left; what was there before comes back. A context manager."""

    def __init__(self, descriptor: int, keyboard: Keyboard) -> None:
        """descriptor: where to write; keyboard: put aside as well while the program is stopped with Ctrl-Z."""
        self._descriptor = descriptor
        self._keyboard = keyboard
        self._shown: list[str] | None = None
        self._size = (0, 0)
        self._stopping: Any = None
        self._errors: int | None = None  # standard error, put aside

    def __enter__(self) -> FullScreen:
        self._stopping = signal.signal(signal.SIGTSTP, self._stop)
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        signal.signal(signal.SIGTSTP, self._stopping)

    def _enter(self) -> None:
        self._keyboard.__enter__()
        self._shown = None
        if os.isatty(2):  # libraries written in C complain there, across the picture
            self._errors = os.dup(2)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        self._write(ENTER)

    def _leave(self) -> None:
        if self._errors is not None:
            os.dup2(self._errors, 2)
            os.close(self._errors)
            self._errors = None
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._write(LEAVE)
        self._keyboard.__exit__(None, None, None)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when the shell lets the program go on."""
        self._leave()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)
        self._enter()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows now."""
        try:
            found = os.get_terminal_size(self._descriptor)
        except OSError:
            return DEFAULT_SIZE
        return (found.columns, found.lines) if found.columns and found.lines else DEFAULT_SIZE

    def show(self, lines: Sequence[str]) -> None:
        """Show rendered lines, with one write and only what changed."""
        size = self.size
        if size != self._size:
            self._shown, self._size = None, size
        text = changes(self._shown, lines)
        self._shown = list(lines)
        if text:
            self._write(text)

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", errors="replace")
        while data:
            data = data[os.write(self._descriptor, data) :]
