"""The monitor through a pseudo-terminal with sound that is played into it, and its keys and views without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

from speakrs_clients.interrupts import Interrupts
from speakrs_clients.meters import Link
from speakrs_clients.monitor import Feed, Labels, Monitor, listen
from speakrs_clients.style import Look
from speakrs_clients.tty import LEAVE
from speakrs_clients.worker import Status, Worker
from speakrs_stream.audio.capture import Level
from speakrs_stream.core.events import Event
from speakrs_stream.core.reducer import StreamState
from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import DeviceLost
from tests.clients.served import served
from tests.clients.stand_ins import CALL, FakeEngine, ScriptedSource, chopped, recorded, sound
from tests.clients.vt import Terminal

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 40.0


class Call:
    """`speakrs-stream mic` in a terminal of its own, on made-up networks, and the person in front of it."""

    def __init__(self, folder: Path, *arguments: str, delay: float = 0.0, columns: int = 80, lines: int = 24) -> None:
        self.terminal = Terminal(columns, lines)
        self.written = b""
        self.person, program = pty.openpty()
        termios.tcsetwinsize(program, (lines, columns))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        environment.pop("NO_COLOR", None)
        environment.pop("COLORTERM", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.call", str(delay), "mic", *arguments],
            cwd=folder,
            env=environment,
            stdin=program,
            stdout=program,
            stderr=program,
            process_group=0,
        )
        self.program = program

    def press(self, keys: str) -> None:
        os.write(self.person, keys.encode())

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def look(self, seconds: float = 0.05) -> str:
        """What the terminal shows after taking what comes within a moment."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.person], [], [], left)[0]:
                try:
                    data = os.read(self.person, 65536)
                except OSError:
                    break
                self.written += data
                self.terminal.feed(data.decode("utf-8", errors="replace"))
        return "\n".join(self.terminal.rows())

    def see(self, text: str, patience: float = PATIENCE) -> str:
        """Wait until the terminal shows something that fits the expression."""
        until = time.monotonic() + patience
        while not re.search(text, screen := self.look()):
            assert time.monotonic() < until, f"never saw {text!r}:\n{screen}"
            assert self.process.poll() is None or re.search(text, self.look(0.2)), f"it ended:\n{screen}"
        return screen

    def end(self) -> int:
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < until, self.look()
            self.look()
        self.look(0.2)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.person)
        os.close(self.program)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., Call]]:
    """Start a call that hears two made-up people, 22 s in about four."""
    source = recorded(tmp_path / "talk.wav")
    begun: list[Call] = []

    def begin(*arguments: str, speed: float = 6, play: Path = source, **options: float) -> Call:
        begun.append(Call(tmp_path, "--source", str(play), "--speed", str(speed), *arguments, **options))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def test_a_call_from_first_sound_to_result(call: Callable[..., Call], tmp_path: Path) -> None:
    monitor = call(speed=8)
    first = monitor.see(r"S1 .*░")
    assert monitor.terminal.alternate and not monitor.terminal.cursor
    assert "talk.wav · 16 kHz · fake-split on fake" in first
    assert re.search(r"level █+·+┃·+ +−\d+ dB", first)
    both = monitor.see(r"S2 .*(█|░)")
    assert re.search(r"prov \d\.\d s · final", both) and "▶" in both
    monitor.see(r"S1 +█.*\n.*S2 +.*█")  # some of it is final
    monitor.press("n2Bob\r")
    monitor.see(r"Bob +.*[█░]")
    assert monitor.end() == 0  # the recording is over
    assert not monitor.terminal.alternate and monitor.terminal.cursor and monitor.terminal.wraps
    assert monitor.terminal.cleared <= 4  # no picture was wiped in between
    assert {"38;5;25", "38;5;178"} <= monitor.terminal.colours
    after = "\n".join(monitor.terminal.rows())
    assert re.search(r"Bob +S2 +0:0\d\.\d +\d\d% +2", after) and "Wrote call.rttm and call.json" in after
    result = Diarization.from_json((tmp_path / "call.json").read_text(encoding="utf-8"))
    assert [speaker.name for speaker in result.speakers] == [None, "Bob"]
    assert result.turns == FakeEngine().diarize(tmp_path / "talk.wav").turns
    assert (tmp_path / "call.rttm").read_text(encoding="utf-8").count("SPEAKER call 1 ") == 5


def test_keys_do_not_wait_for_the_networks(call: Callable[..., Call]) -> None:
    monitor = call(speed=1, delay=3.0)  # far too slow: one inference after the other
    monitor.see(r"S1 .*░")
    slowest = 0.0
    for key, answer in (
        ("n", "name of S1"),
        ("\x1b", "space pause"),
        ("n", "name of S1"),
        ("x", ":  x"),
        ("\x1b", "space"),
    ):
        began = time.monotonic()
        monitor.press(key)
        monitor.see(answer, patience=5)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2.5
    before = re.search(r"0:00:(\d\d)", monitor.look())
    after = re.search(r"0:00:(\d\d)", monitor.look(2.2))
    assert before and after and int(before[1]) < int(after[1])  # sound is taken in all the while
    monitor.interrupt()
    monitor.see("finishing")
    monitor.interrupt()
    assert monitor.end() == 130


