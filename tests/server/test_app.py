"""Sessions from end to end over real sockets: told, resumed, recovered, finished, and never mixed up."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed

from speakrs_server import frames
from speakrs_server.worker import runner_of
from speakrs_stream.core.jobs import Job
from tests.server.checker import check, live_rttm
from tests.server.rig import Client, Rig, engine, rig, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def whole(found: Rig, data: bytes, **start: Any) -> tuple[Client, dict[str, Any]]:
    """A session from start to end over one connection."""
    async with found.connect() as socket:
        client = Client(socket)
        await client.start(**{"max_delay_ms": 2000, **start})
        await client.audio(data)
        await client.say("session.end", last_sample=len(data) // 2)
        final = await client.until("session.final")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    return client, final


async def test_a_session_keeps_every_promise(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        client, final = await whole(found, talk(), mode="file")
        session = client.heard[0]["session"]
        status, headers, live = await found.get(f"/v1/sessions/{session}/result.rttm?pass=live")
        assert (status, live.decode()) == (200, live_rttm(client.heard, session))
        assert "attachment" in headers["content-disposition"]
        assert hashlib.sha256(live).hexdigest() == final["sha256"]["live_rttm"]
        assert hashlib.sha256(talk()).hexdigest() == final["sha256"]["audio"]
        _, _, offline = await found.get(f"/v1/sessions/{session}/result.rttm")
        assert offline.decode() == final["rttm"]
        samples = np.frombuffer(talk(), "<i2")
        alone = engine().diarize(samples, sample_rate=16_000, uri=session)
        assert final["rttm"] == alone.to_rttm()
        assert final["live_to_final"] == {"S1": "SPEAKER_00", "S2": "SPEAKER_01"}
        for suffix in ("json", "srt", "vtt", "csv", "TextGrid", "html", "svg", "txt"):
            assert (await found.get(f"/v1/sessions/{session}/result.{suffix}"))[0] == 200
        info = json.loads((await found.get(f"/v1/sessions/{session}"))[2])
        assert info["state"] == "final"
        await anyio.sleep(0.1)
    left = {path.name for path in (tmp_path / "sessions" / session).iterdir()}
    assert not {name for name in left if name.startswith(("input", "snapshot"))}, "audio and voice prints are gone"


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "framing"),
    [
        ("pcm_f32le", 16_000, 1, "raw"),
        ("mulaw", 8_000, 1, "header16"),
        ("alaw", 16_000, 2, "raw"),
        ("pcm_s16le", 48_000, 8, "raw"),
    ],
)
async def test_every_kind_of_audio(tmp_path: Path, encoding: str, rate: int, channels: int, framing: str) -> None:
    from speakrs_stream.audio.pcm import decode, encode
    from speakrs_stream.audio.resample import Resampler

    sound = decode(talk("A 0.5-4"), "pcm_s16le")
    if rate != 16_000:
        resampler = Resampler(16_000, rate)
        sound = np.concatenate([resampler.push(sound), resampler.finish()])
    data = encode(np.repeat(sound, channels), encoding)
    width = len(data) // len(sound)
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        audio = {"encoding": encoding, "sample_rate": rate, "channels": channels, "framing": framing}
        await client.start(audio=audio)
        block = 60_000 // width // 100 * 100
        for at in range(0, len(sound), min(block, rate)):
            piece = data[width * at : width * (at + min(block, rate))]
            await socket.send(piece if framing == "raw" else frames.pack(piece, at))
        await client.say("session.end", last_sample=len(sound))
        final = await client.until("session.final")
    assert final["audio_ms"] == 4000
    assert len(final["speakers"]) == 1
    check(client.heard)


async def test_a_lost_connection_is_resumed_without_gap_or_repeat(tmp_path: Path) -> None:
    data, heard = talk(), []
    async with rig(tmp_path) as found:
        _, undisturbed = await whole(found, data)
        async with found.connect() as socket:
            client = Client(socket)
            started = await client.start(max_delay_ms=2000)
            token, session = started["resume"]["token"], started["session"]
            await client.audio(data[: 2 * 160_000])
            await client.until("turn.final")
            socket.transport.abort()
        heard += client.durable()
        for _ in range(3):
            async with found.connect() as socket:
                client = Client(socket)
                await client.say("session.resume", session=session, token=token, last_seq=heard[-1]["seq"])
                resumed = await client.until("session.resumed")
                token = resumed["resume"]["token"]
                await client.until("snapshot")
                at = resumed["next_sample"]
                await client.audio(data[: 2 * (at + 20_000)], at)
                await client.until("watermark")
                socket.transport.abort()
            heard += client.durable()
        async with found.connect() as socket:
            client = Client(socket)
            await client.say("session.resume", session=session, token=token, last_seq=heard[-1]["seq"])
            resumed = await client.until("session.resumed")
            await client.audio(data, max(resumed["next_sample"] - 5000, 0))
            await client.say("session.end")
            final = await client.until("session.final")
        heard += client.durable()
        check(heard)
        assert final["sha256"]["audio"] == hashlib.sha256(data).hexdigest() == undisturbed["sha256"]["audio"]
        assert final["rttm"].replace(session, "X") == undisturbed["rttm"].replace(undisturbed["rttm"].split()[1], "X")


async def test_who_comes_back_may_say_the_end_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        async with found.connect() as socket:
            client = Client(socket)
            started = await client.start(max_delay_ms=2000)
            at = await client.audio(talk())
            await client.say("session.end", last_sample=at)
            await client.until("session.finalizing")
            socket.transport.abort()
        async with found.connect() as socket:
            client.socket = socket
            last = client.durable()[-1]["seq"]
            token = started["resume"]["token"]
            await client.say("session.resume", session=started["session"], token=token, last_seq=last)
            assert (await client.until("session.resumed"))["next_sample"] == at
            await client.say("speaker.rename", speaker="S1", name="Ann")
            assert not (await client.until("error"))["fatal"]
            await client.say("session.end", last_sample=at)
            await client.until("session.final")
        check(client.heard)


async def test_a_newer_connection_fences_the_older_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as one:
        first = Client(one)
        started = await first.start()
        session, token = started["session"], started["resume"]["token"]
        async with found.connect() as two:
            second = Client(two)
            await second.say("session.resume", session=session, token=token)
            await second.until("session.resumed")
            await second.say("ping", id=4)
            assert await second.until("pong") == {"type": "pong", "id": 4}
            await second.audio(talk()[:3200])
            await second.until("audio.ack")
            with anyio.fail_after(60):
                with pytest.raises(ConnectionClosed) as closed:
                    while True:
                        await one.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4409
            async with found.connect() as three:
                await Client(three).say("session.resume", session=session, token=token)
                error = json.loads(await three.recv())
                assert (error["code"], error["retryable"]) == ("superseded", False)


async def test_who_never_got_an_answer_comes_back_with_its_old_token_after_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        async with found.connect() as socket:
            client = Client(socket)
            started = await client.start()
            await client.audio(talk()[:32_000])
            await client.until("audio.ack")
        asked = {"session": started["session"], "token": started["resume"]["token"]}
        for _ in range(2):  # both answers are lost on the way: the client has its first token still
            async with found.connect() as lost:
                await Client(lost).say("session.resume", **asked)
                await Client(lost).until("session.resumed")
    async with rig(tmp_path) as found:
        async with found.connect() as socket:
            client = Client(socket)
            await client.say("session.resume", **asked)
            resumed = await client.until("session.resumed")
            assert resumed["epoch"] == 4
            await client.audio(talk()[: 2 * resumed["next_sample"] + 32_000], resumed["next_sample"])
            await client.until("audio.ack")
        newest = resumed["resume"]["token"]
    async with rig(tmp_path) as found:
        for token, kind in ((asked["token"], "error"), (newest, "session.resumed")):
            async with found.connect() as socket:
                await Client(socket).say("session.resume", session=asked["session"], token=token)
                told = json.loads(await socket.recv())
                assert (told["type"], told.get("code", "superseded")) == (kind, "superseded")


async def test_viewers_see_the_same_and_change_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        session = (await client.start(max_delay_ms=2000))["session"]
        async with found.connect(f"/v1/sessions/{session}/events") as early:
            viewer = Client(early)
            await viewer.say("session.view")
            await client.audio(talk())
            await client.say("session.end")
            await client.until("session.final")
            await viewer.until("session.final")
            shown, told = viewer.durable(), client.durable()
            assert shown[0]["resume"]["token"] == "" != told[0]["resume"]["token"], "a viewer cannot take it over"
            assert shown[1:] == told[1:]
        with anyio.fail_after(60):
            while session in found.server.host.sessions:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        async with found.connect(f"/v1/sessions/{session}/events") as late:
            await late.send('{"type":"session.view"}')
            assert json.loads(await late.recv())["code"] == "unknown_session"  # it is over: results are fetched


async def test_viewers_cannot_speak(tmp_path: Path) -> None:
    async with rig(tmp_path, viewers_per_session=1) as found, found.connect() as socket:
        session = (await Client(socket).start())["session"]
        path = f"/v1/sessions/{session}/events"
        async with found.connect(path) as one:
            await Client(one).say("session.view")
            await Client(one).until("session.started")
            async with found.connect(path) as two:
                await two.send('{"type":"session.view"}')
                assert json.loads(await two.recv())["code"] == "too_fast"
            await one.send(frames.pack(b"\0\0", 0))
            with pytest.raises(AssertionError, match="forbidden"):
                await Client(one).until("session.final")


async def test_words_get_their_speakers(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(max_delay_ms=2000, words={"max_wait_ms": 0})
        words = [{"id": f"w{n}", "start_ms": n, "end_ms": n + 200, "text": f"at {n}"} for n in (1000, 5000, 9000)]
        await client.say("words.add", batch="b1", words=words[:1], final=False)
        assert (await client.until("words.labelled"))["status"] == "provisional"
        session = client.heard[0]["session"]
        async with found.connect(f"/v1/sessions/{session}/events") as socket_of_viewer:
            viewer = Client(socket_of_viewer)
            await viewer.say("session.view")
            late = await viewer.until("words.labelled")
        assert late["batch"] == "b1" and late["words"][0]["text"] == "at 1000", "who comes late sees what is shown"
        await client.say("words.add", batch="b1", words=words)
        await client.audio(talk())
        await client.say("speaker.same", speaker="S2", into="S1")
        await client.say("session.end")
        await client.until("session.final")
        labelled = [w for m in client.durable() if m["type"] == "words.labelled" for w in m["words"]]
        assert {word["id"]: word["speaker"] for word in labelled} == {"w1000": "S1", "w5000": "S2", "w9000": "S1"}
        merged = next(m for m in client.heard if m["type"] == "speaker.merged")
        changed = next(m for m in client.heard if m["type"] == "words.relabelled")
        assert changed["words"] == [{"id": "w5000", "speaker": "S1"}] and changed["cause"] == merged["seq"]
        for which, speaker in (("live", "S1"), ("final", "SPEAKER_00")):  # both do as the client said
            _, _, body = await found.get(f"/v1/sessions/{session}/result.json?pass={which}")
            assert json.loads(body)["words"][1] == {"start": 5.0, "end": 5.2, "speaker": speaker, "word": "at 5000"}
            _, _, body = await found.get(f"/v1/sessions/{session}/result.srt?pass={which}")
            assert f"{speaker}: at 5000" in body.decode()


async def test_words_that_are_not_wanted_are_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(words={"source": "server"})
        await client.say("words.add", batch="b", words=[])
        assert (await client.until("error"))["ref"] == "words.add"


async def test_commands_and_their_refusals(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(max_delay_ms=2000)
        await client.audio(talk())
        await client.until("turn.final")
        await client.say("speaker.rename", speaker="S1", name="Ann")
        assert (await client.until("speaker.named"))["name"] == "Ann"
        await client.say("speaker.rename", speaker="S9", name="Bob")
        refused = await client.until("error")
        assert (refused["ref"], refused["fatal"]) == ("speaker.rename", False)
        await client.say("words.add", batch="b", words=[])
        assert not (await client.until("error"))["fatal"]
        await client.say("hologram.start")
        assert not (await client.until("error"))["fatal"]
        await client.say("speakers.hint", min=3, max=2)
        assert (await client.until("error"))["ref"] == "speakers.hint"
        await client.say("session.end")
        final = await client.until("session.final")
        assert final["speakers"][0]["name"] == "Ann"
        _, _, body = await found.get(f"/v1/sessions/{client.heard[0]['session']}/result.json")
        assert b"Ann" in body


async def test_a_session_nobody_comes_back_to_is_finished(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        async with found.connect() as socket:
            client = Client(socket)
            session = (await client.start(resume_window_s=1))["session"]
            await client.audio(talk()[:160_000])
            await client.until("audio.ack")
        with anyio.fail_after(60):
            while (await found.get(f"/v1/sessions/{session}/result.rttm"))[0] != 200:  # noqa: ASYNC110
                await anyio.sleep(0.1)


async def test_another_process_on_the_same_folder_takes_over(tmp_path: Path) -> None:
    async with rig(tmp_path) as one, rig(tmp_path) as two:
        async with one.connect() as socket:
            client = Client(socket)
            started = await client.start(max_delay_ms=2000)
            await client.audio(talk()[: 2 * 160_000])
            await client.until("turn.final")
            heard = client.durable()
            async with two.connect(f"/v1/stream?resume={started['session']}") as other:
                again = Client(other)
                token = started["resume"]["token"]
                await again.say("session.resume", session=started["session"], token=token, last_seq=heard[-1]["seq"])
                resumed = await again.until("session.resumed")
                assert resumed["next_sample"] == 160_000 and resumed["epoch"] == 2
                await again.audio(talk(), 160_000)
                await again.say("session.end")
                final = await again.until("session.final")
                check([*heard, *again.durable()])
                assert final["sha256"]["audio"] == hashlib.sha256(talk()).hexdigest()


class Faulty:
    """Networks that fail on loud samples only: one session of many."""

    def __init__(self) -> None:
        self._real = runner_of(engine().networks)

    def __call__(self, jobs: list[Job]) -> NDArray[Any]:
        for job in jobs:
            if job.model == "segmentation" and np.abs(job.inputs["samples"]).max() > 0.9:
                raise RuntimeError("made up: out of memory")
        return self._real(jobs)


async def test_a_fault_of_one_session_ends_that_one_alone(tmp_path: Path) -> None:
    loud = (np.ones(160_000) * 32_000).astype("<i2").tobytes()
    async with rig(tmp_path, runner=Faulty()) as found, found.connect() as bad, found.connect() as good:
        sick, well = Client(bad), Client(good)
        await sick.start()
        await well.start(max_delay_ms=2000)
        await sick.audio(loud)
        await well.audio(talk())
        await well.say("session.end")
        final = await well.until("session.final")
        assert len(final["speakers"]) == 2
        check(well.heard)
        with anyio.fail_after(60), pytest.raises(AssertionError, match="engine_failed"):
            await sick.until("session.final")


async def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    nan = np.full(1600, np.nan, "<f4").tobytes()
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(audio={"encoding": "pcm_f32le"})
        for at in range(0, 176_000, 1600):
            await socket.send(frames.pack(nan, at))
        with pytest.raises(AssertionError, match="bad_audio"):
            await client.until("session.final")


async def test_a_machine_with_enough_to_do_admits_nobody_unless_told_to(tmp_path: Path) -> None:
    for limit, status in ((0.5, 503), (0, 101)):
        async with rig(tmp_path / str(limit), load_limit=limit) as found:
            figures = found.server.host.worker.figures
            figures.audio_s, figures.busy_s = 100.0, 60.0
            if status == 101:
                async with found.connect() as socket:
                    await Client(socket).start()
            else:
                assert (await found.get("/v1/stream", Upgrade="websocket", Connection="Upgrade"))[0] == status


async def test_admission_says_when_to_come_back(tmp_path: Path) -> None:
    async with rig(tmp_path, max_sessions=1) as found, found.connect() as socket:
        session = (await Client(socket).start())["session"]
        status, headers, _ = await found.get("/v1/stream", Upgrade="websocket", Connection="Upgrade")
        assert (status, headers["retry-after"]) == (503, "10")
        assert (await found.get("/readyz"))[0] == 503
        assert (await found.get("/healthz"))[0] == 200
        async with found.connect(f"/v1/stream?resume={session}") as again:
            await Client(again).say("session.start")
            error = json.loads(await again.recv())
            assert (error["code"], error["retryable"], error["retry_after_ms"]) == ("full", True, 10_000)
            with pytest.raises(ConnectionClosed):
                await again.recv()
            assert again.close_code == 4503


async def test_results_are_kept_for_their_time(tmp_path: Path) -> None:
    async with rig(tmp_path) as found:
        client, _ = await whole(found, talk("A 0-3"))
        session = client.heard[0]["session"]
        await anyio.sleep(0.1)
        assert found.server.host.store.expire(time.time() - 60) == []
        assert found.server.host.store.expire(time.time() + 60) == [session]
        assert (await found.get(f"/v1/sessions/{session}/result.rttm"))[0] == 404


async def test_many_sessions_at_once(tmp_path: Path) -> None:
    data = talk("A 0.5-4, B 4.5-6")
    finals: list[dict[str, Any]] = []

    async def one(found: Rig) -> None:
        client, final = await whole(found, data)
        check(client.heard)
        finals.append(final)

    async with rig(tmp_path) as found:
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(one, found)
    assert len({final["rttm"].replace(final["rttm"].split()[1], "X") for final in finals}) == 1
    assert len(finals) == 12
