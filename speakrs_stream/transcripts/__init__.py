"""Transcripts of other programs: read their words, give them speakers, write them back in the same shape."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from speakrs_stream.core.grid import samples
from speakrs_stream.errors import ConfigError, FormatError
from speakrs_stream.formats.atomic import write_text_atomically
from speakrs_stream.formats.text import read_text
from speakrs_stream.transcripts.ctm import Ctm
from speakrs_stream.transcripts.json_shapes import JSON_SHAPES, parse_json
from speakrs_stream.transcripts.render import RENDERERS
from speakrs_stream.transcripts.shape import Group, Layout, Shape, Unit, words_of
from speakrs_stream.transcripts.subtitles import Subtitles
from speakrs_stream.words import UNKNOWN, LabelledWord, Word

__all__ = ["INPUTS", "OUTPUTS", "Transcript", "parse_transcript", "read_transcript"]

INPUTS: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        **{shape.name: shape for shape in JSON_SHAPES},
        "ctm": Ctm(),
        "srt": Subtitles("srt", ".srt"),
        "vtt": Subtitles("vtt", ".vtt"),
    }
)
"""Name -> format that can be read. "whisper" is also WhisperX, faster-whisper and OpenAI's verbose JSON."""

OUTPUTS: Final = ("same", *RENDERERS)
"""What a transcript can be written as: its own format, or one of these."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of a transcript, and the document they came from."""

    format: str
    """A key of `INPUTS`."""

    words: tuple[Word, ...]
    """In the order of the document, times in samples at 16 kHz."""

    document: Any = field(repr=False)
    """What was read, as plain lists and dicts; not to be changed."""

    def render(
        self, labelled: Sequence[LabelledWord], format: str = "same", *, names: Mapping[str, str] | None = None
    ) -> str:
        """The transcript as text, with the speakers of `assign_words(transcript.words, …)`.

        format: "same" puts `speaker` into the document's own shape; "srt", "vtt", "ctm" or "txt" (a script)
        names: label -> name to write instead
        Raises ConfigError for another format or when `labelled` are not this transcript's words.
        """
        if tuple(item.word for item in labelled) != self.words:
            raise ConfigError(f"{len(labelled)} labelled words are not the {len(self.words)} words of this transcript")
        names = names or {}
        shape = INPUTS[self.format]
        if format in ("same", self.format):
            document = copy.deepcopy(self.document)
            _fill(shape.layout(document), labelled, names)
            return shape.dump(document)
        if format not in RENDERERS:
            raise ConfigError(f"a transcript cannot be written as {format!r}; choose one of {', '.join(OUTPUTS)}")
        layout = shape.layout(self.document)
        return RENDERERS[format](labelled, layout.glue, layout.whole, names)

    def write(
        self,
        path: str | os.PathLike[str],
        labelled: Sequence[LabelledWord],
        format: str = "same",
        *,
        names: Mapping[str, str] | None = None,
    ) -> Path:
        """Write what `render` gives, whole or not at all, and return the path; raises OutputError too."""
        return write_text_atomically(path, self.render(labelled, format, names=names))


def read_transcript(path: str | os.PathLike[str], format: str | None = None) -> Transcript:
    """Read a transcript.

    format: a key of `INPUTS`; None finds out from the content
    Raises FormatError that names the file and what is wrong, ConfigError for an unknown format.
    """
    try:
        return parse_transcript(read_text(path), format)
    except FormatError as error:
        if os.fspath(path) in str(error):
            raise
        raise FormatError(f"{os.fspath(path)}: {error}") from error


def parse_transcript(text: str, format: str | None = None) -> Transcript:
    """Like `read_transcript`, from text that is in memory."""
    if format is not None and format not in INPUTS:
        raise ConfigError(f"transcripts of format {format!r} cannot be read; choose one of {', '.join(INPUTS)}")
    shape, document = _recognised(text) if format is None else (INPUTS[format], INPUTS[format].parse(text))
    try:
        return Transcript(shape.name, words_of(shape.layout(document).groups), document)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"not a transcript of the format {shape.name}: {error!r}") from error


def _recognised(text: str) -> tuple[Shape, Any]:
    """The format a text is in, and the document."""
    text = text.removeprefix("\ufeff")
    start = text.lstrip()[:1]
    if start in ("{", "["):
        document = parse_json(text)
        for shape in JSON_SHAPES:
            if shape.fits(document):
                return shape, document
        raise FormatError(
            "JSON of no known transcript format; known are "
            + ", ".join(shape.name for shape in JSON_SHAPES)
            + " (plain: a list of objects with word, start and end)"
        )
    if not start:
        raise FormatError("the transcript is empty; there is nothing to give speakers to")
    for name in ("vtt",) if text.startswith("WEBVTT") else ("srt", "ctm"):
        try:
            document = INPUTS[name].parse(text)
        except FormatError:
            continue
        return INPUTS[name], document
    raise FormatError(f"a transcript of an unknown format; known are {', '.join(INPUTS)}")


def _fill(layout: Layout, labelled: Sequence[LabelledWord], names: Mapping[str, str]) -> None:
    """Put speakers into the document that `layout` points into."""
    given = iter(labelled)
    by_time: dict[tuple[float | None, float | None], str] = {}
    for group in layout.groups:
        own = [next(given) for _ in group.units]
        for unit, item in zip(group.units, own, strict=True):
            unit.holder["speaker"] = by_time[unit.start, unit.end] = names.get(item.speaker, item.speaker)
        _fill_holder(group, own, names)
    for group in layout.mirrors:
        for unit in group.units:
            if (unit.start, unit.end) in by_time:
                unit.holder["speaker"] = by_time[unit.start, unit.end]
            else:  # an utterance without words of its own
                _fill_holder(Group((), unit.holder, unit.start, unit.end), _within(unit, labelled), names)
        _fill_holder(group, _within(group, labelled), names)


def _fill_holder(group: Group, words: Sequence[LabelledWord], names: Mapping[str, str]) -> None:
    """Give a segment the speaker who says most of it; words whose speaker is unknown do not count."""
    if group.holder is None:
        return
    spoken: Counter[str] = Counter()
    for item in words:
        if item.speaker != UNKNOWN:
            spoken[item.speaker] += 1 + (item.word.span.samples if item.word.span else 0)
    speaker = spoken.most_common(1)[0][0] if spoken else UNKNOWN
    group.holder["speaker"] = names.get(speaker, speaker)


def _within(group: Group | Unit, labelled: Sequence[LabelledWord]) -> list[LabelledWord]:
    """Words whose middle lies in the time of a group."""
    if group.start is None or group.end is None:
        return []
    first, last = samples(group.start), samples(group.end)
    return [w for w in labelled if w.word.span and first <= (w.word.span.start + w.word.span.end) // 2 <= last]
