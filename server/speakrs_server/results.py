"""Results of a session: from the board and the engine to files, and which formats they can be had in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from speakrs_server.board import Board
from speakrs_server.messages import Digests, Results, SessionFinal
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.comparison import match
from speakrs_stream.diarization import Diarization, Speaker
from speakrs_stream.formats import FORMATS, render

INLINE = 32_768
"""Bytes of RTTM up to which it stands in `session.final`."""

CONTENT_TYPES = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "html": "text/html",
    "svg": "image/svg+xml",
    "vtt": "text/vtt",
}
"""Format -> content type; the others are plain text."""
SUFFIXES = {writer.suffix.lower().removeprefix("."): name for name, writer in FORMATS.items()} | {
    name: name for name in FORMATS
}
"""What may follow `result.` in an address -> format."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Both results of a session and its last message."""

    live: Diarization
    """The fold of what was told."""
    final: Diarization
    """The result over everything heard."""
    message: SessionFinal
    """Its number is still to be set."""


def finish(session: str, board: Board, final: Diarization, audio_sha256: str, samples: int) -> Finished:
    """Both results, with the names the live one knows, and the message that says so.

    samples: audio received, at the client's rate
    """
    live = board.live(session, final.samples * 1000 // SAMPLE_RATE, final.bundle)
    mapping = match([(t.span, t.speaker) for t in live.turns], [(t.span, t.speaker) for t in final.turns])
    names = {speaker.label: speaker.name for speaker in live.speakers if speaker.name}
    named = {mapping[label]: name for label, name in reversed(names.items()) if label in mapping}
    final = replace(
        final,
        speakers=tuple(Speaker(s.label, named.get(s.label, s.name)) for s in final.speakers),  # no voice prints
    )
    texts = {"live": render(live, "rttm"), "final": render(final, "rttm")}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    message = SessionFinal(
        seq=0,
        samples=samples,
        audio_ms=final.samples * 1000 // SAMPLE_RATE,
        speakers=board.airtime(live),
        live_to_final=dict(mapping),
        results=Results(
            live=f"/v1/sessions/{session}/result.rttm?pass=live",
            final=f"/v1/sessions/{session}/result.rttm?pass=final",
        ),
        sha256=Digests(audio=audio_sha256, live_rttm=digests["live"], final_rttm=digests["final"]),
        rttm=texts["final"] if len(texts["final"]) <= INLINE else None,
    )
    return Finished(live, final, message)
