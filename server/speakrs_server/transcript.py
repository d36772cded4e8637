"""What was said in a session, from what its clients were told; results with words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from speakrs_server import messages
from speakrs_server.board import PER_MS
from speakrs_server.identifiers import UNKNOWN_SPEAKER
from speakrs_server.messages import ServerMessage
from speakrs_stream.core.grid import Span
from speakrs_stream.diarization import Diarization
from speakrs_stream.formats import json, render
from speakrs_stream.transcripts.render import RENDERERS
from speakrs_stream.words import UNKNOWN, LabelledWord, Share, Word, assign_words

WITH_WORDS = ("json", "srt", "txt", "vtt")
"""Formats of a result that have room for words."""


def transcript(told: Iterable[ServerMessage]) -> tuple[LabelledWord, ...]:
    """Settled words that came with their text, by time; who said them as it was told last."""
    words: dict[str, LabelledWord] = {}
    for message in told:
        match message:
            case messages.WordsLabelled(status="final"):
                words |= {word.id: said for word in message.words if (said := _said(word)) is not None}
            case messages.WordsRelabelled():
                for changed in message.words:
                    if changed.id in words:
                        words[changed.id] = replace(words[changed.id], speaker=_speaker(changed.speaker))
            case _:
                continue
    return tuple(sorted(words.values(), key=lambda said: said.word.span or Span(0, 0)))


def _said(word: messages.LabelledWord) -> LabelledWord | None:
    if word.text is None or word.start_ms is None or word.end_ms is None:
        return None
    return LabelledWord(
        Word(word.text, Span(word.start_ms * PER_MS, word.end_ms * PER_MS)),
        _speaker(word.speaker),
        word.share,
        tuple(Share(share.speaker, share.share) for share in word.also),
    )


def _speaker(name: str) -> str:
    return UNKNOWN if name == UNKNOWN_SPEAKER else name


def render_result(result: Diarization, format_name: str, told: Iterable[ServerMessage], *, live: bool) -> str:
    """A result in any format, with the session's words where it has some and the format has room for them.

    live: whether words keep the speakers that were told; else they get those of the result
    """
    words = transcript(told) if format_name in WITH_WORDS else ()
    if not words:
        return render(result, format_name)
    if not live:
        words = tuple(assign_words((said.word for said in words), result))
    if format_name == "json":
        return json.dumps(result, words=words)
    names = {speaker.label: speaker.shown for speaker in result.speakers}
    return RENDERERS[format_name](words, " ", False, names)
