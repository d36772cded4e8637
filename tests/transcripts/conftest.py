"""One conversation as every format has it: Ann says "hello there" from 0.5 s, Bob "good morning" from 2 s."""

from __future__ import annotations

import json
from typing import Any

import pytest

from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization, Turn

TIMES = ((0.5, 0.9), (1.0, 1.5), (2.0, 2.4), (2.5, 3.0))
TEXTS = ("hello", "there", "good", "morning")


def _words(key: str = "word", scale: float = 1, prefix: str = "", **more: Any) -> list[dict[str, Any]]:
    whole = scale != 1
    return [
        {key: prefix + text, "start": int(a * scale) if whole else a, "end": int(b * scale) if whole else b, **more}
        for text, (a, b) in zip(TEXTS, TIMES, strict=True)
    ]


def _vosk(words: list[dict[str, Any]]) -> dict[str, Any]:
    return {"result": words, "text": " ".join(word["word"] for word in words)}


WHISPER = {
    "text": " hello there good morning",
    "segments": [
        {"id": 0, "start": 0.5, "end": 1.5, "text": " hello there", "words": _words(prefix=" ", probability=0.9)[:2]},
        {"id": 1, "start": 2.0, "end": 3.0, "text": " good morning", "words": _words(prefix=" ", probability=0.9)[2:]},
    ],
    "language": "en",
}
WHISPERX = {
    "segments": [
        {"start": 0.5, "end": 1.5, "text": "hello there", "words": _words(score=0.8)[:2]},
        {"start": 2.0, "end": 3.0, "text": "good morning", "words": _words(score=0.8)[2:]},
    ],
    "word_segments": _words(score=0.8),
    "language": "en",
}
WHISPERCPP = {
    "systeminfo": "AVX = 1",
    "transcription": [
        {
            "timestamps": {"from": "00:00:00,500", "to": "00:00:01,500"},
            "offsets": {"from": 500, "to": 1500},
            "text": " hello there",
        },
        {
            "timestamps": {"from": "00:00:02,000", "to": "00:00:03,000"},
            "offsets": {"from": 2000, "to": 3000},
            "text": " good morning",
        },
    ],
}
DEEPGRAM = {
    "metadata": {"request_id": "x", "channels": 1},
    "results": {
        "channels": [
            {
                "alternatives": [
                    {
                        "transcript": "hello there good morning",
                        "confidence": 0.9,
                        "words": _words(confidence=0.9),
                        "paragraphs": {"paragraphs": [{"sentences": [], "start": 2.0, "end": 3.0}]},
                    }
                ]
            }
        ],
        "utterances": [
            {"start": 0.5, "end": 1.5, "channel": 0, "transcript": "hello there", "words": _words()[:2]},
            {"start": 2.0, "end": 3.0, "channel": 0, "transcript": "good morning", "words": _words()[2:]},
        ],
    },
}
ASSEMBLYAI = {
    "id": "x",
    "status": "completed",
    "text": "hello there good morning",
    "words": _words("text", 1000, confidence=0.9, speaker=None),
    "utterances": [{"text": "good morning", "start": 2000, "end": 3000, "speaker": "A"}],
}
VOSK = [_vosk(_words(conf=1.0)[:2]), _vosk(_words(conf=1.0)[2:]), {"text": ""}]
CTM = "".join(
    f"talk 1 {a} {b - a:.2f} {text} 0.90\n" for text, (a, b) in zip(TEXTS, TIMES, strict=True)
)  # fmt: skip
SRT = "1\n00:00:00,500 --> 00:00:01,500\nhello there\n\n2\n00:00:02,000 --> 00:00:03,000\ngood morning\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:01.500 align:start\nhello there\n\n00:02.000 --> 00:03.000\n<v Old>good</v> morning\n"


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Format (and variant) -> a transcript in it."""
    documents: dict[str, Any] = {
        "whisper": WHISPER,
        "whisper-x": WHISPERX,
        "whisper-openai": {
            "text": "",
            "segments": [
                {"start": 0.5, "end": 1.5, "text": "hello there"},
                {"start": 2, "end": 3, "text": "good morning"},
            ],
            "words": _words(),
        },
        "whispercpp": WHISPERCPP,
        "deepgram": DEEPGRAM,
        "assemblyai": ASSEMBLYAI,
        "vosk": VOSK,
        "vosk-alternatives": {"alternatives": [{"confidence": 1, "text": "x", "result": _words()}, {"text": "y"}]},
        "words": _words(),
        "words-object": {"words": _words()},
        "words-milliseconds": _words(scale=1000),
    }
    return {name: json.dumps(document) for name, document in documents.items()} | {
        "vosk-lines": "\n".join(json.dumps(result, indent=1) for result in VOSK),
        "ctm": CTM,
        "srt": SRT,
        "vtt": VTT,
    }


@pytest.fixture(scope="session")
def talk() -> Diarization:
    """Ann until 1.7 s, then Bob."""
    return Diarization.from_turns([Turn(Span(0, 27_200), "Ann"), Turn(Span(27_200, 64_000), "Bob")], uri="talk")
