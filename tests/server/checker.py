"""The promises of the protocol, checked on everything a client was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from speakrs_server import messages
from speakrs_server.board import Board
from speakrs_stream.formats import render


def check(heard: Sequence[dict[str, Any]], *, complete: bool = True) -> Board:
    """Sequence without gap or repeat, T1 to T4; the fold, for T6. complete: whether the session is over."""
    durable = [message for message in heard if "seq" in message]
    assert [message["seq"] for message in durable] == list(range(1, len(durable) + 1))
    revisions: dict[str, int] = {}
    shown: dict[str, tuple[int, int]] = {}
    over: set[str] = set()
    final_until = processed = 0
    board = Board()
    for message in heard:
        board.push(messages.decode_server(messages.encode(_struct(message))))
        kind, turn = message["type"], str(message.get("turn"))
        if kind.startswith("turn."):
            assert turn not in over, "T1: a turn ends once"
            if kind == "turn.provisional":
                assert message["rev"] > revisions.get(turn, 0), "T2: revisions grow"
                revisions[turn] = message["rev"]
                before = shown.get(turn, (message["start_ms"], 0))[0]
                assert before == message["start_ms"] or min(before, message["start_ms"]) >= final_until, "T3"
                shown[turn] = (message["start_ms"], message["end_ms"])
                continue
            assert message["rev"] > revisions.get(turn, 0), "T2: revisions grow"
            over.add(turn)
            if kind == "turn.final" and message["start_ms"] < final_until < shown.get(turn, (0, 0))[1]:
                assert message["start_ms"] == shown[turn][0], "T3: nothing before the watermark moves"
        elif kind == "watermark":
            assert message["final_until_ms"] >= final_until and message["processed_until_ms"] >= processed, "T3"
            final_until, processed = message["final_until_ms"], message["processed_until_ms"]
    ends = [message["end_ms"] for message in heard if message["type"] == "turn.final"]
    assert not complete or max(ends, default=0) <= processed, "T4"
    assert not complete or set(revisions) <= over, "T1: every turn that was shown ends"
    return board


def _struct(message: dict[str, Any]) -> Any:
    import json

    return messages.decode_server(json.dumps(message))


def live_rttm(heard: Sequence[dict[str, Any]], session: str) -> str:
    """T6: the live result, from the messages alone."""
    board = check(heard)
    return render(board.live(session, board.processed_until_ms), "rttm")
