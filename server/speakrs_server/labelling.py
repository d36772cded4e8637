"""Who says which word, from the turns that are known: the rule of `speakrs_stream.words`, on a stretch of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speakrs_server.board import PER_MS, Board
from speakrs_server.identifiers import UNKNOWN_SPEAKER
from speakrs_server.messages import LabelledWord, Share
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn
from speakrs_stream.words import UNKNOWN, assign_words
from speakrs_stream.words import LabelledWord as Assigned
from speakrs_stream.words import Word as Spoken

NEAR_MS = 250
"""How far from a word the nearest turn may lie."""
LONGEST_CHAIN_MS = 60_000
"""How far back overlapping turns are followed to learn who has the floor."""
OPEN_EDGE_MS = 500
"""An open turn that ends so little before what was heard is taken to go on,"""
FORESIGHT_MS = 3_000
"""so far beyond it."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its place in the session."""

    id: str
    """As whoever recognized it calls it."""
    start_ms: int
    """Its first millisecond."""
    end_ms: int
    """One past its last."""
    text: str | None = None
    """What it is, where that was told."""


def label(words: Sequence[TimedWord], board: Board, *, ahead: bool = False) -> tuple[LabelledWord, ...]:
    """Give words to whoever has the floor longest in them, else to the nearest turn, else to nobody.

    ahead: whether turns that go on at the end of what was heard are taken to last as long as the words
    """
    if not words:
        return ()
    first, last = min(word.start_ms for word in words), max(word.end_ms for word in words)
    turns = _turns(board, first, last, ahead)
    spoken = [Spoken(word.text or "", _span(word.start_ms, word.end_ms)) for word in words]
    assigned = assign_words(spoken, Diarization.from_turns(turns), max_gap=NEAR_MS / 1000)
    return tuple(_labelled(word, found) for word, found in zip(words, assigned, strict=True))


def _span(start_ms: int, end_ms: int) -> Span:
    return Span(start_ms * PER_MS, end_ms * PER_MS)


def _turns(board: Board, first: int, last: int, ahead: bool) -> list[Turn]:
    """Turns around a stretch, with those before that overlap them: who has the floor depends on who had it."""
    start = first - NEAR_MS
    found = board.near(start, last + NEAR_MS)
    while found and first - start < LONGEST_CHAIN_MS and (earlier := min(turn[0] for turn in found)) < start:
        start = max(earlier, first - LONGEST_CHAIN_MS)
        found = board.near(start, last + NEAR_MS)
    if ahead and last > board.processed_until_ms:
        edge, until = board.processed_until_ms - OPEN_EDGE_MS, board.processed_until_ms + FORESIGHT_MS
        found += [(turn.end_ms, until, board.who(turn.speaker)) for turn in board.open_turns if edge <= turn.end_ms]
    return [Turn(_span(begin, end), speaker) for begin, end, speaker in found if end > begin]


def _labelled(word: TimedWord, found: Assigned) -> LabelledWord:
    return LabelledWord(
        id=word.id,
        speaker=UNKNOWN_SPEAKER if found.speaker == UNKNOWN else found.speaker,
        start_ms=word.start_ms,
        end_ms=word.end_ms,
        text=word.text,
        share=round(found.share, 3),
        also=tuple(Share(speaker=share.speaker, share=round(share.share, 3)) for share in found.also),
    )
