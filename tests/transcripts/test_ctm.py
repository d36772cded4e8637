from __future__ import annotations

import pytest

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import FormatError
from speakrs_stream.transcripts import parse_transcript
from speakrs_stream.words import assign_words


def test_the_speaker_is_the_eighth_field(talk: Diarization) -> None:
    text = (
        ";; made by hand\n"
        "talk A 0.50 0.40 hello\n"
        "\n"
        "talk A 1.00 0.50 there 0.9\r\n"
        "talk A 2.00 0.40 good 0.8 lex\n"
        "talk A 2.50 .5 morning 0.8 fp old rest\n"
    )
    transcript = parse_transcript(text)
    words = assign_words(transcript.words, talk.rename({"Bob": "Bob B."}))
    assert transcript.render(words) == (
        ";; made by hand\n"
        "talk A 0.50 0.40 hello NA lex Ann\n"
        "\n"
        "talk A 1.00 0.50 there 0.9 lex Ann\n"
        "talk A 2.00 0.40 good 0.8 lex Bob_B.\n"
        "talk A 2.50 .5 morning 0.8 fp Bob_B. rest\n"
    )


def test_recordings_and_channels_are_groups() -> None:
    words = parse_transcript("x 1 0 1 a\nx 2 0 1 b\nx 1 1 1 c\ny 1 0 1 d\n").words
    assert [(word.text, word.group) for word in words] == [("a", 0), ("c", 0), ("b", 1), ("d", 2)]


def test_groups_keep_their_speakers_when_lines_are_mixed(talk: Diarization) -> None:
    text = "x 1 0.5 0.1 a\nx 2 2.5 0.1 b\nx 1 2.6 0.1 c\n"
    transcript = parse_transcript(text)
    rendered = transcript.render(assign_words(transcript.words, talk)).splitlines()
    assert [line.split()[7] for line in rendered] == ["Ann", "Bob", "Bob"]


@pytest.mark.parametrize("line", ["x 1 zero 1 word", "x 1 0 nan word", "x 1 0 1", "x 1 -1 1 word", "x 1 0x1 1 word"])
def test_errors_name_the_line(line: str) -> None:
    with pytest.raises(FormatError, match="line 2: not CTM"):
        parse_transcript(f"x 1 0 1 a\n{line}\n", "ctm")
