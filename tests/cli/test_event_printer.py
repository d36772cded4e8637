"""Events on standard output: in place on a terminal, line by line elsewhere."""

from __future__ import annotations

import io
import re
import sys

import pytest

from speakrs_stream.cli.event_printer import JsonPrinter, LinePrinter, Output, stdout_look
from speakrs_stream.core.reducer import StreamState, fold
from tests.clients.stand_ins import FakeEngine
from tests.clients.states import events_of
from tests.clients.vt import Terminal


class Screen(io.StringIO):
    """Standard output as a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Put one in the place of standard output."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "50", "LINES": "10"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return screen


EVENTS = events_of("1: 0-4, 2: 4-6? 7-8?")
STATE = fold(StreamState(), EVENTS)


def shown(screen: Screen) -> list[str]:
    view = Terminal(50, 10)
    view.feed(screen.getvalue().replace("\n", "\r\n"))
    return [line for line in view.rows() if line]


def test_on_a_terminal_what_may_change_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    printer = LinePrinter(in_place=True)
    printer.events(EVENTS, STATE)
    assert [line[:25] for line in shown(screen)] == [
        "00:00:00.0–00:00:04.0  S1",
        "00:00:04.0–00:00:06.0  S2",
        "00:00:07.0–00:00:08.0  S2",
    ]
    later = events_of("1: 0-4, 2: 4-6 7-9?")
    printer.events(later[2:], fold(StreamState(), later))
    assert len(shown(screen)) == 4 and shown(screen)[-1].startswith("00:00:07.0–00:00:09.0  S2 …")
    assert "\x1b[1m" in screen.getvalue() or "\x1b[1;" in screen.getvalue()


def test_elsewhere_only_what_is_final(capsys: pytest.CaptureFixture[str]) -> None:
    printer = LinePrinter(in_place=True)
    printer.events(EVENTS, STATE)
    assert capsys.readouterr().out == "00:00:00.0–00:00:04.0  S1             4.0 s\n"
    assert not printer.gone and stdout_look().depth == 0


def test_json_begins_with_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    printer = JsonPrinter.of(FakeEngine().stream(uri="x", max_delay=3), "b")
    printer.events(EVENTS[:1], STATE)
    first, second = capsys.readouterr().out.splitlines()
    assert re.search(r'"type": "started".*"uri": "x".*"bundle": "b".*"max_delay": 3\.0', first)
    assert '"type": "speaker_created"' in second and not printer.gone


def test_nothing_is_written_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Output().write("")
    assert capsys.readouterr().out == ""


def test_notes_and_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plain = LinePrinter(in_place=True)
    plain.note("connection lost")
    plain.progress("half of it")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "speakrs-stream: connection lost\n")
    screen = terminal(monkeypatch)
    printer = LinePrinter(in_place=True)
    printer.progress("a quarter of it")
    printer.events(EVENTS, STATE)
    printer.note("connection lost")
    printer.progress("half of it")
    printer.progress("half of it")
    assert [line[:16] for line in shown(screen)] == [
        "00:00:00.0–00:00",
        "connection lost",
        "00:00:04.0–00:00",
        "00:00:07.0–00:00",
        "half of it",
    ]
