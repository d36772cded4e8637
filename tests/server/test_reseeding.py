"""Going on after audio was heard otherwise: what was told stays, numbers do not meet, and what was shown ends."""

from __future__ import annotations

from speakrs_server import messages
from speakrs_server.board import PER_MS, Board
from speakrs_server.channels import Numbering, Survey
from speakrs_server.reseeding import Reseeded, reseed
from speakrs_stream.core.grid import Span
from speakrs_stream.core.reducer import LiveTurn


def told() -> Board:
    """S1 spoke for two seconds, S2 for one; S3 was told of; t_0003 was shown and has not ended."""
    board = Board()
    for number in (1, 2, 3):
        board.push(messages.SpeakerCreated(seq=number, speaker=f"S{number}", at_ms=0))
    for number, speaker, start, end in ((1, "S1", 0, 2000), (2, "S2", 3000, 4000)):
        turn = {"turn": f"t_000{number}", "rev": 3, "speaker": speaker, "start_ms": start, "end_ms": end}
        board.push(messages.TurnFinal(seq=3 + number, **turn))  # type: ignore[arg-type]
    board.push(messages.WatermarkMoved(seq=6, final_until_ms=4500, processed_until_ms=6000))
    return board


def turn(number: int, speaker: int, start: int, end: int, *, final: bool) -> LiveTurn:
    return LiveTurn(number, 2, speaker, Span(start * PER_MS, end * PER_MS), final)


def heard(*turns: LiveTurn, speakers: tuple[int, ...] = (1, 2)) -> Survey:
    return Survey(turns, 7000 * PER_MS, 5000 * PER_MS, 4, speakers, max(speakers))


def test_what_is_told_at_once() -> None:
    survey = heard(
        turn(1, 2, 100, 1900, final=True),  # the same as t_0001, and by another number
        turn(2, 1, 3100, 4800, final=True),  # goes on beyond what was told of S2
        turn(4, 2, 4900, 6900, final=False),
        speakers=(1, 2, 3, 4),
    )
    reseeded, out = reseed(told(), survey, Numbering())
    assert reseeded.known == {2: 1, 1: 2, 3: 3}
    retracted = [message.turn for message in out if isinstance(message, messages.TurnRetracted)]
    assert retracted == ["t_0003", "t_0004"], "whatever was shown and is not final"
    created = [message.speaker for message in out if isinstance(message, messages.SpeakerCreated)]
    assert created == ["S8"], "a voice nobody was told of gets a number of its own"
    shown = [message for message in out if isinstance(message, messages.TurnProvisional)]
    assert [(m.turn, m.speaker, m.start_ms, m.end_ms) for m in shown] == [
        ("t_0006", "S2", 4000, 4800),
        ("t_0008", "S1", 4900, 6900),
    ]
    final = [message for message in out if isinstance(message, messages.TurnFinal)]
    assert [(m.turn, m.speaker, m.start_ms, m.end_ms) for m in final] == [("t_0006", "S2", 4000, 4800)]
    mark = out[-1]
    assert isinstance(mark, messages.WatermarkMoved)
    assert (mark.final_until_ms, mark.processed_until_ms) == (5000, 7000)


def test_what_is_told_later() -> None:
    reseeded, _ = reseed(told(), heard(turn(1, 1, 0, 2000, final=True)), Numbering())
    again = Reseeded.of(reseeded.plain())
    assert again == reseeded
    shown = messages.TurnProvisional(turn="t_0009", rev=1, speaker="S1", start_ms=7000, end_ms=8000, was="S2")
    moved = again.message(shown)
    assert isinstance(moved, messages.TurnProvisional)
    assert (moved.turn, moved.speaker, moved.was) == ("t_000D", "S1", "S3"), "S3 had said nothing yet"
    assert again.message(messages.TurnRetracted(seq=0, turn="t_0009", rev=2)) is not None
    assert again.message(messages.TurnRetracted(seq=0, turn="t_0009", rev=3)) is None, "once"
    assert again.message(messages.SpeakerCreated(seq=0, speaker="S1", at_ms=1)) is None, "everybody knows"
    assert again.message(messages.SpeakerMerged(seq=0, speaker="S2", into="S1")) is not None
    old = messages.WatermarkMoved(seq=0, final_until_ms=10, processed_until_ms=20)
    assert again.message(old) is None
    vanished = messages.TurnFinal(seq=0, turn="t_0010", rev=2, speaker="S1", start_ms=100, end_ms=900)
    assert again.message(vanished) is None, "it lies in what was told for good"
    pong = messages.Pong(id=1)
    assert again.message(pong) is pong


def test_channels_do_not_meet() -> None:
    board = Board()
    for number, speaker in ((1, "S1"), (2, "S2")):
        board.push(messages.SpeakerCreated(seq=number, speaker=speaker, at_ms=0, channel=number))
        times = {"speaker": speaker, "start_ms": 0, "end_ms": 2000}
        board.push(messages.TurnFinal(seq=2 + number, turn=f"t_000{number}", rev=2, **times))  # type: ignore[arg-type]
    survey = heard(turn(1, 3, 0, 2000, final=True), turn(2, 4, 0, 2000, final=True), speakers=(1, 2, 3, 4))
    reseeded, _ = reseed(board, survey, Numbering(2))
    assert reseeded.known[3] == 1 and reseeded.known[4] == 2
    assert reseeded.turns % 2 == 0 and reseeded.speakers % 2 == 0
