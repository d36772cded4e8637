"""The page's fold of messages is the Python one, on made-up sessions and on what people hear who were away."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from speakrs_clients.reducer import Reducer
from speakrs_server.messages import ServerMessage, decode_server, encode
from tests.clients.stories import interrupted, story
from tests.page.conftest import Node

LOGS = 1_200


def state(told: list[ServerMessage]) -> dict[str, Any]:
    reducer = Reducer()
    news = sum(reducer.push(message) for message in told)
    return reducer.plain() | {"news": news, "labels": {name: reducer.label(name) for name in reducer.speakers}}


def test_both_folds_agree(node: Node, tmp_path: Path) -> None:
    logs = []
    for seed in range(LOGS):
        told = story(seed, 60, end=seed % 3 > 0)
        logs.append(told)
        logs.append(interrupted(told, random.Random(seed)))
        logs.append(told[: random.Random(-seed).randint(0, len(told))])
    texts = [[encode(message).decode() for message in told] for told in logs]
    path = tmp_path / "logs.jsonl"
    path.write_text("".join(f"[{','.join(line)}]\n" for line in texts), encoding="utf-8")
    shown = [json.loads(line) for line in node("fold.mjs", str(path)).splitlines()]
    assert len(shown) == len(logs) == 3 * LOGS
    for number, (told, found) in enumerate(zip(logs, shown, strict=True)):
        heard = [decode_server(encode(message)) for message in told]
        assert found == state(heard), number


def test_a_lost_message_is_noticed(node: Node) -> None:
    script = """
    import { Reducer } from "./page/reducer.js";
    try { new Reducer().push({ type: "watermark", seq: 2 }); } catch (error) { console.log(error.message); }
    """
    assert node("--input-type=module", "-e", script).strip() == "message 2 follows message 0"
