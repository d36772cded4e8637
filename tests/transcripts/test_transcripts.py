from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from speakrs_stream.diarization import Diarization
from speakrs_stream.errors import ConfigError, FormatError, OutputError
from speakrs_stream.transcripts import INPUTS, OUTPUTS, parse_transcript, read_transcript
from speakrs_stream.words import UNKNOWN, assign_words

WHOLE = {"whispercpp", "srt", "vtt"}

NAMES = [
    "whisper",
    "whisper-x",
    "whisper-openai",
    "whispercpp",
    "deepgram",
    "assemblyai",
    "vosk",
    "vosk-alternatives",
    "vosk-lines",
    "words",
    "words-object",
    "words-milliseconds",
    "ctm",
    "srt",
    "vtt",
]


def labelled(text: str, talk: Diarization, format: str = "same", **how: Any) -> str:
    transcript = parse_transcript(text)
    return transcript.render(assign_words(transcript.words, talk), format, **how)


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_recognised_and_gives_the_same_words(name: str, texts: dict[str, str]) -> None:
    transcript = parse_transcript(texts[name])
    assert transcript.format == name.split("-")[0]
    assert parse_transcript(texts[name], transcript.format) == transcript
    spans = [word.span for word in transcript.words]
    times = [(span.start / 16_000, span.end / 16_000) for span in spans if span]
    said = " ".join(word.text.strip() for word in transcript.words)
    assert said == "hello there good morning"
    assert times == (
        [(0.5, 1.5), (2, 3)] if transcript.format in WHOLE else [(0.5, 0.9), (1, 1.5), (2, 2.4), (2.5, 3)]
    )  # fmt: skip
    assert all(word.timed for word in transcript.words)


@pytest.mark.parametrize("name", NAMES)
def test_speakers_stand_in_the_same_shape(name: str, texts: dict[str, str], talk: Diarization) -> None:
    transcript = parse_transcript(texts[name])
    before = copy.deepcopy(transcript.document)
    text = transcript.render(assign_words(transcript.words, talk))
    assert transcript.document == before
    again = parse_transcript(text)
    assert again.format == transcript.format
    assert len(again.words) == len(transcript.words)
    if transcript.format == "srt":
        assert [word.text for word in again.words] == ["Ann: hello there", "Bob: good morning"]
        return
    assert again.words == transcript.words
    assert text.count("Ann") >= 1 and text.count("Bob") >= 1
    if transcript.format not in ("ctm", "vtt", "vosk"):
        document, plain = json.loads(text), json.loads(texts[name])
        assert without_speakers(document) == without_speakers(plain)


