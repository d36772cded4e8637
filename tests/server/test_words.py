"""Words get the speaker who says them, once that is settled."""

from __future__ import annotations

from speakrs_server import messages
from speakrs_server.messages import LabelledWord, RelabelledWord, Share, Word, WordsAdd
from speakrs_server.words import MOST_WAITING, WordBook
from tests.server.test_board import STORY, final, told

WORDS = WordsAdd(
    batch="b",
    words=(
        Word(id="w1", start_ms=100, end_ms=400, text="hello"),
        Word(id="w2", start_ms=900, end_ms=1200),
        Word(id="w3", start_ms=2100, end_ms=2200),
        Word(id="w4", start_ms=2600, end_ms=2700),
        Word(id="w5", start_ms=500, end_ms=500),
    ),
)


def test_words_wait_until_they_are_settled() -> None:
    book, board = WordBook(1500), told(STORY[:9])
    assert book.add(WORDS, 0.0) == 0
    assert book.settle(told(STORY[:5])) == ()
    assert book.settle(board) == (
        LabelledWord(id="w1", speaker="S1", share=1.0),
        LabelledWord(id="w2", speaker="S2", share=0.667, also=(Share(speaker="S1", share=0.333),)),
        LabelledWord(id="w5", speaker="S1", share=1.0),
    )
    assert len(book) == 2 and book.settle(board) == ()
    assert book.settle(board, ended=True) == (
        LabelledWord(id="w3", speaker="S2"),  # nobody speaks, but somebody within a quarter second
        LabelledWord(id="w4", speaker="UU"),
    )


def test_what_waits_too_long_is_told_provisionally_once() -> None:
    book, board = WordBook(1500), told(STORY[:5])
    book.add(WORDS, 10.0)
    assert book.overdue(board, 11.4) == ()
    assert {word.id for word in book.overdue(board, 11.5)} == {"w1", "w2", "w3", "w4", "w5"}
    assert book.overdue(board, 20.0) == ()


def test_a_merge_corrects_what_was_settled() -> None:
    book = WordBook(1500)
    book.add(WORDS, 0.0)
    book.settle(told(STORY[:9]))
    assert book.relabel(told(STORY[:9])) == ()
    assert book.relabel(told(STORY)) == (RelabelledWord(id="w2", speaker="S1"),)
    assert book.relabel(told(STORY)) == ()


def test_an_offset_moves_words_and_settled_ones_stay() -> None:
    book, board = WordBook(1500), told(STORY[:9])
    moved = WordsAdd(batch="b", offset_ms=1000, words=(Word(id="w1", start_ms=100, end_ms=400),))
    book.add(moved, 0.0)
    assert book.settle(board)[0].speaker == "S2"
    book.add(WORDS, 0.0)
    assert "w1" not in {word.id for word in book.settle(board)}
    book.remember((LabelledWord(id="w3", speaker="S2"),))
    assert len(book) == 1


def test_there_is_an_end_to_waiting_words() -> None:
    book = WordBook(0)
    many = tuple(Word(id=str(n), start_ms=0, end_ms=1) for n in range(MOST_WAITING + 3))
    assert book.add(WordsAdd(batch="b", words=many), 0.0) == 3


def test_most_of_many_words_are_right() -> None:
    story = [*STORY[:2], *(final(3 + n, f"t_{n:04}", f"S{1 + n % 2}", 1000 * n, 1000 * n + 900) for n in range(400))]
    story.append(messages.WatermarkMoved(seq=900, final_until_ms=400_000, processed_until_ms=400_000))
    book, board = WordBook(0), told(story)
    for n in range(400):
        words = tuple(Word(id=f"{n}-{k}", start_ms=1000 * n + 90 * k, end_ms=1000 * n + 90 * k + 80) for k in range(9))
        book.add(WordsAdd(batch=str(n), words=words), 0.0)
    labelled = {word.id: word.speaker for word in [*book.settle(board), *book.settle(board, ended=True)]}
    assert len(labelled) == 3600
    assert all(speaker == f"S{1 + int(name.split('-')[0]) % 2}" for name, speaker in labelled.items())
