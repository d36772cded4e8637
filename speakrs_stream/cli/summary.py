"""What people ask of a result first: who spoke how long, how much overlapped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from speakrs_stream.core.grid import Span, seconds
from speakrs_stream.diarization import Diarization, spans_by_speaker


@dataclass(frozen=True, slots=True)
class Airtime:
    """One speaker's share of a recording."""

    speaker: str
    """Label."""

    seconds: float
    """Time the speaker talks."""

    share: float
    """Part of everybody's time, 0 to 1; overlapped speech counts for each who talks, so shares sum to 1."""

    turns: int
    """Number of turns."""

    longest: float
    """Longest stretch without a pause, in seconds."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A recording in a few numbers."""

    speakers: tuple[Airtime, ...]
    """Longest airtime first; speakers without a turn are left out."""

    duration: float
    """Length of the recording, in seconds."""

    speech: float
    """Time in which at least one speaker talks, in seconds."""

    overlap: float
    """Time in which two or more talk, in seconds."""

    @property
    def silence(self) -> float:
        """Time in which nobody talks, in seconds."""
        return max(0.0, self.duration - self.speech)


def summarize(diarization: Diarization, *, exclusive: bool = False) -> Summary:
    """Count airtime, speech and overlap; with `exclusive`, of the turns with one speaker at a time."""
    talk = spans_by_speaker(diarization.view(exclusive))
    airtime = diarization.airtime(exclusive=exclusive)
    everyone = sum(spoken for spoken, _ in airtime.values())
    speakers = tuple(
        Airtime(label, spoken, spoken / everyone, turns, max(span.seconds for span in talk[label]))
        for label, (spoken, turns) in airtime.items()
        if label in talk
    )
    speech, overlap = depth(talk.values())
    return Summary(speakers, diarization.duration, seconds(speech), seconds(overlap))


def depth(everybody: Iterable[list[Span]]) -> tuple[int, int]:
    """Samples in which at least one, and at least two, of several lists of disjoint spans are on."""
    spans = [span for own in everybody for span in own]
    edges = sorted([(span.start, 1) for span in spans] + [(span.end, -1) for span in spans])
    on, since, one, two = 0, 0, 0, 0
    for at, change in edges:
        one += (at - since) * (on >= 1)
        two += (at - since) * (on >= 2)
        on, since = on + change, at
    return one, two
