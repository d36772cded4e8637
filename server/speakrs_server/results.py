"""Results of a session: from the board and the engine to files, and which formats they can be had in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from speakrs_server.board import Board
from speakrs_server.messages import Digests, Results, SessionFinal
from speakrs_server.unit import Unit
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.comparison import match
from speakrs_stream.diarization import Diarization
from speakrs_stream.engine import Engine
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


def offline(session: str, unit: Unit, engine: Engine) -> Diarization:
    """What the networks' answers say when all of them are looked at together; needs a unit that is closed.

    Channels that were heard apart have speakers of their own: `CH2_SPEAKER_00` is the first of the second channel.
    """
    parts = [engine.diarization(outcome, session) for outcome in unit.outcomes()]
    if unit.recipe.exclusive:
        parts = [replace(part, turns=part.exclusive) for part in parts]
    return parts[0] if not unit.recipe.separate else beside(parts)


def beside(parts: Sequence[Diarization]) -> Diarization:
    """Results of several channels of one recording as one."""
    turns, speakers = [], []
    for channel, part in enumerate(parts, start=1):
        turns += [replace(turn, speaker=f"CH{channel}_{turn.speaker}") for turn in part.turns]
        speakers += [replace(s, label=f"CH{channel}_{s.label}", channel=channel) for s in part.speakers]
    alone = Diarization.from_turns(turns).exclusive
    return replace(parts[0], turns=tuple(turns), exclusive=alone, speakers=tuple(speakers))


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
        speakers=tuple(replace(s, name=named.get(s.label, s.name), embedding=None) for s in final.speakers),
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
