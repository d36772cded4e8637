"""One turn per line as JSON, for pipes: `{"uri": …, "start": 1.2, "end": 3.4, "speaker": "SPEAKER_00"}`."""

from __future__ import annotations

import json

from speakrs_stream.diarization import Diarization
from speakrs_stream.formats.json import turn_object


def render(diarization: Diarization, *, exclusive: bool = False) -> str:
    """The turns by start, end and speaker, in seconds; nothing at all when nobody speaks."""
    rows = ({"uri": diarization.uri, **turn_object(turn)} for turn in diarization.view(exclusive))
    # ASCII only: U+2028 and its kind would be line ends to some readers.
    return "".join(json.dumps(row) + "\n" for row in rows)
