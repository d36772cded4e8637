from __future__ import annotations

import io

import webvtt

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.srt import plain, render


def test_cues(meeting: Diarization) -> None:
    assert render(meeting).startswith(
        "1\n00:00:00,000 --> 00:00:02,000\n[Alice]\n\n2\n00:00:01,500 --> 00:00:05,000\n[SPEAKER_01]\n\n"
    )


def test_another_program_reads_the_same(meeting: Diarization, hostile: Diarization) -> None:
    for diarization in (meeting, hostile):
        captions = webvtt.from_buffer(io.StringIO(render(diarization)), "srt").captions
        assert len(captions) == len(diarization.turns)
        for caption, turn in zip(captions, diarization.turns, strict=True):
            assert abs(caption.start_in_seconds - turn.start) < 1.001
            assert caption.text == f"[{plain(diarization.shown(turn.speaker))}]"


def test_nothing_in_a_label_is_a_tag_or_a_timing_line() -> None:
    assert plain("<b>a</b>\n{c} -->") == "‹b›a‹/b› ❴c❵ --›"