def test_pause_save_merge_and_quit(call: Callable[..., Call], tmp_path: Path) -> None:
    monitor = call(speed=8)
    monitor.see(r"S2 .*[█░]")
    monitor.press(" ")
    monitor.see("‖ paused")
    stopped = re.search(r"0:00:\d\d", monitor.look(0.3))
    assert stopped and stopped[0] in monitor.look(0.5)
    monitor.press("s")
    monitor.see("saved call.rttm and call.json as known so far")
    assert (tmp_path / "call.rttm").exists()
    monitor.press("m21")
    monitor.look(0.5)
    assert "S2" not in monitor.see(r"100% ")
    monitor.press(" ")
    monitor.see("listening")
    monitor.press("q")
    assert monitor.end() == 0
    assert "Wrote call.rttm and call.json" in monitor.look()


def test_ctrl_c_once_finishes_and_files_are_never_overwritten(call: Callable[..., Call], tmp_path: Path) -> None:
    (tmp_path / "call.srt").write_text("mine")
    monitor = call("--format", "srt", speed=8)
    monitor.see(r"S1 .*[█░]")
    monitor.interrupt()
    assert monitor.end() == 0
    assert "Wrote call-2.srt." in monitor.look()
    assert (tmp_path / "call.srt").read_text() == "mine" and "-->" in (tmp_path / "call-2.srt").read_text()


def test_ctrl_c_twice_gives_up_at_once(call: Callable[..., Call], tmp_path: Path) -> None:
    monitor = call(speed=8, delay=0.5)
    monitor.see(r"S1 .*[█░]")
    monitor.interrupt()
    monitor.see("finishing")
    monitor.interrupt()
    assert monitor.end() == 130
    assert "given up: the final result was not written" in monitor.look()
    assert not monitor.terminal.alternate and not (tmp_path / "call.rttm").exists()


def test_ctrl_z_gives_the_terminal_back(call: Callable[..., Call]) -> None:
    monitor = call(speed=1)
    monitor.see("listening")
    os.kill(monitor.process.pid, signal.SIGTSTP)
    until = time.monotonic() + PATIENCE
    while (found := os.waitpid(monitor.process.pid, os.WUNTRACED | os.WNOHANG))[0] == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert os.WIFSTOPPED(found[1])
    monitor.look(0.2)
    assert not monitor.terminal.alternate and monitor.written.endswith(LEAVE.encode())
    os.kill(monitor.process.pid, signal.SIGCONT)
    monitor.see("listening")
    assert monitor.terminal.alternate


def test_a_narrow_ascii_terminal_without_colours(call: Callable[..., Call]) -> None:
    monitor = call("--ascii", speed=8, columns=60, lines=12)
    monitor.see(r"S2 .*[:#]")
    assert monitor.written.isascii()
    termios.tcsetwinsize(monitor.program, (10, 60))
    monitor.press("q")
    assert monitor.end() == 0


def test_a_call_that_a_server_listens_to(call: Callable[..., Call], tmp_path: Path) -> None:
    source = recorded(tmp_path / "long.wav", f"{CALL}, A 400-401")  # nobody has to hurry
    with served(tmp_path / "data") as found:
        monitor = call("--server", found.address(""), "--max-delay", "1", speed=4, play=source)
        first = monitor.see(r"S1 .*[█░]")
        assert f"long.wav · 16 kHz · fake-split at 127.0.0.1:{found.port}" in first
        assert re.search(r"final .* · on the way \d+\.\d s · dropped 0", first)
        monitor.see(r"S2 .*[█░]")
        monitor.press("n2Bob\r")
        monitor.see(r"Bob +.*[█░]")
        monitor.press("s")
        monitor.see("saved call.rttm and call.json as known so far")
    monitor.see(r"listening, no connection")
    monitor.see(r"connection lost|no connection to the server")
    with served(tmp_path / "data", port=found.port):
        monitor.see(r"reconnected 1")
        monitor.see(r"● listening  ")
        monitor.press("q")
        assert monitor.end() == 0
        after = monitor.look()
    assert re.search(r"Bob +S2 +0:0\d\.\d +\d\d% +\d", after) and "Wrote call.rttm and call.json" in after
    result = Diarization.from_json((tmp_path / "call.json").read_text(encoding="utf-8"))
    samples, rate = soundfile.read(source, dtype="int16", frames=result.samples)
    offline = FakeEngine().diarize(samples, sample_rate=rate)  # hears a third voice where `q` cuts one short
    assert result.turns == offline.turns, "nothing was lost"
    assert [speaker.name for speaker in result.speakers] == [None, "Bob", *[None] * (len(offline.speakers) - 2)]


