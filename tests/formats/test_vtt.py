from __future__ import annotations

import html
import io

import webvtt

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.text import one_line
from speakrs_stream.formats.vtt import render


def test_cues_with_voice_tags(meeting: Diarization) -> None:
    assert render(meeting).startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n<v Alice>[Alice]</v>\n\n"
        "00:00:01.500 --> 00:00:05.000\n<v SPEAKER_01>[SPEAKER_01]</v>\n\n"
    )


def test_another_program_reads_the_same(meeting: Diarization, hostile: Diarization) -> None:
    for diarization in (meeting, hostile):
        captions = webvtt.from_buffer(io.StringIO(render(diarization)), "vtt").captions
        assert len(captions) == len(diarization.turns)
        for caption, turn in zip(captions, diarization.turns, strict=True):
            name = one_line(diarization.shown(turn.speaker))
            assert html.unescape(caption.voice or "") == name
            assert html.unescape(caption.text) == f"[{name}]"
            assert caption.end_in_seconds >= caption.start_in_seconds


def test_a_result_without_turns_is_a_valid_file(nobody: Diarization) -> None:
    assert render(nobody) == "WEBVTT\n\n"
    assert not webvtt.from_buffer(io.StringIO(render(nobody)), "vtt").captions
