"""The thread: what it is given in any order of time leads to the same, fairly, and faults stay where they are."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_server import messages
from speakrs_server.unit import Unit
from speakrs_server.worker import Figures, Finish, Mark, Order, Report, Sound, Worker, lanes, runner_of
from speakrs_stream.core.events import SpeakerNamed
from speakrs_stream.core.jobs import Job
from speakrs_stream.inference.auto import usable_cores
from tests.server.rig import engine, talk
from tests.server.test_unit import ended, fed, recipe


class Told:
    """Remembers reports; can be waited on."""

    def __init__(self, sessions: int) -> None:
        self.reports: list[Report] = []
        self.over = threading.Semaphore(0)
        self.sessions = sessions

    def __call__(self, report: Report) -> None:
        self.reports.append(report)
        if report.finished or report.fault:
            self.over.release()

    def wait(self) -> None:
        for _ in range(self.sessions):
            assert self.over.acquire(timeout=30)

    def of(self, session: str) -> list[Any]:
        return [event for report in self.reports if report.session == session for event in report.events]


@pytest.mark.parametrize(("count", "wait"), [(0, 0.004), (1, 0.0), (3, 0.004)])
def test_sessions_are_heard_as_if_each_were_alone(count: int, wait: float) -> None:
    data = talk()
    alone = Unit(recipe())
    expected = [*fed(alone, data, 0, 1600), *ended(alone)]
    told = Told(4)
    sizes: list[int] = []
    worker = Worker(
        runner_of(engine().networks),
        told,
        max_wait=wait,
        lanes=count,
        observe=lambda model, size, seconds: sizes.append(size),
    )
    for name in "abcd":
        worker.host(name, Unit(recipe()))
    for at in range(0, len(data) // 2, 8000):
        for name in "abcd":
            worker.give(name, Sound(data[2 * at : 2 * (at + 8000)], at))
    for name in "abcd":
        worker.give(name, Finish())
    told.wait()
    worker.stop()
    for name in "abcd":
        assert told.of(name) == expected
    assert max(sizes) > 1, "questions of several sessions were run together"
    assert worker.figures.audio_s > 60 and worker.figures.rtf > 0 and worker.figures.capacity(0.8) < float("inf")
    assert (worker.figures.lane_s > 0) == (count > 0) and worker.since is None


def test_commands_wait_for_the_audio_before_them() -> None:
    told = Told(1)
    worker = Worker(runner_of(engine().networks), told)
    worker.host("a", Unit(recipe()))
    worker.give("a", Sound(talk(), 0))
    worker.give("a", Order(messages.SpeakerRename(speaker="S2", name="Bob")))
    worker.give("a", Order(messages.SpeakerRename(speaker="S7", name="Eve")))
    worker.give("a", Mark("here"))
    worker.give("a", Finish())
    worker.give("nobody", Finish())
    told.wait()
    worker.stop()
    assert SpeakerNamed(2, "Bob") in told.of("a")
    assert [report.refused[1] for report in told.reports if report.refused] == ["there is no speaker 7 in this stream"]
    marks = [report.mark for report in told.reports if report.mark]
    assert len(marks) == 1 and marks[0][0] == "here"
    assert Unit.restore(marks[0][1], recipe()).position == len(talk()) // 2


@pytest.mark.parametrize("count", [0, 2])
def test_a_fault_stays_where_it_is(count: int) -> None:
    real = runner_of(engine().networks)

    def runner(jobs: list[Job]) -> NDArray[Any]:
        if any(np.abs(job.inputs.get("samples", np.zeros(1))).max() > 0.9 for job in jobs):
            raise RuntimeError("made up")
        return real(jobs)

    told = Told(3)
    worker = Worker(runner, told, lanes=count)
    for name in ("good", "bad", "noise"):
        worker.host(name, Unit(recipe(encoding="pcm_f32le") if name == "noise" else recipe()))
    worker.give("noise", Sound(b"\0\0\xc0\x7f" * 200_000, 0))
    worker.give("bad", Sound(b"\xff\x7f" * 48_000, 0))
    worker.give("good", Sound(talk(), 0))
    worker.give("good", Finish())
    told.wait()
    worker.give("good", Sound(b"", 0))
    worker.drop("good")
    worker.stop()
    faults = {report.session: report.fault[0] for report in told.reports if report.fault}
    assert faults == {"bad": "engine_failed", "noise": "bad_audio"}
    assert any(report.finished for report in told.reports if report.session == "good")
    assert worker.figures.faults == 2


def test_lanes_run_side_by_side() -> None:
    real, both, told = runner_of(engine().networks), threading.Barrier(2, timeout=20), Told(2)

    def runner(jobs: list[Job]) -> NDArray[Any]:
        if jobs[0].model == "segmentation":
            both.wait()  # only another batch at the same time lets this one go on
        return real(jobs)

    worker = Worker(runner, told, max_batch=1, lanes=2)
    for name in "ab":
        worker.host(name, Unit(recipe()))
    for name in "ab":
        worker.give(name, Sound(talk()[: 2 * 20_000], 0))
        worker.give(name, Finish())
    told.wait()
    worker.stop()
    assert not [report.fault for report in told.reports if report.fault]


def test_an_answer_for_a_session_that_is_gone_goes_nowhere() -> None:
    real, asked, go, told = runner_of(engine().networks), threading.Event(), threading.Event(), Told(1)

    def runner(jobs: list[Job]) -> NDArray[Any]:
        if not asked.is_set():
            asked.set()
            assert go.wait(20)
            return np.full_like(real(jobs), np.nan)  # would end the session that gets it
        return real(jobs)

    worker = Worker(runner, told, lanes=1)
    worker.host("a", Unit(recipe()))
    worker.give("a", Sound(talk(), 0))
    assert asked.wait(20)
    assert worker.since is not None
    worker.drop("a")
    worker.host("a", Unit(recipe()))
    worker.give("a", Sound(talk(), 0))
    worker.give("a", Finish())
    go.set()
    told.wait()
    worker.stop()
    alone = Unit(recipe())
    assert told.of("a") == [*fed(alone, talk(), 0, 1600), *ended(alone)]


def test_how_many_lanes() -> None:
    assert (lanes(0, "cpu"), lanes(3, "cuda"), lanes(-1, "cuda")) == (0, 3, 1)
    assert lanes(-1, "cpu") == usable_cores() >= 1


def test_what_has_more_to_do_limits() -> None:
    assert Figures(audio_s=100, busy_s=5, lane_s=40, lanes=2).rtf == 0.2
    assert Figures(audio_s=100, busy_s=30, lane_s=40, lanes=2).rtf == 0.3


class Faulty:
    """Networks that hang, fail or say nonsense about loud sound, so many times; -1 for ever."""

    def __init__(self, how: str, times: int = -1) -> None:
        self.how, self.times = how, times
        self.real = runner_of(engine().networks)
        self.release = threading.Event()
        self.stuck = threading.Event()

    def __call__(self, jobs: list[Job]) -> NDArray[Any]:
        loud = [np.abs(job.inputs.get("samples", np.zeros(1))).max() > 0.9 for job in jobs]
        if not any(loud) or self.times == 0:
            return self.real(jobs)
        self.times -= 1
        if self.how == "raise":
            raise RuntimeError("made up")
        if self.how == "hang":
            self.stuck.set()
            self.release.wait(60)
        outputs = np.array(self.real(jobs))
        outputs[loud] = np.nan
        return outputs


def loud() -> bytes:
    """A conversation with a click at full scale in every window."""
    samples = np.frombuffer(talk(), "<i2").copy()
    samples[::8_000] = 32_767
    return samples.tobytes()


@pytest.mark.parametrize("how", ["raise", "hang", "nan"])
def test_only_the_session_to_blame_ends(how: str) -> None:
    faulty, told, now = Faulty(how), Told(4), [0.0]
    worker = Worker(faulty, told, patience=2.0, lanes=1, clock=lambda: now[0])
    for name in "abcd":
        worker.host(name, Unit(recipe()))
        worker.give(name, Sound(loud() if name == "b" else talk(), 0))
        worker.give(name, Finish())
    began = time.monotonic()
    while sum(report.finished is not None or report.fault is not None for report in told.reports) < 4:
        assert time.monotonic() - began < 240
        if faulty.stuck.is_set():  # the clock goes on while somebody hangs, and only then
            faulty.stuck.clear()
            now[0] += 5
        worker.watch()
        time.sleep(0.01)
    faulty.release.set()
    worker.stop()
    assert {report.session: report.fault[0] for report in told.reports if report.fault} == {"b": "engine_failed"}
    assert told.of("a") == told.of("c") == told.of("d") and told.of("a")
    assert (worker.figures.restarts > 0) == (how == "hang")
    assert not told.of("b"), "the thread that hung tells nothing any more"


def test_figures_before_anything_is_known() -> None:
    assert Figures().capacity(0.8) == float("inf") and Figures(audio_s=100, busy_s=10).capacity(0.8) == 8.0
