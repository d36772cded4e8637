"""What recognizers say while they listen, as `words.add` messages.

Deepgram, AssemblyAI, Vosk, Speechmatics, Azure, Google and AWS each have an `Adapter`, fed their messages as parsed
JSON. What a recognizer may still change keeps its batch and is sent with `final` false; ids of words follow from the
batch, so that sending something twice does no harm. Whisper and whole transcripts of any kind go through
`of_transcript`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speakrs_server.messages import Word, WordsAdd
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import ConfigError, FormatError
from speakrs_stream.transcripts import Transcript

MOST_WORDS, MOST_CHARACTERS = 200, 200
"""Of one message, and of one word."""

Message = Mapping[str, Any]
"""A message of a recognizer."""


@dataclass(frozen=True, slots=True)
class Said:
    """A word as a recognizer has it."""

    text: str
    """What it is."""
    start: float
    """Seconds since the recognizer's first sample."""
    end: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Result:
    """An utterance, or a part of one."""

    words: tuple[Said, ...]
    """In order."""
    final: bool
    """Whether the recognizer is done with it."""
    key: str | None = None
    """What it is known by until it is final; None where results simply follow each other."""


# -- one function for each: its messages as results; what is none of them gives nothing ------------------------------


def _objects(value: Any) -> list[Message]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def _first(value: Any) -> Message:
    found = _objects(value)
    return found[0] if found else {}


def _plain(
    words: Any, texts: Sequence[str], start: str = "start", end: str = "end", unit: float = 1.0
) -> tuple[Said, ...]:
    found = []
    for word in _objects(words):
        text = next((word[name] for name in texts if isinstance(word.get(name), str)), "")
        if text.strip():
            found.append(Said(text.strip(), float(word[start]) * unit, float(word[end]) * unit))
    return tuple(found)


def _deepgram(message: Message) -> Iterator[Result]:
    """Live `Results`; times count from the start of the stream."""
    if message.get("type") == "Results" and isinstance(message.get("channel"), Mapping):
        words = _plain(_first(message["channel"].get("alternatives")).get("words"), ("punctuated_word", "word"))
        channel = _numbers(message.get("channel_index"))
        yield Result(words, bool(message.get("is_final")), f"{channel}{round(float(message['start']) * 1000)}")


def _numbers(value: Any) -> str:
    """The first of a list such as `[1, 2]`, where it is not 0."""
    return f"{value[0]}-" if isinstance(value, Sequence) and value and value[0] else ""


def _assemblyai(message: Message) -> Iterator[Result]:
    """`Turn` of the streaming API, version 3."""
    if message.get("type") == "Turn":
        words = _plain(message.get("words"), ("text",), unit=0.001)
        yield Result(words, bool(message.get("end_of_turn")), str(message["turn_order"]))


def _vosk(message: Message) -> Iterator[Result]:
    """`partial_result` (with SetPartialWords) and `result` (with SetWords)."""
    if "result" in message:
        yield Result(_plain(message["result"], ("word",)), True)
    elif "partial_result" in message:
        yield Result(_plain(message["partial_result"], ("word",)), False)
    elif message.get("text") == "":
        yield Result((), True)


def _speechmatics(message: Message) -> Iterator[Result]:
    """`AddPartialTranscript` and `AddTranscript`; marks of punctuation belong to the word before."""
    if message.get("message") in ("AddTranscript", "AddPartialTranscript"):
        items = [
            (item.get("type") == "punctuation", _first(item.get("alternatives")).get("content", ""), item)
            for item in _objects(message.get("results"))
        ]
        words = _joined((mark, text, float(item["start_time"]), float(item["end_time"])) for mark, text, item in items)
        yield Result(words, message["message"] == "AddTranscript")


def _joined(items: Iterable[tuple[bool, str, float, float]]) -> tuple[Said, ...]:
    """Words with the marks behind them."""
    found: list[Said] = []
    for mark, text, start, end in items:
        if mark and found:
            found[-1] = Said(found[-1].text + text, found[-1].start, found[-1].end)
        elif not mark and text.strip():
            found.append(Said(text.strip(), start, end))
    return tuple(found)


