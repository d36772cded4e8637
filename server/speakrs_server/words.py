"""Words of somebody else's recognizer and who said them: wait until it is settled, tell, and correct after merges."""

from __future__ import annotations

from dataclasses import dataclass

from speakrs_server.board import Board
from speakrs_server.identifiers import UNKNOWN_SPEAKER
from speakrs_server.messages import LabelledWord, RelabelledWord, Share, Word, WordsAdd

NEAR_MS = 250
"""How far from a word the nearest turn may lie."""
MOST_WAITING = 20_000
MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A word that is not settled yet."""

    id: str
    """As the client calls it."""
    start_ms: int
    """Its first millisecond."""
    end_ms: int
    """One past its last."""
    since: float
    """When it came, in seconds."""


class WordBook:
    """Words of one session; time is given by the caller."""

    def __init__(self, max_wait_ms: int) -> None:
        """max_wait_ms: after this a word that is not settled is labelled provisionally, once."""
        self._max_wait = max_wait_ms / 1000
        self._waiting: dict[str, Waiting] = {}
        self._told: set[str] = set()
        self._final: dict[str, str] = {}

    def __len__(self) -> int:
        """Words that wait."""
        return len(self._waiting)

    def add(self, message: WordsAdd, now: float) -> int:
        """Take words; how many there was no room for. A word that was settled before stays as it is."""
        refused = 0
        for word in message.words:
            if word.id in self._final:
                continue
            if len(self._waiting) >= MOST_WAITING:
                refused += 1
                continue
            self._waiting[word.id] = self._placed(word, message.offset_ms, now)
        return refused

    @staticmethod
    def _placed(word: Word, offset_ms: int, now: float) -> Waiting:
        return Waiting(word.id, word.start_ms + offset_ms, word.end_ms + offset_ms, now)

    def remember(self, words: tuple[LabelledWord, ...]) -> None:
        """Words were settled, now or before a restart."""
        for word in words:
            self._waiting.pop(word.id, None)
            self._told.discard(word.id)
            self._final[word.id] = word.speaker
        while len(self._final) > MOST_REMEMBERED:
            self._final.pop(next(iter(self._final)))

    def settle(self, board: Board, *, ended: bool = False) -> tuple[LabelledWord, ...]:
        """Words that are settled now: what is final reaches a quarter second past them, or all of it is there."""
        done = [word for word in self._waiting.values() if ended or word.end_ms + NEAR_MS <= board.final_until_ms]
        labelled = tuple(label(word, board) for word in done)
        self.remember(labelled)
        return labelled

    def overdue(self, board: Board, now: float) -> tuple[LabelledWord, ...]:
        """Words that have waited long enough to be told provisionally."""
        late = [w for w in self._waiting.values() if w.id not in self._told and now - w.since >= self._max_wait]
        self._told.update(word.id for word in late)
        return tuple(label(word, board) for word in late)

    def relabel(self, board: Board) -> tuple[RelabelledWord, ...]:
        """Settled words whose speaker has been merged into another."""
        changed = {word: who for word, speaker in self._final.items() if (who := board.who(speaker)) != speaker}
        self._final.update(changed)
        return tuple(RelabelledWord(id=word, speaker=speaker) for word, speaker in changed.items())


def label(word: Waiting, board: Board) -> LabelledWord:
    """Who said a word: whoever speaks longest in it, else the nearest turn, else nobody known."""
    length = max(word.end_ms - word.start_ms, 1)
    spoken: dict[str, int] = {}
    nearest: tuple[int, str] | None = None
    for start, end, speaker in sorted(board.near(word.start_ms - NEAR_MS, word.end_ms + NEAR_MS)):
        common = min(end, max(word.end_ms, word.start_ms + 1)) - max(start, word.start_ms)
        if common > 0:
            spoken[speaker] = spoken.get(speaker, 0) + common
        elif nearest is None or -common < nearest[0]:
            nearest = (-common, speaker)
    if not spoken:
        return LabelledWord(id=word.id, speaker=nearest[1] if nearest else UNKNOWN_SPEAKER)
    order = sorted(spoken, key=lambda name: -spoken[name])  # stable: the earlier one where equal

    def share(speaker: str) -> float:
        return round(min(spoken[speaker] / length, 1.0), 3)

    also = tuple(Share(speaker=speaker, share=share(speaker)) for speaker in order[1:])
    return LabelledWord(id=word.id, speaker=order[0], share=share(order[0]), also=also)
