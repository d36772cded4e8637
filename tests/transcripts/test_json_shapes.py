from __future__ import annotations

import json
from typing import Any

import pytest

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import FormatError
from speakrs_stream.transcripts import parse_transcript
from speakrs_stream.transcripts.json_shapes import parse_json
from speakrs_stream.words import assign_words


def parsed(document: Any) -> list[tuple[str, float | None, float | None]]:
    words = parse_transcript(json.dumps(document)).words
    return [(w.text, w.span.start / 16_000 if w.span else None, w.span.end / 16_000 if w.span else None) for w in words]


def test_documents_behind_each_other() -> None:
    assert parse_json('{"a": 1}\n{"b": 2},\n\n[3]') == [{"a": 1}, {"b": 2}, [3]]
    assert parse_json(' {"a": 1} ') == {"a": 1}
    with pytest.raises(FormatError, match="line 3: not valid JSON"):
        parse_json('{"a": 1}\n\n{"b" 2}')
    with pytest.raises(FormatError, match="not usable"):
        parse_json("[" + "1" * 5_000 + "]")


def test_whisperx_leaves_some_words_without_times() -> None:
    words = [
        {"word": "in", "start": 1.0, "end": 1.2, "score": 0.9},
        {"word": "2014."},
        {"word": "yes", "start": 2.0, "end": 2.3, "score": 0.9},
    ]
    document = {
        "segments": [{"start": 1.0, "end": 2.3, "text": "in 2014. yes", "words": words}],
        "word_segments": words,
    }
    assert parsed(document) == [("in", 1.0, 1.2), ("2014.", 1.2, 2.0), ("yes", 2.0, 2.3)]


def test_segments_without_words_are_units() -> None:
    document = {
        "segments": [
            {"start": 0, "end": 2, "text": " one two", "words": []},
            {"start": 2, "end": 3, "text": " three", "words": [{"word": " three", "start": 2, "end": 3}]},
        ]
    }
    assert parsed(document) == [(" one two", 0, 2), (" three", 2, 3)]


def test_japanese_words_are_joined_without_blanks(talk: Diarization) -> None:
    words = [{"word": c, "start": i / 10, "end": (i + 1) / 10} for i, c in enumerate("こんにちは")]
    document = {"segments": [{"start": 0, "end": 0.5, "text": "こんにちは", "words": words}], "language": "ja"}
    transcript = parse_transcript(json.dumps(document))
    assert "Ann: こんにちは" in transcript.render(assign_words(transcript.words, talk), "txt")


def test_deepgram_prefers_punctuated_words_and_reads_all_channels() -> None:
    channel = {"alternatives": [{"words": [{"word": "hi", "punctuated_word": "Hi.", "start": 0, "end": 1}]}, {}]}
    assert parsed({"results": {"channels": [channel, channel]}}) == [("Hi.", 0, 1), ("Hi.", 0, 1)]
    assert parsed({"results": {"channels": [{"alternatives": []}, {"alternatives": [{"transcript": ""}]}]}}) == []


def test_plain_words_in_milliseconds_are_noticed_by_their_length() -> None:
    assert parsed([{"word": "a", "start": 500, "end": 800}]) == [("a", 0.5, 0.8)]
    assert parsed([{"word": "a", "start": 500, "end": 500.8}]) == [("a", 500, 500.8)]
    assert parsed([{"word": "a", "start": 5, "end": 5}]) == [("a", 5, 5)]
    assert parsed({"words": [{"text": "a", "start": 0.5, "end": 0.75}]}) == [("a", 0.5, 0.75)]


def test_whisper_cpp_times_that_run_backwards() -> None:
    document = {
        "transcription": [
            {"offsets": {"from": 76_670, "to": 8_110}, "text": "."},
            {"text": " The"},
        ]
    }
    assert parsed(document) == [(".", 76.67, pytest.approx(76.97)), (" The", None, None)]