def _azure(message: Message) -> Iterator[Result]:
    """Detailed results of the Speech SDK (`SpeechServiceResponse_JsonResult`), with word-level timestamps."""
    best = _first(message.get("NBest"))
    if "Offset" in message and "Words" in best:
        words = tuple(
            Said(str(word["Word"]), int(word["Offset"]) / 1e7, (int(word["Offset"]) + int(word["Duration"])) / 1e7)
            for word in _objects(best["Words"])
        )
        yield Result(words, message.get("RecognitionStatus") == "Success", str(int(message["Offset"]) // 10_000))


def _google(message: Message) -> Iterator[Result]:
    """Streaming responses of v1 and v2 as JSON, with word time offsets."""
    for result in _objects(message.get("results")):
        words = tuple(
            Said(
                str(word["word"]),
                _duration(word.get("startTime", word.get("startOffset"))),
                _duration(word.get("endTime", word.get("endOffset"))),
            )
            for word in _objects(_first(result.get("alternatives")).get("words"))
        )
        if words or result.get("isFinal"):
            yield Result(words, bool(result.get("isFinal")))


def _duration(value: Any) -> float:
    """`1.300s`, absent for 0, or an object with seconds and nanos."""
    if isinstance(value, Mapping):
        return float(value.get("seconds", 0)) + float(value.get("nanos", 0)) / 1e9
    return float(str(value or "0").removesuffix("s"))


def _aws(message: Message) -> Iterator[Result]:
    """`TranscriptEvent` of Amazon Transcribe."""
    transcript = message.get("Transcript", message)
    for result in _objects(transcript.get("Results") if isinstance(transcript, Mapping) else None):
        words = _joined(
            (
                item.get("Type") == "punctuation",
                str(item.get("Content", "")),
                float(item["StartTime"]),
                float(item["EndTime"]),
            )
            for item in _objects(_first(result.get("Alternatives")).get("Items"))
        )
        yield Result(words, not result.get("IsPartial"), str(result["ResultId"])[:40])


SERVICES: Mapping[str, Callable[[Message], Iterator[Result]]] = {
    "assemblyai": _assemblyai,
    "aws": _aws,
    "azure": _azure,
    "deepgram": _deepgram,
    "google": _google,
    "speechmatics": _speechmatics,
    "vosk": _vosk,
}
"""Name -> its messages as results."""


class Adapter:
    """One stream of a recognizer."""

    def __init__(self, service: str, *, offset_ms: int = 0, prefix: str = "") -> None:
        """service: a key of `SERVICES`; offset_ms: where in the session its first sample lies; prefix: of all ids, to
        tell several streams in one session apart. ConfigError for another service."""
        if service not in SERVICES:
            raise ConfigError(f"there is no adapter for {service!r}; there are {', '.join(SERVICES)}")
        self._service, self._offset, self._prefix = service, offset_ms, prefix
        self._number = 0

    def take(self, message: Message) -> list[WordsAdd]:
        """What a message of the recognizer says, to be sent; nothing for messages about other things.

        Raises FormatError where it lacks what such a message has.
        """
        try:
            results = list(SERVICES[self._service](message))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise FormatError(f"not a message of {self._service}: {type(error).__name__}") from error
        found: list[WordsAdd] = []
        for result in results:
            key = result.key if result.key is not None else str(self._number)
            found += as_messages(result, f"{self._prefix}{self._service[:2]}{key}", self._offset)
            self._number += result.final
        return found


def as_messages(result: Result, batch: str, offset_ms: int = 0) -> list[WordsAdd]:
    """A result as messages of one batch; one too long for a message goes on in batches of its own."""
    words = [
        Word(
            id=f"{batch}.{number}",
            start_ms=max(round(word.start * 1000), 0),
            end_ms=max(round(word.end * 1000), round(word.start * 1000), 0),
            text=word.text[:MOST_CHARACTERS],
        )
        for number, word in enumerate(result.words)
    ]
    return [
        WordsAdd(
            batch=batch if at == 0 else f"{batch}+{at}",
            words=tuple(words[at : at + MOST_WORDS]),
            offset_ms=offset_ms,
            final=result.final,
        )
        for at in range(0, max(len(words), 1), MOST_WORDS)
    ]


def of_transcript(transcript: Transcript, *, batch: str = "t", offset_ms: int = 0) -> list[WordsAdd]:
    """A whole transcript, or a part of one, of any format that `speakrs_stream.transcripts` reads (Whisper, WhisperX,
    faster-whisper's and OpenAI's JSON among them). Words without a time are left out.

    batch: begins the ids; another for each part
    """
    said = [
        Said(word.text.strip(), word.span.start / SAMPLE_RATE, word.span.end / SAMPLE_RATE)
        for word in transcript.words
        if word.span is not None and word.text.strip()
    ]
    return as_messages(Result(tuple(said), True), batch, offset_ms) if said else []
