"""Transcripts in JSON: Whisper, WhisperX, whisper.cpp, Deepgram, AssemblyAI, Vosk, and plain lists of words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from speakrs_stream.errors import FormatError
from speakrs_stream.transcripts.shape import Group, Holder, Layout, Unit, objects, seconds_of, text_of

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "km", "yue"})
"""Languages that put no blanks between words."""

MILLISECONDS = 0.001


@dataclass(frozen=True, slots=True)
class JsonShape:
    """A format that is one JSON document."""

    name: str
    """What it is called on the command line."""

    fits: Callable[[Any], bool]
    """Whether a document looks like it."""

    layout: Callable[[Any], Layout]
    """Where a document has its words."""

    suffix: str = ".json"
    """What its files end in."""

    def parse(self, text: str) -> Any:
        """The document; raises FormatError."""
        return parse_json(text)

    def dump(self, document: Any) -> str:
        """The document as indented JSON."""
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def parse_json(text: str) -> Any:
    """One JSON document, or several behind each other as a list; raises FormatError with the line."""
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.strip()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
    except json.JSONDecodeError as error:
        raise FormatError(f"line {error.lineno}: not valid JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # nested without end; numbers of thousands of digits
        raise FormatError(f"not usable JSON: {error}") from error
    return found[0] if len(found) == 1 else found


def _words(value: Any, where: str, unit: float = 1.0) -> list[Unit]:
    """Units of a list of word objects."""
    return [
        Unit(
            item,
            text_of(item, ("punctuated_word", "word", "text"), f"{where}[{index}]"),
            seconds_of(item.get("start"), unit),
            seconds_of(item.get("end"), unit),
        )
        for index, item in enumerate(objects(value, where))
    ]


def _segments(value: Any, where: str, unit: float = 1.0) -> list[Group]:
    """Segments as groups of their words; one without words is a single unit."""
    groups = []
    for index, segment in enumerate(objects(value, where)):
        start, end = seconds_of(segment.get("start"), unit), seconds_of(segment.get("end"), unit)
        if segment.get("words"):
            units = _words(segment["words"], f"{where}[{index}].words", unit)
            groups.append(Group(units, segment, start, end))
        else:
            text = text_of(segment, ("text", "transcript"), f"{where}[{index}]")
            groups.append(Group([Unit(segment, text, start, end)], None, start, end))
    return groups


def _whisper(document: Holder) -> Layout:
    """Whisper and WhisperX: segments with words; OpenAI's service keeps the words beside the segments."""
    groups = _segments(document["segments"], "segments")
    whole = not any(group.holder is not None for group in groups)
    if whole and document.get("words"):
        return Layout([Group(_words(document["words"], "words"))], mirrors=_covering(groups), glue=" ")
    again = document.get("word_segments")
    mirrors = [Group(_words(again, "word_segments"))] if isinstance(again, list) else []
    spaced = any(unit.text[:1].isspace() for group in groups for unit in group.units)
    unspaced = str(document.get("language", ""))[:3].rstrip("-_") in UNSPACED
    return Layout(groups, mirrors, glue="" if spaced or unspaced else " ", whole=whole)


def _covering(groups: Sequence[Group]) -> list[Group]:
    """Segments that get the speaker of the words in their time."""
    return [Group((), unit.holder, unit.start, unit.end) for group in groups for unit in group.units]


def _whisper_cpp(document: Holder) -> Layout:
    """whisper.cpp: segments with offsets in milliseconds."""
    groups = []
    for index, segment in enumerate(objects(document["transcription"], "transcription")):
        offsets = segment.get("offsets")
        offsets = offsets if isinstance(offsets, dict) else {}
        start, end = (seconds_of(offsets.get(key), MILLISECONDS) for key in ("from", "to"))
        text = text_of(segment, ("text",), f"transcription[{index}]")
        groups.append(Group([Unit(segment, text, start, end)], None, start, end))
    return Layout(groups, glue="", whole=True)