def test_merging_and_ctrl_c_on_a_server(call: Callable[..., Call], tmp_path: Path) -> None:
    source = recorded(tmp_path / "long.wav", f"{CALL}, A 400-401")
    with served(tmp_path / "data") as found:
        monitor = call("--server", f"localhost:{found.port}", speed=6, play=source)
        monitor.see(r"S2 .*[█░]")
        monitor.press(" ")
        monitor.see("‖ paused")
        monitor.press("m21")
        monitor.see(r"S1 .*100% ")
        assert "S2" not in monitor.look()
        monitor.interrupt()
        assert monitor.end() == 0
        assert "Wrote call.rttm and call.json" in monitor.look()


def test_a_server_that_is_not_there(call: Callable[..., Call]) -> None:
    monitor = call("--server", "ws://127.0.0.1:9")
    assert monitor.end() == 3
    assert "the server cannot be reached: connection refused" in monitor.look()


def test_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    source = recorded(tmp_path / "talk.wav")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.clients.call", "0", "mic", "--source", str(source), "--speed", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    plain = run()
    assert re.search(r"^00:00:00\.0–00:00:04\.0  S1 +4\.0 s$", plain.stdout, re.MULTILINE)
    assert "\x1b" not in plain.stdout and plain.stderr == "Wrote call.rttm and call.json.\n"
    values = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert values[0]["type"] == "started" and values[-1]["type"] == "result"
    assert len([value for value in values if value["type"] == "turn_final"]) == 5


# -- without a terminal ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


def monitor_of(engine: FakeEngine, source: ScriptedSource) -> tuple[Monitor, Worker]:
    worker = Worker(engine.stream(), source)
    saved = Monitor(worker, source, Labels("x", "y"), Look(), save=lambda stream: f"saved {stream.samples}")
    return saved, worker


def test_phases_of_a_call(engine: FakeEngine) -> None:
    source = ScriptedSource([])
    monitor, worker = monitor_of(engine, source)
    assert monitor.view(0.0).phase == "starting"
    source.captured = 16_000
    assert monitor.view(0.0).phase == "listening"
    monitor.key(" ")
    assert monitor.view(0.0).phase == "paused" and source.log == ["pause"]
    worker.status = Status(lost="gone")
    assert monitor.view(0.0).phase == "lost" and monitor.view(0.0).message == "gone"
    monitor.key(" ")
    assert source.log == ["pause", "resume"]
    worker.status = Status(finishing=True)
    assert monitor.view(0.0).phase == "finishing"
    monitor.key(" ")
    assert source.log == ["pause", "resume"]  # too late


def test_a_lost_connection_is_shown_until_it_is_back(engine: FakeEngine) -> None:
    source = ScriptedSource([])
    source.captured = 16_000
    link = Link()
    worker = Worker(engine.stream(), source)
    monitor = Monitor(worker, source, Labels("x", "y"), Look(), save=lambda stream: "", link=lambda: link)
    assert monitor.view(0.0).phase == "listening" and monitor.view(0.0).link == Link()
    link = Link("connection refused", 3.0)
    assert monitor.view(0.0).phase == "away" and "(connection refused)" in monitor.view(0.0).message
    worker.status = Status(finishing=True)
    assert monitor.view(0.0).phase == "finishing" and "(connection refused)" in monitor.view(0.0).message
    link = Link(resumes=1)
    assert monitor.view(0.0).message == ""


def test_clipping_is_noted_when_it_happens_and_messages_go_away(engine: FakeEngine) -> None:
    source = ScriptedSource([])
    monitor, worker = monitor_of(engine, source)
    assert monitor.view(1.0).level.clipped_at is None
    source.level = Level(-1.0, 0.0, 3)
    worker.tell("hello")
    assert monitor.view(2.0).level.clipped_at == 2.0
    assert monitor.view(6.9).level.clipped_at == 2.0 and monitor.view(6.9).message == "hello"
    assert monitor.view(7.1).message == ""


def test_lines_of_a_call_and_what_happens_to_the_device(engine: FakeEngine) -> None:
    pieces = chopped(sound())
    source = ScriptedSource([*pieces[:20], DeviceLost("unplugged"), *pieces[20:]])
    feed = Feed()
    told: list[Event] = []
    notes: list[str] = []
    ticks = iter(range(1_000_000))
    worker = Worker(engine.stream(), source, heard=feed.put, clock=lambda: next(ticks) * 0.2)

    def tell(events: list[Event], state: StreamState) -> None:
        told.extend(events)

    with Interrupts() as interrupts:
        listen(worker, feed, interrupts, tell, notes.append)
    assert worker.result is not None
    assert "unplugged" in notes and notes[-1] == "scripted is back"
    assert StreamState() != worker.status.state and len(told) > 10


def test_ctrl_c_ends_the_lines(engine: FakeEngine) -> None:
    source = ScriptedSource([*chopped(sound())[:4], *[None] * 1_000_000])
    feed = Feed()
    worker = Worker(engine.stream(), source, heard=feed.put)
    with Interrupts() as interrupts:
        interrupts.asked = True
        listen(worker, feed, interrupts, lambda events, state: None, lambda note: None)
    assert worker.result is not None
