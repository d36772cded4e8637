"""What `session.start` may ask for: every option changes what is told, and all of it survives a restart."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from speakrs_stream.audio.pcm import encode
from speakrs_stream.inference.fake import script, speak
from speakrs_stream.voices import VoiceStore
from tests.server.checker import check, live_rttm
from tests.server.rig import Client, Rig, engine, rig, talk

pytestmark = pytest.mark.anyio
LEFT, RIGHT = "A 0.5-4, B 8-12, A 13-19", "C 3-7, D 9-12, C 12.5-19"
TOGETHER = "A 0.5-5, B 3-8, A 7-12, B 10-15"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def stereo() -> bytes:
    left, right = speak(script(LEFT)), speak(script(RIGHT))
    length = min(len(left), len(right))
    return encode(np.stack([left[:length], right[:length]], axis=1).reshape(-1), "pcm_s16le")


async def told(found: Rig, data: bytes, width: int = 2, cut: int = 0, **start: Any) -> tuple[list[dict[str, Any]], str]:
    """All messages of a session and its name. cut: sample at which the connection is lost."""
    heard: list[dict[str, Any]] = []
    async with found.connect() as socket:
        client = Client(socket)
        started = await client.start(**{"max_delay_ms": 2000, "mode": "file", **start})
        if cut:
            await send(client, data, width, 0, cut)
            await client.until("watermark")
            socket.transport.abort()
        else:
            await send(client, data, width, 0, len(data) // width)
            await client.say("session.end")
            await client.until("session.final", 60)
        heard += client.heard
    if cut:
        async with found.connect() as socket:
            client = Client(socket)
            last = max(message.get("seq", 0) for message in heard)
            token = started["resume"]["token"]
            await client.say("session.resume", session=started["session"], token=token, last_seq=last)
            at = (await client.until("session.resumed"))["next_sample"]
            await send(client, data, width, at, len(data) // width)
            await client.say("session.end")
            await client.until("session.final", 60)
            heard += client.heard
    return heard, str(started["session"])


async def send(client: Client, data: bytes, width: int, start: int, end: int) -> None:
    from speakrs_server import frames

    for at in range(start, end, 1600):
        piece = data[width * at : width * min(at + 1600, end)]
        await client.socket.send(frames.pack(piece, at))


def finals(heard: list[dict[str, Any]]) -> list[tuple[int, int, str]]:
    return [(m["start_ms"], m["end_ms"], m["speaker"]) for m in heard if m["type"] == "turn.final"]


async def test_channels_are_heard_apart(tmp_path: Path) -> None:
    audio = {"channels": 2, "channel_mode": "separate"}
    async with rig(tmp_path, snapshot_interval_s=2) as found:
        heard, session = await told(found, stereo(), 4, audio=audio)
        check(heard)
        channels = {m["speaker"]: m["channel"] for m in heard if m["type"] == "speaker.created"}
        assert channels == {"S1": 1, "S3": 1, "S2": 2, "S4": 2}
        assert all(m["channel"] == channels[m["speaker"]] for m in heard if m["type"] == "turn.final")
        for channel, text in ((1, LEFT), (2, RIGHT)):
            own = [turn for turn in finals(heard) if channels[turn[2]] == channel]
            assert len(own) >= len(script(text))
        live = (await found.get(f"/v1/sessions/{session}/result.rttm?pass=live"))[2].decode()
        assert live == live_rttm(heard, session)
        assert {(line.split()[2], line.split()[7]) for line in live.splitlines()} == {
            ("1", "S1"),
            ("1", "S3"),
            ("2", "S2"),
            ("2", "S4"),
        }
        final = (await found.get(f"/v1/sessions/{session}/result.rttm"))[2].decode()
        assert {(line.split()[2], line.split()[7]) for line in final.splitlines()} == {
            (str(channel), f"CH{channel}_SPEAKER_0{number}") for channel in (1, 2) for number in (0, 1)
        }
        assert heard[-1]["live_to_final"]["S2"] == "CH2_SPEAKER_00"
        again, other = await told(found, stereo(), 4, cut=150_000, audio=audio)
        assert finals(again) == finals(heard)
        assert again[-1]["rttm"].replace(other, session) == heard[-1]["rttm"]


async def test_final_speakers_stay_where_that_was_asked(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        session = (await client.start(max_delay_ms=2000, mode="file", revisions="none"))["session"]
        at = await client.audio(talk()[: 2 * 13 * 16_000])
        await client.until("turn.final")
        await client.say("speaker.same", speaker="S2", into="S1")
        await client.audio(talk(), at)
        await client.say("session.end")
        await client.until("session.final", 60)
        kinds = {message["type"] for message in client.heard}
        assert "speaker.merged" not in kinds and "words.relabelled" not in kinds
        speakers = [turn[2] for turn in finals(client.heard)]
        assert "S2" in speakers and speakers[-1] == "S1", "what was final stays, what comes later is one"
        live = (await found.get(f"/v1/sessions/{session}/result.rttm?pass=live"))[2].decode()
        assert live == live_rttm(client.heard, session)


async def test_one_speaker_at_a_time(tmp_path: Path) -> None:
    data = talk(TOGETHER)
    async with rig(tmp_path) as found:
        both, _ = await told(found, data)
        alone, session = await told(found, data, turns="exclusive")
        overlaps = [b[0] < a[1] for a, b in pairwise(sorted(finals(both)))]
        assert any(overlaps)
        assert not any(b[0] < a[1] for a, b in pairwise(sorted(finals(alone))))
        final = json.loads((await found.get(f"/v1/sessions/{session}/result.json"))[2])
        assert final["turns"] == final["exclusive"] and final["turns"]


async def test_enrolled_voices_are_recognised(tmp_path: Path) -> None:
    voices = VoiceStore(tmp_path / "voices")
    voices.remember("ann", engine().voice(speak(script("A 0-12")), sample_rate=16_000), engine().bundle)
    known: dict[str, Any] = {"speakers": {"known": [{"enrolment": "ann", "name": "Dr Li"}]}}
    async with rig(tmp_path / "data", voices_dir=str(tmp_path / "voices"), snapshot_interval_s=2) as found:
        heard, session = await told(found, talk(), cut=150_000, **known)
        check(heard)
        identified = [m for m in heard if m["type"] == "speaker.identified"]
        assert [(m["speaker"], m["name"], m["enrolment"]) for m in identified] == [("S1", "Dr Li", "ann")]
        names = [m for m in heard if m["type"] == "speaker.named"]
        assert [(m["speaker"], m["name"]) for m in names] == [("S1", "Dr Li")]
        assert [s.get("name") for s in heard[-1]["speakers"]] == ["Dr Li", None]
        with anyio.fail_after(60):
            while (tmp_path / "data" / "sessions" / session / "voices.bin").exists():  # noqa: ASYNC110 - it is about files
                await anyio.sleep(0.02)
        for asked, why in (({"enrolment": "eve"}, "no voice is enrolled"), ({"name": "Ann"}, "enrolment")):
            async with found.connect() as socket:
                await Client(socket).say("session.start", speakers={"known": [asked]})
                error = json.loads(await socket.recv())
                assert (error["code"], error["fatal"]) == ("bad_message", True) and why in error["message"]


async def test_flush_makes_everything_final_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(max_delay_ms=30_000, mode="file")
        at = await client.audio(talk()[: 2 * 7 * 16_000])
        await client.say("flush")
        marks: list[dict[str, Any]] = []
        while not marks or marks[-1]["final_until_ms"] < 7_000:
            marks.append(await client.until("watermark"))
        assert marks[-1]["final_until_ms"] == marks[-1]["processed_until_ms"] == 7_000
        assert [m["speaker"] for m in client.heard if m["type"] == "turn.final"] == ["S1", "S2"]
        await client.audio(talk(), at)
        await client.say("session.end")
        await client.until("session.final", 60)
        check(client.heard)


@pytest.mark.parametrize(
    "options",
    [
        {"audio": {"channel_mode": "both"}},
        {"revisions": "full"},
        {"turns": "some"},
        {"speakers": {"known": [{"enrolment": ""}]}},
        {"speakers": {"known": [{"enrolment": "x"}] * 101}},
    ],
    ids=str,
)
async def test_what_is_no_option_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        await Client(socket).say("session.start", **options)
        assert json.loads(await socket.recv())["code"] == "bad_message"
