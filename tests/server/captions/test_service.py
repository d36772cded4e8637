"""Which session gets a recognizer."""

from __future__ import annotations

import anyio
import pytest

from speakrs_server.captions.service import Captions, unavailable
from speakrs_server.message_parts import WordsOption
from speakrs_server.settings import Settings

pytestmark = pytest.mark.anyio
OWN, NONE, OURS = WordsOption(), WordsOption(enabled=False), WordsOption(source="server", max_wait_ms=0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_session_that_does_not_say_gets_captions() -> None:
    async with anyio.create_task_group() as tasks:
        captions = Captions(Settings(captions="pocketsphinx"), tasks)
        assert captions.option(None) == (WordsOption(source="server"), None)
        assert captions.option(OURS) == (OURS, None)
        assert captions.option(OWN) == (OWN, None)
        assert captions.option(NONE) == (NONE, None)
        assert captions.lag_s == 0.0
        captions.drop("nobody")


def test_without_a_recognizer() -> None:
    assert unavailable(None) == (None, None)
    assert unavailable(OWN) == (OWN, None)
    words, note = unavailable(OURS)
    assert words is None and note is not None and note.code == "captions_unavailable"
