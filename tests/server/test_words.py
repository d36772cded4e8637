"""Words get the speaker who says them: shown as soon as that can be said, settled once nothing changes."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_server.messages import LabelledWord, RelabelledWord, Word, WordsAdd, WordsLabelled, encode
from speakrs_server.translation import message_of
from speakrs_server.words import LONGEST_MESSAGE, MOST_WAITING, WordBook
from speakrs_stream.core.config import PipelineConfig, SpeakerBounds
from speakrs_stream.core.grid import SAMPLE_RATE, Span
from speakrs_stream.core.live.comparison import match
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.session import LiveSession
from speakrs_stream.core.session import Outcome
from speakrs_stream.diarization import Diarization, Speaker, Turn
from speakrs_stream.words import UNKNOWN, assign_words
from speakrs_stream.words import Word as Spoken
from tests.live_conversations import Script, apart, chatter, flat, model, settle
from tests.server.test_board import STORY, told

WORDS = WordsAdd(
    batch="b",
    words=(
        Word(id="w1", start_ms=100, end_ms=400, text="hello"),
        Word(id="w2", start_ms=900, end_ms=1200),
        Word(id="w3", start_ms=2100, end_ms=2200),
        Word(id="w4", start_ms=4600, end_ms=4700),
        Word(id="w5", start_ms=500, end_ms=500),
    ),
)


def who(told_now: list[WordsLabelled]) -> dict[str, str]:
    return {word.id: word.speaker for message in told_now for word in message.words}


def interim(*texts: str, batch: str = "u", start: int = 0, final: bool = False) -> WordsAdd:
    words = [
        Word(id=f"{batch}.{n}", start_ms=start + 100 * n, end_ms=start + 100 * n + 90, text=t)
        for n, t in enumerate(texts)
    ]
    return WordsAdd(batch=batch, words=tuple(words), final=final)


def texts(message: WordsLabelled) -> list[str | None]:
    return [word.text for word in message.words]


def test_words_wait_until_they_are_settled() -> None:
    book, board = WordBook(1500), told(STORY[:9])
    book.add(WORDS, 0.0)
    assert book.settle(told(STORY[:5])) == []
    (settled,) = book.settle(board)
    assert (settled.status, settled.batch, settled.seq) == ("final", "b", 0)
    assert who([settled]) == {"w1": "S1", "w2": "S2", "w5": "S1"}
    assert settled.words[0].text == "hello" and settled.words[1].start_ms == 900
    assert len(book) == 2 and book.settle(board) == []
    assert who(book.settle(board, ended=True)) == {"w3": "S2", "w4": "UU"}
    assert len(book) == 0


def test_words_are_shown_once_their_speakers_were_heard_or_they_waited_long_enough() -> None:
    book, board = WordBook(1500), told(STORY[:9])
    assert board.processed_until_ms == 4000
    book.add(WORDS, 10.0)
    (first,) = book.show(board, 10.1)
    assert (first.status, first.seq) == ("provisional", None)
    assert set(who([first])) == {"w1", "w2", "w3", "w5"}
    assert book.show(board, 11.4) == []
    (second,) = book.show(board, 11.5)
    assert set(who([second])) == {"w1", "w2", "w3", "w4", "w5"}, "a message holds all of the batch that is shown"
    assert book.show(board, 99.0) == [] and book.shown() == [second]


def test_what_is_shown_follows_the_turns() -> None:
    book, board = WordBook(0), told(STORY[:5])
    board.push(messages.WatermarkMoved(seq=6, final_until_ms=0, processed_until_ms=3500))
    book.add(WordsAdd(batch="b", words=(Word(id="w", start_ms=1100, end_ms=1300),)), 0.0)
    assert who(book.show(board, 0.0)) == {"w": "S2"}
    board.push(messages.TurnProvisional(turn="t_0002", rev=2, speaker="S1", start_ms=1000, end_ms=2000))
    assert who(book.show(board, 0.0)) == {"w": "S1"}


def test_what_a_recognizer_takes_back_is_shown_no_more() -> None:
    book, board = WordBook(0), told(STORY[:5])
    book.add(interim("wreck", "a", "nice"), 0.0)
    assert texts(book.show(board, 0.0)[0]) == ["wreck", "a", "nice"]
    assert book.settle(board, ended=True) == [], "words that may change are never settled"
    book.add(interim("recognize"), 0.1)
    (shown,) = book.show(board, 0.1)
    assert texts(shown) == ["recognize"] and len(book) == 1
    book.add(interim(final=True), 0.2)
    (gone,) = book.show(board, 0.2)
    assert (gone.batch, gone.words) == ("u", ()) and book.show(board, 0.3) == [] and book.shown() == []


def test_a_final_word_is_not_taken_back() -> None:
    book, board = WordBook(0), told(STORY[:5])
    book.add(interim("a", "b", final=True), 0.0)
    book.add(interim("x"), 0.0)
    book.add(interim("y", batch="v", start=300), 0.0)
    assert [texts(message) for message in book.show(board, 0.0)] == [["a", "b"], ["y"]]
    book.add(WordsAdd(batch="v", words=(Word(id="u.0", start_ms=0, end_ms=9, text="moved"),)), 0.0)
    assert [texts(message) for message in book.show(board, 0.0)] == [["b"], ["moved"]]


def test_settled_words_are_not_told_again_as_gone() -> None:
    book, board = WordBook(0), told(STORY[:5])
    book.add(WORDS, 0.0)
    book.show(board, 0.0)
    for message in STORY[5:9]:
        board.push(message)
    book.settle(board)
    for told_now in book.show(board, 0.0):
        assert set(who([told_now])) <= {"w3", "w4"}


def test_a_merge_corrects_what_was_settled_once() -> None:
    book = WordBook(1500)
    book.add(WORDS, 0.0)
    book.settle(told(STORY[:9]))
    assert book.relabel(told(STORY[:9]), 7) == []
    (changed,) = book.relabel(told(STORY), 8)
    assert (changed.words, changed.cause) == ((RelabelledWord(id="w2", speaker="S1"),), 8)
    assert book.relabel(told(STORY), 8) == []
    restarted = WordBook(1500)
    restarted.remember((LabelledWord(id="w2", speaker="S2"),))
    restarted.corrected(changed.words)
    assert restarted.relabel(told(STORY), 8) == []


def test_an_offset_moves_words_and_settled_ones_stay() -> None:
    book, board = WordBook(1500), told(STORY[:9])
    book.add(WordsAdd(batch="b", offset_ms=1000, words=(Word(id="w1", start_ms=100, end_ms=400),)), 0.0)
    (moved,) = book.settle(board)[0].words
    assert (moved.speaker, moved.start_ms) == ("S2", 1100)
    book.add(WORDS, 0.0)
    assert "w1" not in who(book.settle(board))
    book.remember((LabelledWord(id="w3", speaker="S2"),))
    assert len(book) == 1


def test_there_is_an_end_to_waiting_words() -> None:
    book = WordBook(0)
    many = WordsAdd(batch="b", words=tuple(Word(id=str(n), start_ms=0, end_ms=1) for n in range(MOST_WAITING)))
    assert book.room(many)
    book.add(many, 0.0)
    assert not book.room(interim("one"))
    assert len(book.show(Board(), 0.0)[0].words) == 500


def test_messages_are_never_long() -> None:
    book, board = WordBook(0), told(STORY[:9])
    for part in range(4):
        words = tuple(Word(id=f"{part}.{n}", start_ms=n, end_ms=n + 1, text='"' * 200) for n in range(500))
        book.add(WordsAdd(batch="b", words=words), 0.0)
    settled = book.settle(board)
    assert sum(len(message.words) for message in settled) == 2000
    assert max(len(encode(message)) for message in settled) < LONGEST_MESSAGE


def test_ten_thousand_words_are_given_as_over_the_whole_recording() -> None:
    seconds = 300
    length, rng = seconds * SAMPLE_RATE, np.random.default_rng(3)
    talks = chatter(rng, seconds - 10, 4)
    script = Script(talks, length, apart(4))
    session = LiveSession(PipelineConfig(), replace(LiveConfig(), max_delay=4 * SAMPLE_RATE), model())
    spoken_at = np.concatenate([np.arange(talk.span.start, talk.span.end, 100) for talk in talks])
    starts = np.sort(rng.choice(spoken_at, 10_000))
    words = [Word(id=str(n), start_ms=int(at) // 16, end_ms=int(at) // 16 + 150) for n, at in enumerate(starts)]
    book, board, seen, at = WordBook(1500), Board(), dict[str, str](), 0

    def note(ended: bool = False) -> None:
        settled = who(book.settle(board, ended=ended))
        assert not seen.keys() & settled.keys(), "a word is settled once"
        seen.update(settled)
        seen.update({word.id: word.speaker for message in book.relabel(board, 1) for word in message.words})

    for second in range(seconds):
        session.push(np.zeros(SAMPLE_RATE, np.float32))
        for event in flat(settle(session, script)):
            board.push(message_of(event))
        until = int(np.searchsorted(starts, second * SAMPLE_RATE)) if second < seconds - 1 else len(words)
        for first in range(at, until, 500):
            some = tuple(words[first : min(first + 500, until)])
            book.add(WordsAdd(batch=str(first), words=some), second)
        at = until
        note()
        book.show(board, second)
    for event in [*session.finish(), *flat(settle(session, script))]:
        board.push(message_of(event))
    note(ended=True)

    def voices_near(word: Word) -> set[int]:
        first, last = 16 * word.start_ms - 4000, 16 * word.end_ms + 4000
        return {talk.voice for talk in talks if talk.span.start < last and talk.span.end > first}

    def agreement(over: Diarization, names: dict[str, str], alone: bool = False) -> float:
        assigned = assign_words([Spoken("", Span(16 * w.start_ms, 16 * w.end_ms)) for w in words], over)
        equal = [
            names.get(seen[word.id]) == found.speaker
            for word, found in zip(words, assigned, strict=True)
            if not alone or len(voices_near(word)) == 1
        ]
        return sum(equal) / len(equal)

    live, final = board.live("meeting", 1000 * seconds), as_diarization(session.outcome(SpeakerBounds()))
    same = match([(t.span, t.speaker) for t in live.turns], [(t.span, t.speaker) for t in final.turns])
    as_told = agreement(live, {"UU": UNKNOWN} | {label: label for label in live.labels})
    alone = agreement(final, {"UU": UNKNOWN} | same, alone=True)
    everywhere = agreement(final, {"UU": UNKNOWN} | same)
    sys.stdout.write(
        f"over what was told {as_told:.4f}; final: {alone:.4f} where one speaks, {everywhere:.4f} of all\n"
    )
    assert len(seen) == 10_000 and as_told >= 0.99 and alone >= 0.99


def as_diarization(outcome: Outcome) -> Diarization:
    """A core result with made-up labels."""
    names = [str(n) for n in range(len(outcome.embeddings))]
    turns, exclusive = (
        tuple(Turn(turn.span, names[turn.speaker]) for turn in some) for some in (outcome.turns, outcome.exclusive)
    )
    return Diarization("meeting", outcome.samples, turns, exclusive, tuple(Speaker(name) for name in names))