def without_speakers(value: Any) -> Any:
    """A document as it was before."""
    if isinstance(value, dict):
        return {key: without_speakers(item) for key, item in value.items() if key != "speaker"}
    return [without_speakers(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format", sorted(set(OUTPUTS) - {"same"}))
def test_every_format_can_become_every_other(name: str, format: str, texts: dict[str, str], talk: Diarization) -> None:
    text = labelled(texts[name], talk, format)
    assert text.index("hello") < text.index("good") < text.index("morning")
    assert "Ann" in text and "Bob" in text
    if format != "txt":
        assert parse_transcript(text).format == format


def test_where_the_speakers_stand(texts: dict[str, str], talk: Diarization) -> None:
    whisper = json.loads(labelled(texts["whisper"], talk))
    assert [s["speaker"] for s in whisper["segments"]] == ["Ann", "Bob"]
    assert [w["speaker"] for s in whisper["segments"] for w in s["words"]] == ["Ann", "Ann", "Bob", "Bob"]
    x = json.loads(labelled(texts["whisper-x"], talk))
    assert [w["speaker"] for w in x["word_segments"]] == ["Ann", "Ann", "Bob", "Bob"]
    openai = json.loads(labelled(texts["whisper-openai"], talk))
    assert [s["speaker"] for s in openai["segments"]] == ["Ann", "Bob"]
    assert [w["speaker"] for w in openai["words"]] == ["Ann", "Ann", "Bob", "Bob"]
    cpp = json.loads(labelled(texts["whispercpp"], talk))
    assert [s["speaker"] for s in cpp["transcription"]] == ["Ann", "Bob"]
    results = json.loads(labelled(texts["deepgram"], talk))["results"]
    assert [w["speaker"] for w in results["channels"][0]["alternatives"][0]["words"]] == ["Ann", "Ann", "Bob", "Bob"]
    assert [u["speaker"] for u in results["utterances"]] == ["Ann", "Bob"]
    assert results["utterances"][1]["words"][0]["speaker"] == "Bob"
    assert results["channels"][0]["alternatives"][0]["paragraphs"]["paragraphs"][0]["speaker"] == "Bob"
    assembly = json.loads(labelled(texts["assemblyai"], talk))
    assert [w["speaker"] for w in assembly["words"]] == ["Ann", "Ann", "Bob", "Bob"]
    assert assembly["utterances"][0]["speaker"] == "Bob"
    vosk = json.loads(labelled(texts["vosk"], talk))
    assert [r["speaker"] for r in vosk] == ["Ann", "Bob", UNKNOWN]
    assert vosk[1]["result"][0]["speaker"] == "Bob"


def test_names_replace_labels(texts: dict[str, str], talk: Diarization) -> None:
    for format in OUTPUTS:
        text = labelled(texts["whisper"], talk, format, names={"Ann": "Anna Müller"})
        assert "Anna" in text and "Bob" in text and "Ann " not in text


def test_files(texts: dict[str, str], talk: Diarization, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text(texts["whisper"], encoding="utf-8-sig")
    transcript = read_transcript(path)
    words = assign_words(transcript.words, talk)
    assert transcript.write(tmp_path / "out.vtt", words, "vtt").read_text() == transcript.render(words, "vtt")
    with pytest.raises(OutputError):
        transcript.write(tmp_path / "missing" / "out.vtt", words, "vtt")
    (tmp_path / "bad.json").write_text('{"segments": [\n{"start": 0,}]}')
    with pytest.raises(FormatError, match=r"bad\.json: line 2: not valid JSON") as caught:
        read_transcript(tmp_path / "bad.json")
    assert isinstance(caught.value.__cause__, FormatError)
    with pytest.raises(FormatError, match="No such file"):
        read_transcript(tmp_path / "nothing.json")


def test_misuse(texts: dict[str, str], talk: Diarization) -> None:
    transcript = parse_transcript(texts["srt"])
    words = assign_words(transcript.words, talk)
    with pytest.raises(ConfigError, match="1 labelled words are not the 2 words"):
        transcript.render(words[:1])
    with pytest.raises(ConfigError, match="cannot be written as 'docx'; choose one of same, srt"):
        transcript.render(words, "docx")
    with pytest.raises(ConfigError, match="choose one of deepgram, whisper"):
        parse_transcript(texts["srt"], "docx")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("{}", "JSON of no known transcript format"),
        ("[]", "JSON of no known transcript format"),
        ("{", "line 1: not valid JSON"),
        ("[" * 100_000, "not usable JSON"),
        ("Dear Sir or Madam", "unknown format"),
        ('{"segments": [5]}', r"segments\[0\] is no object"),
        ('{"segments": [{"start": 1}]}', r"segments\[0\] has no text"),
        (
            '{"segments": [{"start": 1, "text": "x", "words": [{"start": 1}]}]}',
            r"segments\[0\]\.words\[0\] has no text",
        ),
        ('{"results": {"channels": 5}}', r"results\.channels is no list"),
    ],
)
def test_what_is_no_transcript_says_so(text: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        parse_transcript(text)


@pytest.mark.parametrize("format", INPUTS)
@pytest.mark.parametrize("text", ["{}", "[]", "null", "5", '"x"', "[[]]", '{"words": null}', "\x00", "x", "WEBVTT"])
def test_a_forced_format_gives_words_or_a_format_error(format: str, text: str) -> None:
    try:
        assert parse_transcript(text, format).words is not None
    except FormatError as error:
        assert str(error)


def test_damaged_transcripts_are_read_or_refused_but_nothing_else(texts: dict[str, str], talk: Diarization) -> None:
    rng = random.Random(3)
    pieces = [
        '"',
        "{",
        "[",
        "]",
        "null",
        "-5",
        "1e400",
        ",",
        "\n",
        "-->",
        ":",
        "true",
        "[]",
        "NaN",
        "99999999999999999",
    ]
    for name, text in texts.items():
        for _ in range(150):
            at = rng.randrange(len(text))
            damaged = text[:at] + rng.choice(pieces) + text[at + rng.randrange(6) :]
            try:
                transcript = parse_transcript(damaged)
            except FormatError:
                continue
            words = assign_words(transcript.words, talk)
            for format in OUTPUTS:
                assert isinstance(transcript.render(words, format), str), name
