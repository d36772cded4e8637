"""Words are kept before they count, shown and not kept while they may change, and corrected once."""

from __future__ import annotations

import json
from pathlib import Path

from speakrs_server import messages
from speakrs_server.committer import commit
from speakrs_server.outbox import Outbox
from speakrs_server.teller import Listener
from speakrs_server.words import MOST_WAITING
from tests.server.rig import talk
from tests.server.test_hosted import Inline, again, log_of, opened, send


def word(name: str, start_ms: int, *, final: bool = True) -> messages.WordsAdd:
    added = messages.Word(id=name, start_ms=start_ms, end_ms=start_ms + 200, text="well")
    return messages.WordsAdd(batch=f"b{name}", words=(added,), final=final)


def waiting(outside: Inline) -> int:
    assert outside.hosted.words is not None
    return len(outside.hosted.words.book)


def write(outside: Inline) -> None:
    while outside.waiting:
        commit([outside.waiting.popleft()])


def test_words_count_once_they_are_written(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    write(outside)
    assert outside.hosted.command(word("w", 1000)) is None
    assert waiting(outside) == 0
    write(outside)
    assert waiting(outside) == 1 == waiting(again(outside))


def test_words_that_may_change_are_shown_and_not_kept(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    box = Outbox(0)
    outside.hosted.listeners.append(Listener(box, lambda: None))
    assert outside.hosted.command(word("w", 1000, final=False)) is None
    shown = [json.loads(data) for data in box.take(1.0)]
    assert [w["text"] for m in shown if m["type"] == "words.labelled" for w in m["words"]] == ["well"]
    write(outside)
    assert waiting(outside) == 1
    assert waiting(again(outside)) == 0


def test_too_many_words_are_refused_as_a_whole(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    assert outside.hosted.words is not None
    for batch in range(MOST_WAITING // 500):
        words = tuple(messages.Word(id=f"{batch}.{n}", start_ms=n, end_ms=n) for n in range(500))
        outside.hosted.words.book.add(messages.WordsAdd(batch=str(batch), words=words), 0.0)
    assert "too many wait" in str(outside.hosted.command(word("w", 1000)))
    assert waiting(outside) == MOST_WAITING


def test_corrections_are_told_once_wherever_the_process_was_killed(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    for name, start in (("a", 1000), ("b", 5000)):
        assert outside.hosted.command(word(name, start)) is None
    send(outside, talk(), 160_000)
    outside.work()
    assert outside.hosted.command(messages.SpeakerSame(speaker="S2", into="S1")) is None
    while outside.hosted.board.who("S2") != "S1":  # until the merge is told and its corrections are not written yet
        if outside.waiting:
            commit([outside.waiting.popleft()])
        else:
            outside._hear(outside.items.popleft())
    for _ in range(2):
        outside = again(outside)
        outside.hosted.tick()
        write(outside)
        relabelled = [m for m in log_of(outside) if m["type"] == "words.relabelled"]
        assert [m["words"] for m in relabelled] == [[{"id": "b", "speaker": "S1"}]]
        assert next(m for m in log_of(outside) if m["seq"] == relabelled[0]["cause"])["type"] == "speaker.merged"
