"""A real process with recognizers: spoken to, killed, started again."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from speakrs_server.captions import wire
from speakrs_server.captions.engines import Hypothesis, Options
from speakrs_server.captions.process import Gone, RecognizerProcess
from speakrs_server.captions.wire import Packet
from speakrs_stream.errors import ConfigError

pytestmark = pytest.mark.anyio
ENGINE = "tests.server.captions.voices:load"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def spoken(seconds: float) -> bytes:
    return np.full(int(16_000 * seconds), 3000, "<i2").tobytes()


async def test_from_sound_to_words_and_after_a_crash(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    async with anyio.create_task_group() as tasks:
        process = RecognizerProcess(ENGINE, Options(f"crash{marker}"), tasks)
        said: list[Hypothesis] = []
        with anyio.fail_after(60):
            stream = await process.open(said.append)
            await process.send(Packet(wire.AUDIO, stream.number, spoken(1)))
            while stream.done < 16_000:
                await stream.news(30)
            await process.send(Packet(wire.FINISH, stream.number))
            while not stream.finished:
                await stream.news(30)
            assert [h.words[0].text for h in said if h.final] == ["word at 0"] and process.starts == 1
            stream = await process.open(said.append)
            await process.send(Packet(wire.AUDIO, stream.number, spoken(6)))
            with pytest.raises(Gone, match="process ended"):
                while True:
                    await stream.news(30)
            again = await process.open(said.append)
            assert process.starts == 2 and not await again.news(0.01)
            await process.close(again)
            assert not process.streams
        tasks.cancel_scope.cancel()


async def test_an_engine_that_cannot_be_loaded() -> None:
    async with anyio.create_task_group() as tasks:
        process = RecognizerProcess(ENGINE, Options("refuse"), tasks)
        with anyio.fail_after(60), pytest.raises(ConfigError, match="captions: this model is refused; take another"):
            await process.start()
        with pytest.raises(Gone):
            await process.send(Packet(wire.OPEN, 1))
        tasks.cancel_scope.cancel()
