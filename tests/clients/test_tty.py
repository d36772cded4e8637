"""The terminal: keys from bytes, only what changed is redrawn, and everything is put back at the end."""

from __future__ import annotations

import os
import pty
import signal
import termios
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakrs_clients.tty import BEGIN, END, ENTER, LEAVE, FullScreen, Keyboard, KeyDecoder, changes
from tests.clients.vt import Terminal

# -- keys ------------------------------------------------------------------------------------------------------------


def keys_of(*pieces: bytes) -> list[str]:
    decoder = KeyDecoder()
    return [key for piece in pieces for key in decoder.push(piece)]


def test_characters() -> None:
    assert keys_of(b"aZ 9") == ["a", "Z", " ", "9"]
    assert keys_of("é三🎤".encode()) == ["é", "三", "🎤"]
    assert keys_of(b"\xc3", b"\xa9") == ["é"]
    assert keys_of(b"\xff\xfea") == ["a"]
    assert keys_of(b"\r\n\x7f\x08\x01\t") == ["enter", "enter", "backspace", "backspace"]


def test_sequences_mean_nothing() -> None:
    assert keys_of(b"\x1b[A\x1b[1;5Cq") == ["q"]
    assert keys_of(b"\x1bOPx") == ["x"]
    assert keys_of(b"\x1bq", b"s") == ["s"]  # Alt-q is not q
    assert keys_of(b"\x1b", b"[", b"15", b"~a") == ["a"]


def test_a_lone_escape_is_a_key() -> None:
    decoder = KeyDecoder()
    assert decoder.push(b"\x1b") == [] and decoder.open
    assert decoder.settle() == ["escape"] and not decoder.open
    assert decoder.push(b"\x1b\x1b") == ["escape"]
    assert KeyDecoder().settle() == []


@given(st.binary(max_size=60), st.integers(0, 60))
def test_keys_do_not_depend_on_how_bytes_are_cut(data: bytes, at: int) -> None:
    assert keys_of(data) == keys_of(data[:at], data[at:])


# -- redrawing -------------------------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_changed() -> None:
    assert changes(["a", "b"], ["a", "b"]) == ""


def test_only_changed_lines_are_written_in_one_piece() -> None:
    assert changes(["a", "b", "c"], ["a", "B", "c"]) == f"{BEGIN}\x1b[2;1H\x1b[2KB{END}"
    assert changes(["a", "b"], ["a"]) == f"{BEGIN}\x1b[2;1H\x1b[2K{END}"
    assert changes(None, ["a"]) == f"{BEGIN}\x1b[2J\x1b[1;1H\x1b[2Ka{END}"


lines = st.lists(st.text("ab 三", max_size=5), max_size=6)


@given(st.lists(lines, max_size=6))
def test_the_screen_shows_the_last_picture(pictures: list[list[str]]) -> None:
    terminal, before = Terminal(10, 6), None
    for picture in pictures:
        terminal.feed(changes(before, picture))
        before = picture
    shown = [line.rstrip() for line in (pictures[-1] if pictures else [])]
    assert terminal.rows() == shown + [""] * (6 - len(shown))


# -- the device ------------------------------------------------------------------------------------------------------


class Line:
    """Both ends of a pseudo-terminal; everything written to it is collected."""

    def __init__(self) -> None:
        self.person, self.program = pty.openpty()
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.written += os.read(self.person, 4096)
            except OSError:
                return

    def wait_for(self, text: str) -> None:
        until = time.monotonic() + 10
        while text.encode() not in self.written:
            assert time.monotonic() < until, self.written
            time.sleep(0.005)


@pytest.fixture
def line() -> Iterator[Line]:
    ends = Line()
    yield ends
    os.close(ends.program)
    os.close(ends.person)


def test_keys_come_one_by_one_and_the_terminal_is_put_back(line: Line) -> None:
    before = termios.tcgetattr(line.program)
    with Keyboard(line.program) as keyboard:
        assert not termios.tcgetattr(line.program)[3] & (termios.ICANON | termios.ECHO)
        assert keyboard.read(0.0) == []
        os.write(line.person, b"n\x1b[Ax")
        assert keyboard.read(5.0) == ["n", "x"]
        os.write(line.person, b"\x1b")
        assert keyboard.read(5.0) == ["escape"]
    assert termios.tcgetattr(line.program) == before


def test_a_screen_of_its_own(line: Line) -> None:
    termios.tcsetwinsize(line.program, (7, 33))
    with FullScreen(line.program, Keyboard(line.program)) as display:
        assert display.size == (33, 7)
        display.show(["one", "two"])
        display.show(["one", "two"])
        display.show(["one", "zwei"])
        line.wait_for("zwei")
        termios.tcsetwinsize(line.program, (9, 20))
        display.show(["one", "zwei"])
    line.wait_for(LEAVE)
    text = line.written.decode()
    assert text.startswith(ENTER) and text.endswith(LEAVE)
    assert text.count("one") == 2 and text.count("zwei") == 2  # once more after the size changed


def test_the_screen_is_left_whatever_happens(line: Line) -> None:
    before, stop = termios.tcgetattr(line.program), signal.getsignal(signal.SIGTSTP)
    with pytest.raises(ZeroDivisionError), FullScreen(line.program, Keyboard(line.program)):
        raise ZeroDivisionError
    line.wait_for(LEAVE)
    assert termios.tcgetattr(line.program) == before and signal.getsignal(signal.SIGTSTP) is stop


def test_a_terminal_of_no_size_has_the_usual_one(line: Line) -> None:
    termios.tcsetwinsize(line.program, (0, 0))
    assert FullScreen(line.program, Keyboard(line.program)).size == (80, 24)
