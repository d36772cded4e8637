"""Labelled words as subtitles, CTM or a script, whatever format they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.formats import srt, vtt
from speakrs_stream.formats.text import clock, cue_times, milliseconds, one_line, one_word
from speakrs_stream.words import LabelledWord

LONGEST_CUE = 7 * SAMPLE_RATE
"""Samples a subtitle may cover."""

MOST_CHARACTERS = 84
"""Characters of a subtitle: two lines of 42."""

LONGEST_PAUSE = SAMPLE_RATE
"""Samples of silence that a subtitle does not bridge."""

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of one speaker in a row."""

    span: Span | None
    """From the first word to the last, in samples; None when no word has a time."""

    speaker: str
    """Label, or the name to show."""

    text: str
    """One line."""


def passages(
    words: Sequence[LabelledWord], glue: str, *, limited: bool, whole: bool = False, names: Mapping[str, str]
) -> Iterator[Passage]:
    """Words joined while the same person speaks.

    glue: what stands between two words
    limited: also cut where a subtitle would become too long to read, and after a pause
    whole: the words are subtitles already; with `limited` none are joined
    """
    row: list[LabelledWord] = []
    for word in words:
        if row and (word.speaker != row[-1].speaker or (limited and (whole or _full([*row, word], glue)))):
            yield _passage(row, glue, names)
            row = []
        row.append(word)
    if row:
        yield _passage(row, glue, names)


def _full(row: Sequence[LabelledWord], glue: str) -> bool:
    """Whether the last word of `row` should start a new subtitle."""
    *before, last = row
    if len(glue.join(word.word.text.strip() for word in row)) > MOST_CHARACTERS:
        return True
    spans = [word.word.span for word in before if word.word.span is not None]
    if not spans or last.word.span is None:
        return False
    pause, covered = last.word.span.start - spans[-1].end, last.word.span.end - spans[0].start
    if pause > LONGEST_PAUSE or covered > LONGEST_CUE:
        return True
    # A sentence that has lasted for half a subtitle is a good place to stop.
    return 2 * covered > LONGEST_CUE and before[-1].word.text.rstrip().endswith(SENTENCE_ENDS)


def _passage(row: Sequence[LabelledWord], glue: str, names: Mapping[str, str]) -> Passage:
    spans = [word.word.span for word in row if word.word.span is not None]
    span = Span(min(s.start for s in spans), max(s.end for s in spans)) if spans else None
    texts = (word.word.text if glue == "" else word.word.text.strip() for word in row)
    return Passage(span, names.get(row[0].speaker, row[0].speaker), one_line(glue.join(texts).strip()))


def to_srt(words: Sequence[LabelledWord], glue: str, whole: bool, names: Mapping[str, str]) -> str:
    """`Name: text`; words whose time is unknown have no place in subtitles."""
    cues = (p for p in passages(words, glue, limited=True, whole=whole, names=names) if p.span)
    return "".join(
        srt.cue(number, *cue_times(p.span), f"{srt.plain(p.speaker)}: {srt.plain(p.text)}")
        for number, p in enumerate(cues, start=1)
        if p.span
    )


def to_vtt(words: Sequence[LabelledWord], glue: str, whole: bool, names: Mapping[str, str]) -> str:
    """`<v Name>text</v>`; words whose time is unknown have no place in subtitles."""
    cues = (p for p in passages(words, glue, limited=True, whole=whole, names=names) if p.span)
    return "WEBVTT\n\n" + "".join(
        vtt.cue(*cue_times(p.span), f"<v {vtt.escaped(p.speaker)}>{vtt.escaped(p.text)}</v>") for p in cues if p.span
    )


def to_ctm(words: Sequence[LabelledWord], glue: str, whole: bool, names: Mapping[str, str]) -> str:
    """One line per word with its speaker in the eighth column; subtitles are cut into words of equal length."""
    rows = []
    for labelled in words:
        parts = labelled.word.text.split()
        span = labelled.word.span
        if span is None:
            continue
        for index, part in enumerate(parts):
            start = milliseconds(span.start + span.samples * index // len(parts))
            length = milliseconds(span.start + span.samples * (index + 1) // len(parts)) - start
            speaker = one_word(names.get(labelled.speaker, labelled.speaker))
            rows.append(f"recording 1 {start / 1000:.3f} {length / 1000:.3f} {one_word(part)} NA lex {speaker}\n")
    return "".join(rows)


def to_script(words: Sequence[LabelledWord], glue: str, whole: bool, names: Mapping[str, str]) -> str:
    """One paragraph each time another person speaks: `[00:00:01] Alice: text`."""
    paragraphs = []
    for passage in passages(words, glue, limited=False, names=names):
        time = f"[{clock(passage.span.start)[:8]}] " if passage.span else ""
        paragraphs.append(f"{time}{one_line(passage.speaker)}: {passage.text}\n")
    return "\n".join(paragraphs)


RENDERERS: Mapping[str, Callable[[Sequence[LabelledWord], str, bool, Mapping[str, str]], str]] = {
    "srt": to_srt,
    "vtt": to_vtt,
    "ctm": to_ctm,
    "txt": to_script,
}
"""Format -> writer that needs nothing but the words."""
