"""Captions of real sessions by a made-up recognizer: every word once, with its speaker, whatever is killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from speakrs_server import frames
from speakrs_server.journal import read_messages
from speakrs_server.messages import encode
from tests.server.rig import Client, Rig, rig, talk

pytestmark = pytest.mark.anyio
ENGINE = "tests.server.captions.voices:load"
TURNS = 5


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def finals(messages: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """Settled words: id, start, speaker; each may come once."""
    words = [w for m in messages if m["type"] == "words.labelled" and m["status"] == "final" for w in m["words"]]
    assert len({word["id"] for word in words}) == len(words), "a word is settled once"
    return sorted(((word["id"], word["start_ms"], word["speaker"]) for word in words), key=lambda word: word[1])


async def told(found: Rig, session: str) -> list[dict[str, Any]]:
    """All durable messages of a session, from its journal."""
    folder = found.server.host.store.folder(session)
    assert folder is not None
    return [json.loads(encode(message)) for message in read_messages(folder)]


async def whole(found: Rig, **start: Any) -> Client:
    async with found.connect() as socket:
        client = Client(socket)
        await client.start(max_delay_ms=2000, **start)
        await client.audio(talk())
        await client.say("session.end")
        await client.until("session.final", patience=60)
    return client


async def test_words_come_with_their_speakers(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE) as found:
        async with found.connect() as socket:
            client = Client(socket)
            started = await client.start(max_delay_ms=2000)
            assert started["captions"] == ENGINE
            session = started["session"]
            async with found.connect(f"/v1/sessions/{session}/events") as eyes:
                viewer = Client(eyes)
                await viewer.say("session.view")
                await client.audio(talk()[: 2 * 40_000])
                shown = await viewer.until("words.labelled")
                assert shown["status"] == "provisional" and shown["batch"] == "u0" and "seq" not in shown
                await client.audio(talk(), 40_000)
                await client.say("session.end")
                await client.until("session.final", patience=60)
                await viewer.until("session.final")
        words = finals(client.heard)
        assert words == [
            ("u0.0", 500, "S1"),
            ("u1.0", 4500, "S2"),
            ("u2.0", 8500, "S1"),
            ("u3.0", 12500, "S2"),
            ("u4.0", 15500, "S1"),
        ]
        assert finals(viewer.heard) == words
        _, _, srt = await found.get(f"/v1/sessions/{session}/result.srt?pass=live")
        assert "S2: word at 450" in srt.decode()
        _, _, body = await found.get(f"/v1/sessions/{session}/result.json")
        assert [w["start"] for w in json.loads(body)["words"]] == [start / 1000 for _, start, _ in words]


async def test_who_wants_no_captions_gets_none(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE, captions_sessions=1) as found:
        for words in ({"enabled": False}, {"source": "client"}):
            client = await whole(found, words=words)
            assert "captions" not in client.heard[0]
            assert not [m for m in client.heard if m["type"] == "words.labelled"]
        async with found.connect() as one, found.connect() as two:
            await Client(one).start()
            late = Client(two)
            assert "captions" not in await late.start()
            assert (await late.until("warning"))["code"] == "captions_full"
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        await client.start(words={"source": "server"})
        assert (await client.until("warning"))["code"] == "captions_unavailable"


async def test_a_crashing_recognizer_starts_again_and_no_word_is_lost(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    async with rig(tmp_path / "data", captions=ENGINE, captions_model=f"crash{marker}") as found:
        client = await whole(found)
    assert not marker.exists()
    assert "captions_restart" in {m["code"] for m in client.heard if m["type"] == "warning"}
    assert [name for name, *_ in finals(client.heard)] == [f"u{n}.0" for n in range(TURNS)]


async def test_a_recognizer_that_always_fails_is_given_up(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE, captions_model="raise") as found:
        client = await whole(found)
    warnings = [m for m in client.heard if m["type"] == "warning"]
    assert warnings[-1]["code"] == "captions_failed" and "secret" not in json.dumps(client.heard)
    assert finals(client.heard) == []


async def test_a_slow_recognizer_leaves_sound_out_and_holds_nobody_up(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE, captions_model="slow2", captions_max_lag_s=6.0) as found:
        client = await whole(found)
    codes = [m["code"] for m in client.heard if m["type"] == "warning"]
    assert "captions_gap" in codes
    assert 1 <= len(finals(client.heard)) < TURNS
    acks = [m for m in client.heard if m["type"] == "audio.ack"]
    assert acks[-1]["durable"] == len(talk()) // 2


async def test_the_end_waits_only_so_long(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE, captions_model="slow4", captions_max_lag_s=3.0) as found:
        async with found.connect() as socket:
            client = Client(socket)
            await client.start(max_delay_ms=2000)
            await client.audio(talk()[: 2 * 44_000])
            await client.say("session.end")
            await client.until("session.final", patience=20)
    assert [m["code"] for m in client.heard if m["type"] == "warning"][-1] == "captions_gap"


async def test_a_file_waits_for_all_its_words(tmp_path: Path) -> None:
    async with rig(tmp_path, captions=ENGINE, captions_model="slow0.2", captions_max_lag_s=2.0) as found:
        client = await whole(found, mode="file")
    assert len(finals(client.heard)) == TURNS


async def test_from_any_image_of_the_disk_every_word_comes_once(tmp_path: Path) -> None:
    """A copy of the folder is what a killed process, or a power cut, leaves behind."""
    images: list[Path] = []
    async with rig(tmp_path / "live", captions=ENGINE) as found, found.connect() as socket:
        client = Client(socket)
        started = await client.start(max_delay_ms=2000)
        session, at = started["session"], 0
        for end in (70_000, 130_000, 290_000):
            while at < end:
                await socket.send(frames.pack(talk()[2 * at : 2 * (at + 2_000)], at))
                at += 2_000
                await anyio.sleep(0.01)
            image = tmp_path / f"image{end}"
            await anyio.to_thread.run_sync(shutil.copytree, tmp_path / "live", image)
            images.append(image)
        await client.audio(talk(), at)
        await client.say("session.end")
        await client.until("session.final", patience=60)
    expected = finals(client.heard)
    assert len(expected) == TURNS
    for image in images:
        async with rig(image, captions=ENGINE) as found, found.connect() as socket:
            resumed = Client(socket)
            await resumed.say("session.resume", session=session, token=started["resume"]["token"], last_seq=0)
            position = (await resumed.until("session.resumed"))["next_sample"]
            await resumed.audio(talk(), position)
            await resumed.say("session.end")
            await resumed.until("session.final", patience=60)
            assert finals(await told(found, session)) == expected
