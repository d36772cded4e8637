"""Who said which word: the words of any transcript laid over a diarization."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from speakrs_stream.core.grid import Span, samples
from speakrs_stream.diarization import Diarization, Turn, spans_by_speaker
from speakrs_stream.errors import ConfigError

UNKNOWN: Final = "UNKNOWN"
"""Label of words that nobody in the diarization can have said."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a transcript, or a whole subtitle where the transcript has no finer times."""

    text: str
    """As the transcript has it, blanks around it included."""

    span: Span | None
    """When it is said, in samples at 16 kHz; None when nothing at all tells."""

    timed: bool = True
    """Whether the transcript gives the time; else it was estimated from the words around."""

    group: int = 0
    """Number of the segment, utterance or subtitle it belongs to."""


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a word during which somebody speaks."""

    speaker: str
    """Label."""

    share: float
    """Of the word's length, 0 to 1."""


@dataclass(frozen=True, slots=True)
class LabelledWord:
    """A word and who said it."""

    word: Word
    """The word."""

    speaker: str
    """Label of the speaker, or `UNKNOWN`."""

    share: float = 0.0
    """Part of the word's length, 0 to 1, in which that speaker has the floor; 0 for a neighbour or a guess."""

    also: tuple[Share, ...] = ()
    """Others who speak during the word, most first."""


def assign_words(words: Iterable[Word], diarization: Diarization, *, max_gap: float = 0.25) -> list[LabelledWord]:
    """Give every word to one speaker, in the order given.

    It is the one who has the floor longest during the word (exclusive turns; the earlier one when equal). A word
    in a pause goes to the nearest turn at most `max_gap` seconds away, else to `UNKNOWN`. A word without a time
    goes with the word before it in its group, else with the next one.

    max_gap: seconds, 0 or more; raises ConfigError for others
    """
    if not 0 <= max_gap <= 3600:
        raise ConfigError(f"max_gap is {max_gap}; it must be 0 to 3600 seconds")
    floor = _Floor(diarization.exclusive)
    everybody = {label: _Spans(spans) for label, spans in spans_by_speaker(diarization.turns).items()}
    labelled = [
        LabelledWord(word, UNKNOWN)
        if word.span is None
        else _label(word, word.span, floor, everybody, samples(max_gap))
        for word in words
    ]
    return _borrow(labelled)


def _label(word: Word, span: Span, floor: _Floor, everybody: Mapping[str, _Spans], max_gap: int) -> LabelledWord:
    """One word with a time."""
    if span.samples == 0:  # a point in time: one sample tells as much
        span = Span(span.start, span.start + 1)
    held: dict[str, int] = {}
    for turn in floor.during(span):
        held[turn.speaker] = held.get(turn.speaker, 0) + _overlap(turn.span, span)
    if held:
        speaker = max(held, key=lambda label: held[label])  # the first of equals: dicts keep their order
    else:
        nearest = floor.nearest(span, max_gap)
        speaker = nearest.speaker if nearest else UNKNOWN
    heard = {label: spans.overlap(span) for label, spans in everybody.items() if label != speaker}
    also = sorted(((count, label) for label, count in heard.items() if count), key=lambda item: (-item[0], item[1]))
    return LabelledWord(
        word,
        speaker,
        held.get(speaker, 0) / span.samples,
        tuple(Share(label, count / span.samples) for count, label in also),
    )


def _borrow(labelled: Sequence[LabelledWord]) -> list[LabelledWord]:
    """Words without a time take the speaker of the word before, or after, in their group."""
    given = list(labelled)
    for order in (range(len(given)), range(len(given) - 1, -1, -1)):
        before: LabelledWord | None = None
        for index in order:
            own = given[index]
            if own.word.span is None and own.speaker == UNKNOWN and before and before.word.group == own.word.group:
                own = given[index] = LabelledWord(own.word, before.speaker)
            before = own
    return given


def _overlap(one: Span, other: Span) -> int:
    """Samples two spans have in common."""
    return max(0, min(one.end, other.end) - max(one.start, other.start))


class _Floor:
    """Exclusive turns, in order, searched by time."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._starts = [turn.span.start for turn in turns]
        self._ends = [turn.span.end for turn in turns]

    def during(self, span: Span) -> Sequence[Turn]:
        """Turns that share samples with `span`."""
        return self._turns[bisect_right(self._ends, span.start) : bisect_left(self._starts, span.end)]

    def nearest(self, span: Span, most: int) -> Turn | None:
        """The turn closest to `span`, which none overlaps, if at most `most` samples away; the earlier of equals."""
        after = bisect_left(self._starts, span.end)
        near = [
            (distance, index)
            for index, distance in (
                (after - 1, span.start - self._ends[after - 1] if after else most + 1),
                (after, self._starts[after] - span.end if after < len(self._turns) else most + 1),
            )
            if distance <= most
        ]
        return self._turns[min(near)[1]] if near else None


class _Spans:
    """Disjoint spans of one speaker, in order."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._starts = [span.start for span in spans]
        self._ends = [span.end for span in spans]

    def overlap(self, span: Span) -> int:
        """Samples of `span` that the spans cover."""
        touched = self._spans[bisect_right(self._ends, span.start) : bisect_left(self._starts, span.end)]
        return sum(_overlap(own, span) for own in touched)