def _deepgram(document: Holder) -> Layout:
    """Deepgram: the first alternative of every channel; utterances and paragraphs say the same again."""
    results = document["results"]
    groups = []
    mirrors = _segments(results["utterances"], "results.utterances") if results.get("utterances") else []
    for number, channel in enumerate(objects(results["channels"], "results.channels")):
        where = f"results.channels[{number}].alternatives"
        for alternative in objects(channel.get("alternatives", []), where)[:1]:
            groups.append(Group(_words(alternative.get("words", []), f"{where}[0].words")))
            paragraphs = alternative.get("paragraphs")
            if isinstance(paragraphs, dict) and isinstance(paragraphs.get("paragraphs"), list):
                for item in objects(paragraphs["paragraphs"], f"{where}[0].paragraphs"):
                    mirrors.append(Group((), item, seconds_of(item.get("start")), seconds_of(item.get("end"))))
    return Layout(groups, mirrors)


def _assemblyai(document: Holder) -> Layout:
    """AssemblyAI: words in milliseconds; utterances say the same again."""
    utterances = document.get("utterances")
    mirrors = _segments(utterances, "utterances", MILLISECONDS) if utterances else []
    return Layout([Group(_words(document["words"], "words", MILLISECONDS))], mirrors)


def _vosk(document: Any) -> Layout:
    """Vosk: one result or a list of them, each with `result`, or with `alternatives` of which the first counts."""
    groups = []
    for index, result in enumerate(objects(document if isinstance(document, list) else [document], "results")):
        first = _first_alternative(result)
        groups.append(Group(_words(first.get("result", []), f"results[{index}].result"), first))
    return Layout(groups)


def _first_alternative(result: Holder) -> Holder:
    alternatives = result.get("alternatives")
    return alternatives[0] if isinstance(alternatives, list) and alternatives else result


def _plain(document: Any) -> Layout:
    """A bare list of words, or an object whose `words` is one, in seconds or milliseconds."""
    words = document if isinstance(document, list) else document["words"]
    units = _words(words, "words")
    lengths = [u.end - u.start for u in units if u.start is not None and u.end is not None and u.end > u.start]
    # Nobody needs ten seconds for an ordinary word, or ten milliseconds.
    if lengths and median(lengths) >= 10:
        units = _words(words, "words", MILLISECONDS)
    return Layout([Group(units)])


def _is_object(document: Any, *keys: str) -> bool:
    return isinstance(document, dict) and all(key in document for key in keys)


def _list_of(items: Any, keys: Iterable[str]) -> bool:
    """Whether this is a list that begins with an object that has one of `keys`."""
    return isinstance(items, list) and bool(items) and isinstance(items[0], dict) and any(k in items[0] for k in keys)


def _fits_deepgram(document: Any) -> bool:
    return _is_object(document, "results") and _is_object(document["results"], "channels")


def _fits_vosk(document: Any) -> bool:
    results = document if isinstance(document, list) else [document]
    if not results or not all(isinstance(result, dict) for result in results):
        return False
    inner = [_first_alternative(result) for result in results]
    return any(isinstance(i, dict) and isinstance(i.get("result"), list) for i in inner) or all(
        set(result) == {"text"} for result in results
    )


def _fits_assemblyai(document: Any) -> bool:
    if not _is_object(document, "words") or not _list_of(document["words"], ("text",)):
        return False
    times = [word.get(key) for word in document["words"] if isinstance(word, dict) for key in ("start", "end")]
    return "text" in document["words"][0] and all(isinstance(time, int) for time in times if time is not None)


JSON_SHAPES = (
    JsonShape("deepgram", _fits_deepgram, _deepgram),
    JsonShape("whisper", lambda d: _is_object(d, "segments") and isinstance(d["segments"], list), _whisper),
    JsonShape("whispercpp", lambda d: _is_object(d, "transcription"), _whisper_cpp),
    JsonShape("assemblyai", _fits_assemblyai, _assemblyai),
    JsonShape("vosk", _fits_vosk, _vosk),
    JsonShape(
        "words",
        lambda d: _list_of(d["words"] if _is_object(d, "words") else d, ("word", "text", "punctuated_word")),
        _plain,
    ),
)
"""In the order they are tried."""
