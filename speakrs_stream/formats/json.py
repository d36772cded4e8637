"""The whole result as JSON (see diarization.schema.json), and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from speakrs_stream.core.grid import SAMPLE_RATE, Span, seconds
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.errors import FormatError

if TYPE_CHECKING:
    from speakrs_stream.words import LabelledWord

KIND = "speakrs-diarization"
VERSION = 1


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """As JSON without voice prints; it always holds both views, so `exclusive` has nothing to choose."""
    return dumps(diarization)


def dumps(diarization: Diarization, *, embeddings: bool = False, words: Iterable[LabelledWord] = ()) -> str:
    """As JSON. Seconds are exact: a sixteen-thousandth has seven decimals at most.

    embeddings: whether to write voice prints, which are biometric data
    words: what was said, where that is known; words without a time are left out
    """
    airtime = diarization.airtime()
    document = {
        "format": KIND,
        "version": VERSION,
        "uri": diarization.uri,
        "duration": _exact(diarization.samples),
        "bundle": diarization.bundle,
        "speakers": [
            {
                "label": speaker.label,
                "name": speaker.name,
                "seconds": round(airtime[speaker.label][0], 7),
                "turns": airtime[speaker.label][1],
            }
            | ({"channel": speaker.channel} if speaker.channel != 1 else {})
            | (
                {"embedding": [float(f"{value:.9g}") for value in speaker.embedding]}
                if embeddings and speaker.embedding is not None
                else {}
            )
            for speaker in diarization.speakers
        ],
        "turns": [turn_object(turn) for turn in diarization.turns],
        "exclusive": [turn_object(turn) for turn in diarization.exclusive],
        "warnings": list(diarization.warnings),
    }
    said = [word_object(word, word.word.span) for word in words if word.word.span is not None]
    return _one_turn_per_line(document | ({"words": said} if said else {}))


def loads(text: str) -> Diarization:
    """Read what `dumps` wrote; raises FormatError that names the field that is wrong."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}; give a file that was written by this program") from error
    if not isinstance(document, dict) or document.get("format") != KIND:
        raise FormatError(f'not a diarization: the field "format" is not "{KIND}"')
    if document.get("version") != VERSION:
        raise FormatError(f"version {document.get('version')!r} is not known; this program reads version {VERSION}")
    speakers = tuple(
        _speaker(_item(item, f"speakers[{index}]"), f"speakers[{index}]")
        for index, item in enumerate(_list(document, "speakers"))
    )
    warnings = _list(document, "warnings") if "warnings" in document else []
    try:
        return Diarization(
            uri=_string(document, "uri", "uri"),
            samples=_samples(document, "duration", "duration"),
            turns=_turns(document, "turns"),
            exclusive=_turns(document, "exclusive"),
            speakers=speakers,
            bundle=_string(document, "bundle", "bundle") if "bundle" in document else "",
            warnings=tuple(str(warning) for warning in warnings),
        )
    except ValueError as error:  # two speakers of one label, a turn of nobody, …
        raise FormatError(f"the diarization contradicts itself: {error}") from error


def turn_object(turn: Turn) -> dict[str, Any]:
    """A turn as it stands in JSON, in seconds."""
    return {"start": _exact(turn.span.start), "end": _exact(turn.span.end), "speaker": turn.speaker}


def word_object(labelled: LabelledWord, span: Span) -> dict[str, Any]:
    """A word and who said it as it stands in JSON, in seconds."""
    return {
        "start": _exact(span.start),
        "end": _exact(span.end),
        "speaker": labelled.speaker,
        "word": labelled.word.text,
    }


def _exact(samples: int) -> float:
    return round(seconds(samples), 7)


def _one_turn_per_line(document: Mapping[str, Any]) -> str:
    """Indented where people look, one line for each turn and speaker."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"    {_compact(row)}" for row in value)
            lines.append(f"  {_compact(key)}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {_compact(key)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise FormatError(f"{key} is missing or no list")
    return value


def _item(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{where} is no object")
    return value


def _string(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{where} is missing or no text")
    return value


def _samples(item: Mapping[str, Any], key: str, where: str) -> int:
    """Seconds of a field as samples."""
    value = item.get(key)
    # A year bounds the number so that a damaged one cannot overflow; infinities and NaN fail the comparison.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 366 * 86_400:
        raise FormatError(f"{where} is {value!r:.40}; it must be seconds, 0 or more")
    return round(value * SAMPLE_RATE)


def _turns(document: Mapping[str, Any], key: str) -> tuple[Turn, ...]:
    turns = []
    for index, value in enumerate(_list(document, key)):
        where = f"{key}[{index}]"
        item = _item(value, where)
        start, end = _samples(item, "start", f"{where}.start"), _samples(item, "end", f"{where}.end")
        if end < start:
            raise FormatError(f"{where} ends before it starts")
        turns.append(Turn(Span(start, end), _string(item, "speaker", f"{where}.speaker")))
    return tuple(turns)


def _speaker(item: Mapping[str, Any], where: str) -> Speaker:
    name = item.get("name")
    if name is not None and not isinstance(name, str):
        raise FormatError(f"{where}.name is neither text nor null")
    channel = item.get("channel", 1)
    if not isinstance(channel, int) or isinstance(channel, bool) or channel < 1:
        raise FormatError(f"{where}.channel is no number from 1")
    numbers = item.get("embedding")
    if numbers is None:
        return Speaker(_string(item, "label", f"{where}.label"), name, channel=channel)
    if not isinstance(numbers, list) or not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
        raise FormatError(f"{where}.embedding is no list of numbers")
    with np.errstate(over="ignore"):
        return Speaker(_string(item, "label", f"{where}.label"), name, np.array(numbers, np.float32), channel)
