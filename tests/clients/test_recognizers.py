"""Messages of recognizers as `words.add`: interim and final, at the right times, with ids that stay."""

from __future__ import annotations

from typing import Any

import pytest

from speakrs_clients.recognizers import MOST_WORDS, SERVICES, Adapter, Result, Said, as_messages, of_transcript
from speakrs_server.messages import MAX_MESSAGE, WordsAdd, encode
from speakrs_server.words import WordBook
from speakrs_stream.errors import ConfigError, FormatError
from speakrs_stream.transcripts import parse_transcript
from tests.server.test_board import STORY, told


def deepgram(final: bool, *words: str, start: float = 1.0) -> dict[str, Any]:
    items = [
        {"word": w.lower().strip(".,"), "punctuated_word": w, "start": start + n, "end": start + n + 0.5}
        for n, w in enumerate(words)
    ]
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "is_final": final,
        "channel": {"alternatives": [{"transcript": " ".join(words), "words": items}]},
    }


def speechmatics(kind: str, *words: tuple[str, str]) -> dict[str, Any]:
    items = [
        {"type": k, "start_time": 1 + n, "end_time": 1.5 + n, "alternatives": [{"content": text, "speaker": "UU"}]}
        for n, (k, text) in enumerate(words)
    ]
    return {"message": kind, "results": items}


def vosk(key: str, *words: str) -> dict[str, Any]:
    text = {"result": "text", "partial_result": "partial"}[key]
    items = [{"word": w, "start": 1.0 + n, "end": 1.5 + n, "conf": 1.0} for n, w in enumerate(words)]
    return {key: items, text: " ".join(words)}


def google(final: bool, *words: str) -> dict[str, Any]:
    items = [{"word": w, "startTime": f"{1 + n}.000s", "endTime": f"{1 + n}.500s"} for n, w in enumerate(words)]
    return {"results": [{"isFinal": final, "alternatives": [{"words": items}]}]}


def aws(partial: bool, *words: str) -> dict[str, Any]:
    items = [
        {"StartTime": 1.0 + n, "EndTime": 1.5 + n, "Type": "pronunciation", "Content": w.strip(".,")}
        for n, w in enumerate(words)
    ]
    if not partial:
        items.append({"StartTime": 9.0, "EndTime": 9.0, "Type": "punctuation", "Content": "."})
    result = {"ResultId": "r-1", "IsPartial": partial, "Alternatives": [{"Items": items}]}
    return {"Transcript": {"Results": [result]}}


def assemblyai(end: bool, *words: str) -> dict[str, Any]:
    items = [
        {"text": w, "start": 1000 * (1 + n), "end": 1000 * n + 1500, "word_is_final": end} for n, w in enumerate(words)
    ]
    return {"type": "Turn", "turn_order": 4, "end_of_turn": end, "words": items}


def azure(status: str | None, *words: str) -> dict[str, Any]:
    items = [{"Word": w, "Offset": 10_000_000 * (1 + n), "Duration": 5_000_000} for n, w in enumerate(words)]
    message = {"Offset": 10_000_000, "Duration": 1, "NBest": [{"Confidence": 0.9, "Words": items}]}
    return message | ({"RecognitionStatus": status} if status else {})


STREAMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "assemblyai": (assemblyai(False, "hollow"), assemblyai(True, "Hello", "there.")),
    "aws": (aws(True, "hollow"), aws(False, "Hello", "there")),
    "azure": (azure(None, "hollow"), azure("Success", "Hello", "there.")),
    "deepgram": (deepgram(False, "hollow"), deepgram(True, "Hello", "there.")),
    "google": (google(False, "hollow"), google(True, "Hello", "there.")),
    "speechmatics": (
        speechmatics("AddPartialTranscript", ("word", "hollow")),
        speechmatics("AddTranscript", ("word", "Hello"), ("word", "there"), ("punctuation", ".")),
    ),
    "vosk": (vosk("partial_result", "hollow"), vosk("result", "Hello", "there.")),
}


def facts(message: WordsAdd) -> list[tuple[str, int, int]]:
    return [(str(word.text), word.start_ms, word.end_ms) for word in message.words]


def test_every_service_is_tested() -> None:
    assert set(STREAMS) == set(SERVICES)


@pytest.mark.parametrize("service", STREAMS)
def test_interim_results_make_room_for_the_final_one(service: str) -> None:
    adapter = Adapter(service, offset_ms=250)
    (interim,), (final,) = (adapter.take(message) for message in STREAMS[service])
    assert (interim.final, final.final) == (False, True)
    assert interim.batch == final.batch and interim.offset_ms == final.offset_ms == 250
    assert interim.words[0].id == final.words[0].id
    assert facts(interim) == [("hollow", 1000, 1500)]
    assert facts(final) == [("Hello", 1000, 1500), ("there.", 2000, 2500)]
    book = WordBook(0)
    book.add(interim, 0.0)
    book.add(final, 0.0)
    settled = book.settle(told(STORY[:9]), ended=True)
    assert [word.text for message in settled for word in message.words] == ["Hello", "there."]


@pytest.mark.parametrize("service", ["google", "speechmatics", "vosk"])
def test_what_follows_is_another_batch(service: str) -> None:
    adapter = Adapter(service, prefix="left-")
    interim, final = STREAMS[service]
    batches = [message.batch for m in (interim, final, interim, final) for message in adapter.take(m)]
    assert batches[0] == batches[1] != batches[2] == batches[3]
    assert all(batch.startswith("left-") for batch in batches)


def test_messages_about_other_things_say_nothing() -> None:
    others: list[dict[str, Any]] = [
        {"type": "Metadata"},
        {"type": "Begin"},
        {"message": "AudioAdded"},
        {"partial": ""},
        {"results": []},
        {},
    ]
    for service in SERVICES:
        for message in others:
            assert Adapter(service).take(message) == []
    assert Adapter("vosk").take({"text": ""}) == [WordsAdd(batch="vo0", words=())]


def test_what_is_damaged_is_refused_without_its_words() -> None:
    broken = deepgram(True, "secret")
    del broken["channel"]["alternatives"][0]["words"][0]["start"]
    with pytest.raises(FormatError, match="not a message of deepgram") as error:
        Adapter("deepgram").take(broken)
    assert "secret" not in str(error.value)
    with pytest.raises(ConfigError, match="there is no adapter for 'siri'"):
        Adapter("siri")


def test_long_results_are_cut_and_fit() -> None:
    said = tuple(Said("\U0001f600" * 60, n, n + 1) for n in range(2 * MOST_WORDS + 1))
    parts = as_messages(Result(said, True), "b")
    assert [len(part.words) for part in parts] == [MOST_WORDS, MOST_WORDS, 1]
    assert len({part.batch for part in parts}) == 3
    assert max(len(encode(part)) for part in parts) <= MAX_MESSAGE
    assert len({word.id for part in parts for word in part.words}) == len(said)


def test_whole_transcripts() -> None:
    words = [{"word": " hi", "start": 0.5, "end": 0.75}, {"word": " you", "start": 1.0, "end": 1.25}]
    transcript = parse_transcript(
        '{"segments": [{"start": 0, "end": 2, "text": "hi you", "words": ' + str(words).replace("'", '"') + "}]}"
    )
    (message,) = of_transcript(transcript, batch="part1", offset_ms=100)
    assert facts(message) == [("hi", 500, 750), ("you", 1000, 1250)]
    assert (message.batch, message.offset_ms, message.final) == ("part1", 100, True)
    assert of_transcript(parse_transcript('{"segments": [{"start": 0, "end": 1, "text": " "}]}')) == []
