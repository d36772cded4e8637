"""Words of a recognizer and who said them: told provisionally, settled, and corrected after merges.

A word is *shown* once the speakers around it were heard, or it has waited long enough; it is *settled* once nothing
around it can change. Words that may still change themselves are only ever shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speakrs_server.board import Board
from speakrs_server.labelling import NEAR_MS, TimedWord, label
from speakrs_server.messages import LabelledWord, RelabelledWord, WordsAdd, WordsLabelled, WordsRelabelled

MOST_WAITING = 20_000
"""Words of a session that may wait."""
MOST_REMEMBERED = 120_000
"""Settled words that are corrected after merges: half a day of speech."""
MOST_IN_ONE = 500
"""Words of one message."""
MOST_AT_ONCE = 2_000
"""Words that are looked at in one go to show them, the last ones."""
LONGEST_MESSAGE = 60_000
"""Bytes of one durable message, estimated from above."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A word that is not settled yet."""

    word: TimedWord
    """What and when it is."""
    final: bool
    """Whether its recognizer is done with it."""


class WordBook:
    """Words of one session; time is given by the caller."""

    def __init__(self, max_wait_ms: int) -> None:
        """max_wait_ms: after this a word is shown though its speakers were not heard yet."""
        self._max_wait = max_wait_ms / 1000
        self._batches: dict[str, dict[str, Waiting]] = {}
        self._place: dict[str, str] = {}  # waiting word -> batch
        self._queue: deque[tuple[float, str]] = deque()  # when words came, and which
        self._told: dict[str, LabelledWord] = {}  # waiting word -> as it is shown
        self._final: dict[str, str] = {}  # settled word -> speaker
        self._fresh: set[str] = set()  # batches that are not as they were when they were shown
        self._vanished: set[str] = set()  # batches of which words are shown that are no more
        self._seen: object = None  # what was known when words were shown last

    def __len__(self) -> int:
        """Words that wait."""
        return len(self._place)

    def room(self, message: WordsAdd) -> bool:
        """Whether there is room for a message's words."""
        return len(self._place) + len(message.words) <= MOST_WAITING

    def add(self, message: WordsAdd, now: float) -> None:
        """Take words in place of those of the batch that may still change. What was settled stays as it is."""
        before = dict(self._batches.get(message.batch, {}))
        came = {word.id for word in message.words}
        for name, waiting in before.items():
            if not waiting.final and name not in came:
                self._drop(name)
        for word in message.words:
            known = before.get(word.id)
            if word.id in self._final or (known is not None and known.final and not message.final):
                continue
            start, end = word.start_ms + message.offset_ms, word.end_ms + message.offset_ms
            self._put(message.batch, Waiting(TimedWord(word.id, start, end, word.text), message.final), now)
        self._fresh.add(message.batch)

    def _put(self, batch: str, waiting: Waiting, now: float) -> None:
        name = waiting.word.id
        if self._place.get(name, batch) != batch:
            self._drop(name)
        if name not in self._place:
            self._queue.append((now, name))
        self._place[name] = batch
        self._batches.setdefault(batch, {})[name] = waiting

    def _drop(self, name: str) -> bool:
        """Forget a waiting word; whether it is shown."""
        batch = self._place.pop(name, None)
        shown = self._told.pop(name, None) is not None
        if batch is not None:
            del self._batches[batch][name]
            if not self._batches[batch]:
                del self._batches[batch]
            if shown:
                self._vanished.add(batch)
        return shown

    def remember(self, words: tuple[LabelledWord, ...]) -> None:
        """Words were settled, now or before a restart."""
        for word in words:
            batch = self._place.get(word.id, "")
            others_vanished = batch in self._vanished
            self._drop(word.id)
            if not others_vanished:
                self._vanished.discard(batch)  # whoever is told that it is settled shows it no more
            self._final[word.id] = word.speaker
        while len(self._final) > MOST_REMEMBERED:
            self._final.pop(next(iter(self._final)))

    def corrected(self, words: tuple[RelabelledWord, ...]) -> None:
        """Settled words were given to somebody else before a restart."""
        self._final.update((word.id, word.speaker) for word in words)

    # -- what to tell ----------------------------------------------------------------------------------------

    def settle(self, board: Board, *, ended: bool = False) -> list[WordsLabelled]:
        """Words that are settled now: what is final reaches a quarter second past them, or all of it is there."""
        told = []
        for batch, waiting in list(self._batches.items()):
            done = [
                one.word
                for one in waiting.values()
                if one.final and (ended or one.word.end_ms + NEAR_MS <= board.final_until_ms)
            ]
            for part in _parts(label(done, board)):
                told.append(WordsLabelled(seq=0, status="final", batch=batch, words=part))
                self.remember(part)
        return told

    def show(self, board: Board, now: float) -> list[WordsLabelled]:
        """Batches whose words that are not settled look different from what was told last."""
        late = self._late(now)
        known = (board.seq, board.open_turns)
        if known == self._seen and not late and not self._fresh and not self._vanished:
            return []
        batches = set(self._batches) if known != self._seen else self._fresh | {self._place[name] for name in late}
        self._seen, self._fresh = known, set()
        look = [
            (batch, one.word)
            for batch in self._batches
            if batch in batches
            for name, one in self._batches[batch].items()
            if one.word.end_ms <= board.processed_until_ms or name in late or self._is_other(one.word)
        ][-MOST_AT_ONCE:]
        changed, self._vanished = self._vanished, set()
        labelled = label([word for _, word in look], board, ahead=True)
        for (batch, word), found in zip(look, labelled, strict=True):
            if self._told.get(word.id) != found:
                self._told[word.id] = found
                changed.add(batch)
        return [self._provisional(batch) for batch in self._in_order(changed)]

    def _late(self, now: float) -> set[str]:
        """Words that have waited long enough and are not shown."""
        late = set()
        while self._queue and now - self._queue[0][0] >= self._max_wait:
            name = self._queue.popleft()[1]
            if name in self._place and name not in self._told:
                late.add(name)
        return late

    def _is_other(self, word: TimedWord) -> bool:
        """Whether a word is shown as it was before its recognizer changed its mind."""
        told = self._told.get(word.id)
        return told is not None and (told.start_ms, told.end_ms, told.text) != (word.start_ms, word.end_ms, word.text)

    def _in_order(self, batches: set[str]) -> list[str]:
        there = [batch for batch in self._batches if batch in batches]
        return there + sorted(batches.difference(there))

    def _provisional(self, batch: str) -> WordsLabelled:
        words = [self._told[name] for name in self._batches.get(batch, ()) if name in self._told]
        return WordsLabelled(status="provisional", batch=batch, words=tuple(words[-MOST_IN_ONE:]))

    def shown(self) -> list[WordsLabelled]:
        """What is told provisionally at present, for somebody who comes later."""
        return [told for told in map(self._provisional, self._batches) if told.words]

    def relabel(self, board: Board, cause: int) -> list[WordsRelabelled]:
        """Settled words whose speaker has been merged into another. cause: number of the message that says so."""
        changed = {word: who for word, speaker in self._final.items() if (who := board.who(speaker)) != speaker}
        self._final.update(changed)
        words = [RelabelledWord(id=word, speaker=speaker) for word, speaker in changed.items()]
        return [
            WordsRelabelled(seq=0, words=tuple(words[at : at + MOST_IN_ONE]), cause=cause)
            for at in range(0, len(words), MOST_IN_ONE)
        ]


def _parts(words: Sequence[LabelledWord]) -> Iterator[tuple[LabelledWord, ...]]:
    """Words as messages that are not too long."""
    part: list[LabelledWord] = []
    size = 0
    for word in words:
        own = 150 + 45 * len(word.also) + 6 * len(word.id) + 6 * len(word.text or "")
        if part and (len(part) == MOST_IN_ONE or size + own > LONGEST_MESSAGE):
            yield tuple(part)
            part, size = [], 0
        part.append(word)
        size += own
    if part:
        yield tuple(part)
