"""The Python client against a real server: everything arrives once, over killed servers and broken networks."""

from __future__ import annotations

import hashlib
import itertools
import random
import sys
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import anyio
import numpy as np
import pytest
from numpy.typing import NDArray

from speakrs_clients.client import (
    AudioFormat,
    ConnectionLost,
    ConnectionResumed,
    Event,
    SpeakerHint,
    Stream,
    StreamFailed,
    Word,
    WordsOption,
    connect,
    view,
)
from speakrs_clients.losses import Refused, SessionGone, Unauthorized, Unreachable, Unspoken
from speakrs_clients.reducer import Reducer
from speakrs_server import messages
from speakrs_stream.errors import BadFormat, ConfigError
from tests.clients.stories import durable
from tests.fault_proxy import KINDS, Fault, FaultProxy, scripted
from tests.server.checker import check
from tests.server.rig import engine, rig, talk
from tests.server.test_serving import Process

pytestmark = pytest.mark.anyio
BLOCK = 1_600


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def samples() -> NDArray[np.int16]:
    return np.frombuffer(talk(), "<i2")


async def sent(
    stream: Stream, sound: NDArray[np.int16], pace: float = 0.0
) -> tuple[messages.SessionFinal, list[Event]]:
    """Send everything and read everything; the end, and all events."""
    events: list[Event] = []

    async def read() -> None:
        async for event in stream:
            events.append(event)  # noqa: PERF401 - one by one, as they come

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        for start in range(0, len(sound), BLOCK):
            await stream.send(sound[start : start + BLOCK])
            await anyio.sleep(pace)
        final = await stream.end()
    return final, events


def kept(events: Sequence[Event], final: messages.SessionFinal, sound: NDArray[np.int16]) -> Reducer:
    """All promises: the audio is the same, every message came once, and the turns keep T1 to T4."""
    assert final.sha256.audio == hashlib.sha256(sound.tobytes()).hexdigest()
    told = [event for event in events if not isinstance(event, ConnectionLost | ConnectionResumed)]
    assert [durable(e) for e in told if durable(e)] == list(range(1, final.seq + 1))
    check([messages.plain(event) for event in told if durable(event)])
    reducer = Reducer()
    for event in told:
        reducer.push(event)
    assert reducer.ended and not reducer.open
    return reducer


