"""A session after a restart: wherever it was killed, it goes on to the same messages and the same result."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest

from speakrs_server import messages
from speakrs_server.committer import commit
from speakrs_server.worker import Item, Sound
from tests.server.checker import check
from tests.server.rig import talk
from tests.server.test_hosted import again, comparable, finished, log_of, opened, send


@pytest.mark.parametrize("cut", range(40_000, 304_000, 33_000))
def test_killed_anywhere_it_goes_on_to_the_same(tmp_path: Path, cut: int) -> None:
    undisturbed = finished(opened(tmp_path / "a"))
    outside = opened(tmp_path / "b")
    send(outside, talk(), cut)
    outside.work()
    outside.hosted.want_snapshot(2)
    outside.work()
    send(outside, talk(), min(cut + 30_000, 304_000))
    for _ in range(cut // 30_000):  # some of it written, some worked on, the rest lost
        if outside.waiting:
            commit([outside.waiting.popleft()])
        elif outside.items:
            outside._hear(outside.items.popleft())
    outside = again(again(outside))
    outside.hosted.attach(2)
    finished(outside)
    assert comparable(outside) == comparable(undisturbed)
    check([m for m in log_of(outside) if m["type"] != "turn.provisional"])
    last, other = log_of(outside)[-1], log_of(undisturbed)[-1]
    assert last["sha256"]["audio"] == other["sha256"]["audio"]
    assert last["rttm"].split()[2:7] == other["rttm"].split()[2:7]
    outside.hosted.journal.clean(keep_audio=False)
    late = again(outside)
    assert late.hosted.board.ended and late.hosted.received == len(talk()) // 2


@pytest.mark.parametrize("snapshot", [False, True])
def test_only_who_said_something_makes_older_tokens_worthless(tmp_path: Path, snapshot: bool) -> None:
    outside = opened(tmp_path)
    send(outside, talk(), 100_000)
    outside.hosted.attach(2)
    send(outside, talk(), 200_000)
    outside.hosted.attach(3)
    outside.hosted.attach(4)
    outside.work()
    if snapshot:
        outside.hosted.want_snapshot(2)
        outside.work()
    assert (next(outside.hosted.journal.snapshots(), None) is not None) == snapshot
    outside = again(outside)
    assert (outside.hosted.epoch, outside.hosted.confirmed) == (4, 2)


def test_words_survive_too(tmp_path: Path) -> None:
    outside = opened(tmp_path)
    words = messages.WordsAdd(batch="b", words=(messages.Word(id="w", start_ms=1000, end_ms=1200),))
    assert outside.hosted.command(words) is None
    outside.work()
    outside = finished(again(outside))
    labelled = [m for m in log_of(outside) if m["type"] == "words.labelled"]
    (word,) = labelled[0]["words"]
    assert (word["id"], word["speaker"], word["share"]) == ("w", "S1", 1.0) and len(labelled) == 1


@pytest.mark.parametrize(
    ("cut", "shift"),
    [(170_000, 0), (170_000, 700), (170_000, 40_000), (170_000, None), (290_000, 3_000), (290_000, None)],
)
def test_another_story_after_a_restart_goes_on_from_what_was_told(tmp_path: Path, cut: int, shift: int | None) -> None:
    outside = opened(tmp_path)
    send(outside, talk(), cut)
    outside.work()
    shown = {turn.turn for turn in outside.hosted.board.open_turns}
    told = log_of(outside)
    outside = again(outside)
    outside.items = deque(differently(item, shift) for item in outside.items)
    outside.work()
    assert (outside.hosted.reseeded is not None) == (shift != 0), "it was noticed"
    assert log_of(outside)[: len(told)] == told, "what was told stays"
    outside = again(outside)  # the snapshot knows how it goes on
    assert (outside.hosted.reseeded is not None) == (shift != 0)
    finished(outside)
    heard = log_of(outside)
    board = check(heard)
    assert shown <= board.ended_turns, "T1: what was shown ends"
    speech = {m["speaker"] for m in heard if m["type"] == "turn.final" and m["end_ms"] > 16_000}
    assert speech <= {m["speaker"] for m in heard if m["type"] == "speaker.created"}
    if shift in (0, 700, 3_000):
        assert {speaker.speaker for speaker in board.speakers} == {"S1", "S2"}, "nobody gets a second number"


def differently(item: Item, shift: int | None) -> Item:
    """The same amount of sound, later by `shift` samples; None: silence."""
    if not isinstance(item, Sound):
        return item
    samples = np.frombuffer(item.payload, "<i2")
    heard = np.zeros_like(samples) if shift is None else np.concatenate([np.zeros(shift, "<i2"), samples])
    return Sound(heard[: len(samples)].tobytes(), item.offset)
