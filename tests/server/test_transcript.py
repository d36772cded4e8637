"""What was said, from the messages alone, and results with it."""

from __future__ import annotations

import json

from speakrs_server import messages
from speakrs_server.messages import LabelledWord, RelabelledWord, ServerMessage
from speakrs_server.transcript import render_result, transcript
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Speaker, Turn


def said(name: str, start: int, text: str | None, speaker: str = "S1") -> LabelledWord:
    return LabelledWord(id=name, speaker=speaker, start_ms=start, end_ms=start + 200, text=text)


def told(*words: LabelledWord, status: str = "final") -> ServerMessage:
    kind = "final" if status == "final" else "provisional"
    return messages.WordsLabelled(status=kind, seq=1 if kind == "final" else None, words=words)  # type: ignore[arg-type]


LOG = (
    told(said("b", 1200, "there"), said("c", 1500, "<Bob>", "S2"), said("d", 1800, None)),
    told(said("x", 0, "maybe"), status="provisional"),
    told(said("a", 1000, "hello"), said("e", 9000, "who", "UU")),
    messages.WordsRelabelled(seq=3, words=(RelabelledWord(id="c", speaker="S1"),), cause=2),
    messages.Pong(id=1),
)
RESULT = Diarization(
    "call",
    160_000,
    (Turn(Span(0, 22_000), "S1"), Turn(Span(22_500, 40_000), "S2")),
    (Turn(Span(0, 22_000), "S1"), Turn(Span(22_500, 40_000), "S2")),
    (Speaker("S1", "Ann"), Speaker("S2")),
)


def test_settled_words_with_text_by_time() -> None:
    words = transcript(LOG)
    assert [(word.word.text, word.speaker) for word in words] == [
        ("hello", "S1"),
        ("there", "S1"),
        ("<Bob>", "S1"),
        ("who", "UNKNOWN"),
    ]
    assert words[0].word.span == Span(16_000, 19_200)


def test_results_have_words_where_there_is_room() -> None:
    assert "Ann: hello there" in render_result(RESULT, "srt", LOG, live=True)
    assert "<v Ann>hello there &lt;Bob&gt;</v>" in render_result(RESULT, "vtt", LOG, live=True)
    assert "Ann: hello there <Bob>" in render_result(RESULT, "txt", LOG, live=True)
    found = json.loads(render_result(RESULT, "json", LOG, live=True))
    assert found["words"][2] == {"start": 1.5, "end": 1.7, "speaker": "S1", "word": "<Bob>"}
    assert Diarization.from_json(json.dumps(found)) == RESULT
    assert render_result(RESULT, "rttm", LOG, live=True) == RESULT.to_rttm()


def test_in_the_final_result_they_follow_its_turns() -> None:
    found = json.loads(render_result(RESULT, "json", LOG, live=False))
    assert [word["speaker"] for word in found["words"]] == ["S1", "S1", "S2", "UNKNOWN"]


def test_without_words_results_are_as_ever() -> None:
    assert render_result(RESULT, "srt", (told(said("d", 0, None)),), live=True) == render_result(
        RESULT, "srt", (), live=True
    )
    assert "words" not in json.loads(render_result(RESULT, "json", (), live=True))