async def test_a_session_from_start_to_end(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, connect(found.address(), max_delay=2, speakers=SpeakerHint(max=4)) as stream:
        assert stream.connected and stream.session and stream.started is not None
        final, events = await sent(stream, samples())
        reducer = kept(events, final, samples())
        assert [type(events[0]).__name__, type(events[-1]).__name__] == ["SessionStarted", "SessionFinal"]
        assert not any(isinstance(event, messages.AudioAck | messages.Heartbeat) for event in events)
        assert final.rttm == engine().diarize(samples(), sample_rate=16_000, uri=stream.session).to_rttm()
        assert stream.acknowledged.durable == stream.sent == len(samples()) and stream.held_bytes == 0
        assert set(reducer.speakers) == {"S1", "S2"}
        assert await stream.receive() is None
        with pytest.raises(SessionGone, match="ended"):
            await stream.send(samples()[:10])


async def test_other_formats_gaps_and_wrong_sound(tmp_path: Path) -> None:
    sound = np.repeat(samples()[: 8 * 16_000].astype(np.float32) / 32_768, 2).reshape(-1, 2)
    audio = AudioFormat(encoding="pcm_f32le", channels=2)
    async with rig(tmp_path) as found, connect(found.address(), audio=audio, mode="file") as stream:
        with pytest.raises(BadFormat, match="2"):
            await stream.send(sound[:, 0])
        await stream.send(sound[:64_000])
        await stream.send(sound[96_000:], at=96_000)
        await stream.send(sound[:10], at=0)
        final = await stream.end()
        events = [event async for event in stream]
    heard = np.concatenate([sound[:64_000], sound[96_000:]]).astype("<f4")
    assert final.sha256.audio == hashlib.sha256(heard.tobytes()).hexdigest() and final.audio_ms == 8_000
    assert [event.code for event in events if isinstance(event, messages.Warn)] == ["audio_gap"]


async def test_a_flush_makes_what_was_sent_final_at_once(tmp_path: Path) -> None:
    sound, events, until = samples(), list[Event](), 0
    async with rig(tmp_path) as found, connect(found.address(), mode="file", max_delay=30) as stream:
        await stream.send(sound[: 7 * 16_000])
        stream.flush()
        with anyio.fail_after(60):
            while until < 7_000:
                event = await stream.receive()
                assert event is not None
                events.append(event)
                until = event.final_until_ms if isinstance(event, messages.WatermarkMoved) else until
        settled = [event for event in events if isinstance(event, messages.TurnFinal)]
        assert until == 7_000 and [turn.speaker for turn in settled] == ["S1", "S2"], "without it nothing would be yet"
        final, more = await sent(stream, sound[7 * 16_000 :])
        kept([*events, *more], final, sound)


async def test_words_come_back_with_their_speakers(tmp_path: Path) -> None:
    words = [Word(id=f"w{n}", start_ms=1_000 * n + 100, end_ms=1_000 * n + 400) for n in range(1, 19)]
    async with rig(tmp_path) as found:
        async with connect(found.address(), words=WordsOption(max_wait_ms=0), mode="file", max_delay=2) as stream:
            stream.send_words(words[:5])
            await stream.send(samples())
            stream.send_words(words[5:])
            await stream.end()
            reducer = Reducer()
            async for event in stream:
                assert not isinstance(event, ConnectionLost | ConnectionResumed)
                reducer.push(event)
    said = {name: word.speaker for name, word in reducer.words.items() if word.final}
    assert set(said) == {word.id for word in words}
    assert said["w2"] == said["w10"] == "S1" and said["w6"] == said["w13"] == "S2"


async def test_viewers_are_told_the_same(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, connect(found.address(), mode="file") as stream:
        async with view(found.address(""), stream.session) as viewer:
            final, events = await sent(stream, samples())
            seen = [event async for event in viewer]
        numbered = [messages.plain(event) for event in events if durable(event)]  # type: ignore[arg-type]
        assert [messages.plain(event) for event in seen if durable(event)] == numbered  # type: ignore[arg-type]
        assert viewer.final == final
        with pytest.raises(Refused, match="viewer"):
            viewer.rename("S1", "x")
        with pytest.raises(Refused, match="viewer"), anyio.fail_after(60):
            await viewer.send(samples())
        with pytest.raises(ConfigError):
            async with view(found.address(), "nonsense"):
                pass


async def test_a_session_is_shared_with_those_who_may_only_look(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("bob ingest bob-token-0123456789\n", encoding="utf-8")
    async with rig(tmp_path, tokens_file=str(tokens)) as found:
        async with connect(found.address(""), token="bob-token-0123456789", mode="file") as stream:
            shared = await stream.share()
            assert shared.token and shared.expires_s
            async with view(found.address(""), stream.session, token=shared.token) as viewer:
                final, events = await sent(stream, samples())
                seen = [event async for event in viewer]
            assert viewer.final == final and not any(isinstance(e, messages.SessionShared) for e in events + seen)
            async with view(found.address(""), stream.session, token="not-the-token-0123456") as stranger:
                with pytest.raises(Unauthorized):
                    await stranger.receive()


async def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    process = await anyio.to_thread.run_sync(Process, tmp_path / "x")
    try:
        async with connect(f"ws://127.0.0.1:{process.port}", max_delay=2) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(killer, process, stream)
            final, events = await sent(stream, samples(), 0.015)
    finally:
        process.kill()
    kept(events, final, samples())
    assert final.rttm == engine().diarize(samples(), sample_rate=16_000, uri=stream.session).to_rttm()
    assert stream.resumes >= 1
    assert len([event for event in events if isinstance(event, ConnectionResumed)]) == stream.resumes


async def killer(process: Process, stream: Stream) -> None:
    """SIGKILL in the middle of the sound, and once more when all of it is sent."""
    for share in (0.5, 1.0):
        while stream.sent < share * len(samples()):  # noqa: ASYNC110
            await anyio.sleep(0.02)
        process.kill()
        await anyio.to_thread.run_sync(process.start)


async def faults(folder: Path, count: int, seed: int, *, callers: int) -> str:
    """Streams through a proxy that breaks connections, until so many faults have happened; what was seen."""
    waits: list[float] = []
    sessions = resumes = 0
    chance = random.Random(seed)
    # a connection may end before its fault strikes, so there are always more; delayed ones do not break, so few of them
    more = chain.from_iterable(scripted(count, seed + n, most=30_000, seconds=0.6) for n in itertools.count())
    script = (fault for fault in more if fault.kind != "delay" or chance.random() < 0.2)
    async with rig(folder, max_sessions=64) as found, FaultProxy(found.port, script) as proxy:

        async def caller() -> None:
            nonlocal sessions, resumes
            while len(proxy.struck) < count:
                # a busy machine says 503 to new sessions: they wait
                async with connect(f"ws://127.0.0.1:{proxy.port}", max_delay=2, wait_s=3_600) as stream:
                    final, events = await sent(stream, samples(), 0.01)
                    kept(events, final, samples())
                    assert final.rttm == undisturbed.replace("SESSION", stream.session)
                    waits.extend(e.outage_s for e in events if isinstance(e, ConnectionResumed))
                    sessions += 1
                    resumes += stream.resumes

        async with connect(found.address(), max_delay=2) as stream:
            final, _ = await sent(stream, samples())
            undisturbed = str(final.rttm).replace(stream.session, "SESSION")
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(caller)
        struck = len(proxy.struck)
        assert {fault.kind for fault in proxy.struck} == set(KINDS) - {"none"}
    p50, p95 = np.percentile(waits, [50, 95])
    return (
        f"{struck} faults, {sessions} sessions, {resumes} resumes, 0 lost; "
        f"outage p50 {p50:.2f} s, p95 {p95:.2f} s, most {max(waits):.2f} s"
    )


@pytest.mark.timeout(240)
async def test_a_bad_network_loses_nothing(tmp_path: Path) -> None:
    sys.stdout.write(await faults(tmp_path, 21, 3, callers=4) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_five_hundred_faults_of_the_network(tmp_path: Path) -> None:
    sys.stdout.write(await faults(tmp_path, 500, 11, callers=4) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_ten_kills_of_a_server_with_four_streams(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    process = await anyio.to_thread.run_sync(Process, tmp_path / "x")
    chance = random.Random(7)
    done = sessions = 0
    outages: list[float] = []
    streams: dict[int, Stream] = {}

    async def caller(number: int) -> None:
        nonlocal sessions
        while done < 10:
            async with connect(f"ws://127.0.0.1:{process.port}", max_delay=2, wait_s=3_600) as stream:
                streams[number] = stream
                final, events = await sent(stream, samples(), 0.05)
                del streams[number]
            kept(events, final, samples())
            assert final.rttm == undisturbed.replace("SESSION", stream.session)
            outages.extend(event.outage_s for event in events if isinstance(event, ConnectionResumed))
            sessions += 1

    undisturbed = engine().diarize(samples(), sample_rate=16_000, uri="SESSION").to_rttm()
    try:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(caller, number)
            while done < 10:
                while not streams or not all(stream.connected for stream in streams.values()):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
                await anyio.sleep(chance.uniform(0.0, 2.0))
                process.kill()
                await anyio.to_thread.run_sync(process.start)
                done += 1
    finally:
        process.kill()
    p50, p95 = np.percentile(outages, [50, 95])
    told = f"outage with starting Python p50 {p50:.1f} s, p95 {p95:.1f} s"
    sys.stdout.write(f"{done} kills, {sessions} sessions, {len(outages)} resumes, 0 lost; {told}\n")


async def test_who_sends_faster_than_the_network_waits_and_memory_stays_small(tmp_path: Path) -> None:
    black_hole = Fault("black_hole", after=100_000, seconds=1.5)
    sound = samples()
    async with rig(tmp_path, max_unacked_ms=2_000) as found, FaultProxy(found.port, iter([black_hole])) as proxy:
        async with connect(f"ws://127.0.0.1:{proxy.port}", mode="file") as stream:
            most, began = 0, time.monotonic()
            for start in range(0, len(sound), BLOCK):
                await stream.send(sound[start : start + BLOCK])
                unsafe = stream._talk.audio.highest - stream._talk.audio.start
                most = max(most, stream.held_bytes - 2 * unsafe)
            waited = time.monotonic() - began
            final = await stream.end()
    assert final.sha256.audio == hashlib.sha256(sound.tobytes()).hexdigest()
    assert most <= 2 * 16_000 * (2 + 0.5), "two seconds beyond what is unacknowledged, and the piece that was in hand"
    assert stream.resumes == 1 and waited > 1.0


async def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann view ann-token-0123456789\nbob ingest bob-token-0123456789\n", encoding="utf-8")

    async def refused(url: str, kind: type[StreamFailed], words: str, token: str | None = None) -> None:
        with pytest.raises(kind, match=words):
            async with connect(url, token=token):
                pass

    async with rig(tmp_path, tokens_file=str(tokens)) as found:
        await refused(found.address(""), Unauthorized, "--token-file")
        await refused(found.address(""), Unauthorized, "not authorized", "not-the-token-0123456")
        await refused(found.address(""), Unauthorized, "does not allow", "ann-token-0123456789")
        await refused(found.address("/elsewhere"), Unspoken, "404", "bob-token-0123456789")
        async with connect(found.address(""), token="bob-token-0123456789") as stream:
            assert stream.session
        closed_port = found.port
    await refused(f"ws://127.0.0.1:{closed_port}", Unreachable, "cannot be reached")


async def test_a_server_that_is_still_to_come_can_be_waited_for(tmp_path: Path) -> None:
    async with FaultProxy(9) as placeholder:  # a port that is free
        port = placeholder.port
    opened: list[str] = []

    async def caller() -> None:
        async with connect(f"ws://127.0.0.1:{port}", wait_s=30) as stream:
            opened.append(stream.session)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await anyio.sleep(0.5)
        async with rig(tmp_path, port=port):
            with anyio.fail_after(30):
                while not opened:  # noqa: ASYNC110
                    await anyio.sleep(0.05)


async def test_leaving_early_leaves_nothing_behind(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        async with connect(found.address()) as stream:
            await stream.send(samples()[:32_000])
        with pytest.raises(Unreachable, match="left"):
            await stream.end()
        assert await stream.receive() is not None
        with anyio.fail_after(60):
            while found.server.connections:  # noqa: ASYNC110
                await anyio.sleep(0.02)
