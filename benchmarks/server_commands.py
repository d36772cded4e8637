"""`python -m benchmarks server …`: the server under load and under faults, each with what is asked of it."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
import numpy as np

from benchmarks.feeder import Feeder, Sound, feed
from benchmarks.machine import setting
from benchmarks.server_load import Caller, Stalled, half_open
from benchmarks.server_process import Mode, ServerProcess, Usage

Figures = dict[str, Any]
OUTPUT = click.Path(dir_okay=False, path_type=Path)


def percentile(values: list[Any], share: float) -> float | None:
    """A percentile with two digits behind the point; None of nothing."""
    return round(float(np.percentile(values, share)), 2) if values else None


async def until(condition: Callable[[], bool], patience: float) -> bool:
    """Wait for something outside; whether it came within `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        await anyio.sleep(0.05)
    return True


def noise(seconds: float) -> bytes:
    """Quiet noise as 16-bit samples: sound for a server whose networks hear nothing."""
    return np.random.default_rng(1).integers(-300, 300, round(seconds * 16_000)).astype("<i2").tobytes()


def meeting(seconds: float) -> bytes:
    """The bundled recording, repeated up to a length."""
    import soundfile

    from benchmarks.machine import ROOT

    found, rate = soundfile.read(ROOT / "speakrs_stream" / "demo" / "meeting.flac", dtype="int16")
    assert rate == 16_000
    return np.tile(found, int(seconds * rate / len(found)) + 1)[: round(seconds * rate)].tobytes()


def measured(
    name: str,
    work: Callable[[ServerProcess], Coroutine[Any, Any, Figures]],
    mode: Mode,
    out: Path | None,
    **settings: Any,
) -> None:
    """Run something against a server of its own, print what was found and write it down."""
    with tempfile.TemporaryDirectory(prefix="speakrs-bench-") as folder:
        process = ServerProcess(mode, Path(folder) / "data", **settings)
        stopped = False
        try:
            figures = anyio.run(work, process)
            status, seconds = process.stop()
            stopped = True
            figures |= {"exit_status": status, "shutdown_s": round(seconds, 2)}
        finally:
            if not stopped:
                process.kill()
    where = setting()
    click.echo(f"{name} on {where.cpu}, {where.cores} cores, {where.commit}, {where.date}")
    click.echo(f"$ {where.command}")
    for key, value in figures.items():
        click.echo(f"  {key:28} {value}")
    if out is not None:
        out.write_text(json.dumps({"setting": asdict(where), "figures": figures}, indent=1) + "\n", encoding="utf-8")


@click.group("server")
def server_command() -> None:
    """Measure the server: load, faults, memory."""


out_option = click.option("--out", type=OUTPUT, help="Write the figures here as JSON.")


@server_command.command("sessions")
@click.option("--count", default=1000, show_default=True, help="Sessions at once.")
@click.option("--seconds", default=60.0, show_default=True, help="Of sound in each, in real time.")
@click.option("--frame-ms", default=100, show_default=True, help="Sound in one frame.")
@out_option
def sessions(count: int, seconds: float, frame_ms: int, out: Path | None) -> None:
    """Many sessions in real time on one process, with scripted hearing: nothing may go wrong."""

    async def work(process: ServerProcess) -> Figures:
        sound, idle = Sound(noise(seconds), frame_ms), process.usage()
        feeders = [Feeder(sound, {"max_delay_ms": 2000}) for _ in range(count)]
        peak: list[Usage] = []

        async def watch() -> None:
            while True:
                peak.append(process.usage())
                await anyio.sleep(1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            began, cpu = time.monotonic(), time.process_time()
            opening = await feed(feeders, process.port)
            took, own = time.monotonic() - began, time.process_time() - cpu
            tasks.cancel_scope.cancel()
        used, sent = process.usage(), count * len(sound.frames)
        acks = [one for feeder in feeders for one in feeder.acks]
        events = [one for feeder in feeders for one in feeder.events]
        return {
            "sessions": count,
            "whole": sum(feeder.whole for feeder in feeders),
            "went_wrong": dict(sum((feeder.ends for feeder in feeders), Counter())),
            "opening_s": round(opening, 1),
            "from_first_frame_to_last_result_s": round(took - opening, 1),
            "cpu_us_per_frame": round((used.cpu_s - idle.cpu_s) / sent * 1e6, 1),
            "cpu_of_clients_us_per_frame": round(own / sent * 1e6, 1),
            "rss_kib_per_session": round((max(one.rss_mb for one in peak) - idle.rss_mb) / count * 1024, 1),
            "event_s_p50_p99": [percentile(events, 50), percentile(events, 99)],
            "ack_s_p50_p99": [percentile(acks, 50), percentile(acks, 99)],
            "sent_late_s_at_most": round(max(feeder.late for feeder in feeders), 2),
        }

    measured("sessions", work, "scripted", out, commit_interval_ms=50, durability="written")


@server_command.command("stalled")
@click.option("--viewers", default=200, show_default=True, help="Of one session.")
@click.option("--stalled", default=100, show_default=True, help="Of them, those that stop reading.")
@click.option("--seconds", default=30.0, show_default=True, help="Of sound, in real time.")
@out_option
def stalled(viewers: int, stalled: int, seconds: float, out: Path | None) -> None:
    """Viewers that stop reading beside some that go on, and half as many still stalled when the server is stopped."""

    async def work(process: ServerProcess) -> Figures:
        async with anyio.create_task_group() as tasks:
            talking = {"max_delay_ms": 2000, "words": {"enabled": True}}
            caller = Caller(process.port, noise(seconds), speed=1.0, start=talking)
            other = Caller(process.port, noise(seconds), speed=1.0, start={"max_delay_ms": 2000})
            tasks.start_soon(caller.run)
            tasks.start_soon(other.run)
            await until(lambda: bool(caller.session), 60)
            alone = process.usage()
            path = f"/v1/sessions/{caller.session}/events"
            view = json.dumps({"type": "session.view"})
            lazy = [await anyio.to_thread.run_sync(Stalled, process.port, path, view) for _ in range(stalled)]
            readers: list[list[int]] = [[] for _ in range(viewers - stalled)]
            for numbers in readers:
                tasks.start_soon(_read, process.port, path, numbers)
            all_in = 3 + viewers  # the one it listens with, two sessions, and everybody who reads or does not
            await until(lambda: process.usage().sockets >= all_in, 60)
            connected, began = process.usage().sockets, time.monotonic()
            took: list[float] = []
            most = before = process.usage()
            while len(took) < stalled and caller.final is None:
                await anyio.sleep(0.1)
                for part in range(4):
                    batch = words(caller.durable // 16, part)
                    caller.say.append({"type": "words.add", "batch": f"b{part}", "words": batch})
                now = process.usage()
                most = max(most, now, key=lambda used: used.rss_mb)
                took += [time.monotonic() - began] * (connected - now.sockets - len(took))
            await until(lambda: caller.final is not None and other.final is not None, 10 * seconds)
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        for one in lazy:
            one.close()
        return {
            "stalled": stalled,
            "aborted": len(took),
            "seconds_until_first_and_last_abort": [round(min(took, default=0), 1), round(max(took, default=0), 1)],
            "rss_mb_per_connection": round((before.rss_mb - alone.rss_mb) / viewers, 3),
            "rss_mb_per_stalled_on_top": round((most.rss_mb - before.rss_mb) / stalled, 3),
            "readers_with_everything": sum(numbers == list(range(1, len(numbers) + 1)) for numbers in readers),
            "readers": len(readers),
            "sessions_whole": [caller.whole, other.whole],
        }

    measured("stalled", work, "scripted", out, viewers_per_session=viewers + 1, send_timeout_s=5, control_rate=1000)


async def _read(port: int, path: str, numbers: list[int]) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    try:
        async with connect(
            f"ws://127.0.0.1:{port}{path}", compression=None, close_timeout=1, open_timeout=60
        ) as socket:
            await socket.send(json.dumps({"type": "session.view"}))
            async for text in socket:
                numbers += [message["seq"] for message in (json.loads(text),) if "seq" in message]
    except ConnectionClosed:
        return


def words(at_ms: int, part: int) -> list[dict[str, Any]]:
    """Many words, to fill the buffers of whoever does not read: the kernel alone takes megabytes."""
    start = max(at_ms - 10_000, 0)
    return [{"id": f"{at_ms}-{part}-{n}-{'x' * 40}", "start_ms": start, "end_ms": at_ms} for n in range(400)]


@server_command.command("faults")
@click.option("--faults", default=500, show_default=True, help="Scripted faults of the network.")
@click.option("--callers", default=20, show_default=True, help="Sessions at once.")
@click.option("--seconds", default=20.0, show_default=True, help="Of sound in each session.")
@click.option("--seed", default=1, show_default=True)
@out_option
def faults(faults: int, callers: int, seconds: float, seed: int, out: Path | None) -> None:
    """Delays, drops, half-closed connections, resets, trickles and black holes between clients and server."""

    async def work(process: ServerProcess) -> Figures:
        from tests.fault_proxy import FaultProxy, scripted

        data, done = noise(seconds), list[Caller]()
        async with FaultProxy(process.port, scripted(faults, seed)) as proxy:
            while len(proxy.struck) < faults and len(done) < 20 * callers:
                group = [
                    Caller(proxy.port, data, speed=4.0, start={"max_delay_ms": 2000}, patience=4.0)
                    for _ in range(callers)
                ]
                async with anyio.create_task_group() as tasks:
                    for caller in group:
                        tasks.start_soon(caller.run)
                done += group
            struck = Counter(fault.kind for fault in proxy.struck)
        ends = sum((caller.ends for caller in done), Counter[str]())
        return {
            "faults": sum(struck.values()),
            "kinds": dict(struck),
            "sessions": len(done),
            "whole": sum(caller.whole for caller in done),
            "resumes": sum(caller.resumes for caller in done),
            "acknowledged_samples_lost": sum(caller.lost for caller in done),
            "messages_missing_or_twice": sum(caller.gaps for caller in done),
            "never_retry_codes_met": {name: n for name, n in ends.items() if name.startswith("close 44")},
        }

    measured("faults", work, "scripted", out, durability="written", max_rate=100, send_timeout_s=3, idle_s=8)


@server_command.command("slowloris")
@click.option("--count", default=2000, show_default=True, help="Requests that never end.")
@out_option
def slowloris(count: int, out: Path | None) -> None:
    """Half-open requests in great number: they go, and others are served meanwhile."""

    async def work(process: ServerProcess) -> Figures:
        before = process.usage()
        opened = await anyio.to_thread.run_sync(half_open, process.port, count)
        waits: list[float] = []
        began, most = time.monotonic(), process.usage()
        while time.monotonic() - began < 5:
            at = time.monotonic()
            caller = Caller(process.port, noise(0.1), speed=0)
            await caller.run(at + 10)
            waits.append(time.monotonic() - at if caller.final else 10.0)
            most = max(most, process.usage(), key=lambda used: used.files)
        await until(lambda: process.usage().files <= before.files + 2, 60)
        closed = time.monotonic() - began
        for one in opened:
            one.close()
        return {
            "half_open": len(opened),
            "most_files": most.files,
            "session_s_p50_p99": [percentile(waits, 50), percentile(waits, 99)],
            "all_closed_after_s": round(closed, 1),
        }

    measured("slowloris", work, "scripted", out)


@server_command.command("drain")
@click.option("--sessions", "count", default=200, show_default=True, help="Live sessions.")
@click.option("--stalled", "lazy", default=50, show_default=True, help="Clients that have stopped reading.")
@out_option
def drain(count: int, lazy: int, out: Path | None) -> None:
    """SIGTERM in the middle of many sessions; they go on with a second process on the same folder."""

    async def work(process: ServerProcess) -> Figures:
        data = noise(20)
        callers = [Caller(process.port, data, 200, start={"max_delay_ms": 2000}, keep=False) for _ in range(count)]
        async with anyio.create_task_group() as tasks:
            for caller in callers:
                tasks.start_soon(caller.run)
                await anyio.sleep(0.01)
            await until(lambda: all(caller.session for caller in callers), 120)
            view = json.dumps({"type": "session.view"})
            stuck = [
                await anyio.to_thread.run_sync(
                    Stalled, process.port, f"/v1/sessions/{callers[number % count].session}/events", view
                )
                for number in range(lazy)
            ]
            await anyio.sleep(2)
            status, seconds = await anyio.to_thread.run_sync(process.stop)
            await anyio.to_thread.run_sync(process.start)
            await until(lambda: all(caller.final is not None for caller in callers), 180)
            tasks.cancel_scope.cancel()
        for one in stuck:
            one.close()
        return {
            "sessions": count,
            "stalled": lazy,
            "drain_status": status,
            "drain_s": round(seconds, 2),
            "whole": sum(caller.whole for caller in callers),
            "resumes": sum(caller.resumes for caller in callers),
            "ends": dict(sum((caller.ends for caller in callers), Counter())),
        }

    measured("drain", work, "scripted", out, durability="written")


@server_command.command("capacity")
@click.option("--least", default=1, show_default=True, help="Sessions to begin with.")
@click.option("--most", default=64, show_default=True, help="Sessions at which to stop.")
@click.option("--seconds", default=45.0, show_default=True, help="Of real time at each number of sessions.")
@click.option("--max-delay-ms", default=4000, show_default=True)
@click.option("--bundle", default="embedded", show_default=True, help="Networks.")
@out_option
def capacity(least: int, most: int, seconds: float, max_delay_ms: int, bundle: str, out: Path | None) -> None:
    """Real-time sessions before p99 of final latency passes the delay by half a second."""

    async def work(process: ServerProcess) -> Figures:
        table: dict[int, Any] = {}
        estimates: dict[int, float | None] = {}
        held, count = 0, least
        while count <= most:
            data = meeting(seconds)
            callers = [
                Caller(process.port, data, start={"max_delay_ms": max_delay_ms}, keep=False) for _ in range(count)
            ]
            async with anyio.create_task_group() as tasks:
                for caller in callers:
                    tasks.start_soon(caller.run, time.monotonic() + 3 * seconds)
                    await anyio.sleep(seconds / 10 / count)
            late = [ms for caller in callers for ms in caller.latencies]
            estimates[count] = process.metric("speakrs_session_capacity_estimate")
            table[count] = percentile(late, 99)
            click.echo(f"  {count} sessions: p99 {table[count]} ms")
            if table[count] is None or table[count] > max_delay_ms + 500:
                break
            held, count = count, count + max(1, count // 4)
        return {
            "sessions_held": held,
            "max_delay_ms": max_delay_ms,
            "p99_ms_by_sessions": table,
            "servers_own_estimate": estimates,
        }

    measured("capacity", work, "real", out, load_limit=0, bundle=bundle)


@server_command.command("memory")
@click.option("--hours", default=12.0, show_default=True, help="Of sound in one session.")
@out_option
def memory(hours: float, out: Path | None) -> None:
    """One long session of six speakers, as fast as it goes, with made-up networks: memory has to stay flat."""

    async def work(process: ServerProcess) -> Figures:
        data = voices(1800.0)
        caller = Caller(process.port, b"", 1000, 0, {"mode": "file", "max_delay_ms": 4000}, keep=False)
        caller.data = data * round(hours * 2)
        table: list[tuple[float, float]] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.run)
            while caller.final is None:
                await anyio.sleep(1)
                table.append((caller.durable / 16_000 / 3600, process.usage().rss_mb))
        late = np.array([row for row in table if row[0] >= 0.5])
        slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) if len(late) > 2 else None
        return {
            "hours": hours,
            "whole": caller.whole,
            "rss_mb_at_half_hour": round(float(late[0, 1]), 1),
            "rss_mb_at_end": round(float(late[-1, 1]), 1),
            "rss_mb_per_hour": round(slope, 2) if slope is not None else None,
            "final_turns": len(caller.latencies),
        }

    measured("memory", work, "fake", out, durability="written", journal_per_session_mb=8192, max_session_s=90_000)


def voices(seconds: float) -> bytes:
    """Six made-up voices in turn, as the made-up networks know them."""
    from speakrs_stream.audio.pcm import encode
    from speakrs_stream.inference.fake import script, speak

    chance = np.random.default_rng(3)
    at, turns = 0.0, list[str]()
    while at < seconds - 12:
        length = float(chance.uniform(2, 8))
        turns.append(f"{'ABCDEF'[int(chance.integers(6))]} {at:.2f}-{at + length:.2f}")
        at += length + float(chance.uniform(0.2, 1.5))
    return encode(speak(script(", ".join(turns)), round(seconds * 16_000)), "pcm_s16le")
