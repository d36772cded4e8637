"""Results: two passes, one message, and no voice print anywhere."""

from __future__ import annotations

import hashlib

import numpy as np

from speakrs_server import results
from speakrs_server.results import SUFFIXES
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.formats import FORMATS, render
from tests.server.test_board import STORY, told

FINAL = Diarization(
    "rec",
    5 * 16_000,
    (Turn(Span(0, 32_000), "SPEAKER_00"),),
    (Turn(Span(0, 32_000), "SPEAKER_00"),),
    (Speaker("SPEAKER_00", embedding=np.ones(4, np.float32)),),
)


def test_both_results_and_the_message() -> None:
    done = results.finish("rec", told(STORY), FINAL, "abc", 80_000)
    assert done.final.speakers == (Speaker("SPEAKER_00", "Ann"),)
    assert "embedding" not in done.final.to_json(embeddings=True) or "null" in done.final.to_json(embeddings=True)
    message = done.message
    assert message.live_to_final == {"S1": "SPEAKER_00"} and message.audio_ms == 5000
    assert message.rttm == render(done.final, "rttm")
    assert message.sha256.final_rttm == hashlib.sha256(message.rttm.encode()).hexdigest()
    assert message.sha256.live_rttm == hashlib.sha256(render(done.live, "rttm").encode()).hexdigest()
    assert message.sha256.audio == "abc"


def test_a_long_result_is_fetched() -> None:
    turns = tuple(Turn(Span(16_000 * n, 16_000 * n + 8000), "SPEAKER_00") for n in range(1000))
    final = Diarization("rec", 16_000_000, turns, turns, (Speaker("SPEAKER_00"),))
    assert results.finish("rec", told(STORY), final, "abc", 16_000_000).message.rttm is None


def test_every_format_can_be_asked_for_by_name_and_by_suffix() -> None:
    assert set(SUFFIXES.values()) == set(FORMATS)
    assert SUFFIXES["textgrid"] == "textgrid" and SUFFIXES["audacity.txt"] == "audacity" and SUFFIXES["txt"] == "txt"
