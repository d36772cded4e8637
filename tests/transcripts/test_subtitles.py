from __future__ import annotations

import io

import pytest
import webvtt

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.errors import FormatError
from speakrs_stream.transcripts import parse_transcript
from speakrs_stream.words import assign_words


def rendered(text: str, talk: Diarization) -> str:
    transcript = parse_transcript(text)
    return transcript.render(assign_words(transcript.words, talk))


def test_srt_keeps_everything_and_gets_names(talk: Diarization) -> None:
    text = (
        "\ufeff1\r\n00:00:00,500 --> 00:00:01,500 X1:40\r\n<i>hello</i>\r\nthere\r\n\r\n"
        "2\r\n00:00:02,000 --> 00:00:03,000\r\ngood morning\r\n"
    )
    assert rendered(text, talk) == (
        "1\n00:00:00,500 --> 00:00:01,500 X1:40\nAnn: <i>hello</i>\nthere\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nBob: good morning\n"
    )


def test_srt_with_faults_that_people_make(talk: Diarization) -> None:
    text = (
        "0:00:00.5 --> 0:00:01.5\nhello\n2\n00:00:02,000 --> 00:00:03,000\ngood\n\nmore\n\n\n"
        "3\n00:00:03,000 --> 00:00:03,500\n"
    )
    words = parse_transcript(text, "srt").words
    assert [(w.text, w.span) for w in words] == [
        ("hello", Span(8_000, 24_000)),
        ("good", Span(32_000, 48_000)),
        ("", Span(48_000, 56_000)),
    ]
    assert rendered(text, talk) == text.replace("\nhello", "\nAnn: hello").replace("\ngood", "\nBob: good")


def test_vtt_keeps_everything_and_gets_voices(talk: Diarization) -> None:
    text = (
        "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE nothing\n\nfirst\n"
        "00:00.500 --> 00:01.500 align:start\n<v.loud Old Name>hello &amp; there</v>\nagain\n\nNOTE between\n\n"
        "00:00:02.000 --> 00:00:03.000\n<b>good</b>\n"
    )
    expected = (
        text.replace("<v.loud Old Name>hello &amp; there</v>\nagain", "<v Ann>hello &amp; there\nagain</v>")
        .replace("<b>good</b>", "<v Bob><b>good</b></v>")
    )  # fmt: skip
    assert rendered(text, talk) == expected
    assert [word.text for word in parse_transcript(text).words] == ["hello & there again", "good"]


def test_hostile_names_stay_names() -> None:
    label = 'A <script> & "B"\n-->'
    talk = Diarization.from_turns([Turn(Span(0, 64_000), label)])
    vtt = rendered("WEBVTT\n\n00:00.500 --> 00:01.500\nhello\n", talk)
    (caption,) = webvtt.from_buffer(io.StringIO(vtt), "vtt").captions
    assert caption.text == "hello" and "<script>" not in vtt
    srt = rendered("1\n00:00:00,500 --> 00:00:01,500\nhello\n", talk)
    assert srt.count("-->") == 1 and srt.count("\n") == 3


def test_other_texts_are_refused() -> None:
    with pytest.raises(FormatError, match="first line must be WEBVTT"):
        parse_transcript("00:00.500 --> 00:01.500\nhello\n", "vtt")
    with pytest.raises(FormatError, match="no subtitle found"):
        parse_transcript("hello", "srt")
    assert parse_transcript("WEBVTT\n").words == ()
