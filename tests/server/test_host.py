"""Sessions of one process: recovered at the start whatever lies on the disk, and taken over by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.rig import Client, rig, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_damaged_sessions_do_not_keep_it_from_starting(tmp_path: Path) -> None:
    async with rig(tmp_path) as found, found.connect() as socket:
        client = Client(socket)
        session = (await client.start(max_delay_ms=2000))["session"]
        await client.audio(talk()[:64_000])
        await client.until("watermark")
    for name, text in (("A" * 26, "{"), ("B" * 26, ""), ("C" * 26, None)):
        folder = tmp_path / "sessions" / name
        folder.mkdir()
        if text is not None:
            (folder / "session.json").write_text(text, encoding="utf-8")
    async with rig(tmp_path) as found:
        assert list(found.server.host.sessions) == [session]
        await found.server.host.give_up(session)
        assert not found.server.host.sessions and len(found.server.host.registry) == 0
