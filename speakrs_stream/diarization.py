"""The answer: who spoke when, as one frozen value that every output format is written from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.core.grid import Span, seconds
from speakrs_stream.errors import MissingExtra

if TYPE_CHECKING:
    from pyannote.core import Annotation


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One speaker, one stretch of the recording."""

    span: Span
    """Where it lies, in samples at 16 kHz; end is exclusive."""

    speaker: str
    """Label of the speaker, as in `Diarization.speakers`."""

    @property
    def start(self) -> float:
        """Where it starts, in seconds."""
        return seconds(self.span.start)

    @property
    def end(self) -> float:
        """Where it ends, in seconds."""
        return seconds(self.span.end)

    @property
    def duration(self) -> float:
        """How long it is, in seconds."""
        return seconds(self.span.samples)


@dataclass(frozen=True, slots=True)
class Speaker:
    """One voice of a recording."""

    label: str
    """What turns call this speaker: "SPEAKER_00" from a whole recording, "S1" from a live stream."""

    name: str | None = None
    """A person's name to show instead of the label, where one is known."""

    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Voice print, (dimension,) float32, read-only; biometric data, so neither printed nor compared."""

    channel: int = 1
    """Channel of the recording, from 1, where channels were heard apart; 1 where they were averaged."""

    def __post_init__(self) -> None:
        if self.embedding is not None:
            vector = np.array(self.embedding, dtype=np.float32)
            if vector.ndim != 1:
                raise ValueError(f"an embedding has one axis, this one has shape {vector.shape}")
            vector.flags.writeable = False
            object.__setattr__(self, "embedding", vector)

    @property
    def shown(self) -> str:
        """What people read: the name where there is one, else the label."""
        return self.name or self.label


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who spoke when in one recording."""

    uri: str
    """Name of the recording, usually its file name without suffix."""

    samples: int
    """Length of the recording, in samples at 16 kHz."""

    turns: tuple[Turn, ...]
    """Everybody's turns by start, end and speaker; turns of different speakers may overlap."""

    exclusive: tuple[Turn, ...]
    """The same with one speaker at a time: where voices overlap only the dominant one is kept."""

    speakers: tuple[Speaker, ...]
    """Every speaker that has a turn, and any other that was found."""

    bundle: str = ""
    """Name of the model bundle that was used; empty when unknown."""

    warnings: tuple[str, ...] = ()
    """What was odd about the recording (cut short, clipped, …), as sentences for people."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(sorted(self.turns)))
        object.__setattr__(self, "exclusive", tuple(sorted(self.exclusive)))
        object.__setattr__(self, "speakers", tuple(self.speakers))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        if self.samples < 0:
            raise ValueError(f"a recording cannot have {self.samples} samples")
        known = [speaker.label for speaker in self.speakers]
        if len(set(known)) != len(known):
            raise ValueError("two speakers have the same label")
        unknown = {turn.speaker for turn in (*self.turns, *self.exclusive)}.difference(known)
        if unknown:
            raise ValueError(f"turns name speakers that are not listed: {', '.join(sorted(unknown))}")
        for before, after in pairwise(self.exclusive):
            if after.span.start < before.span.end:
                raise ValueError(f"exclusive turns overlap at {after.start} s")

    @classmethod
    def from_turns(
        cls,
        turns: Iterable[Turn],
        *,
        uri: str = "recording",
        samples: int | None = None,
        exclusive: Iterable[Turn] | None = None,
        bundle: str = "",
    ) -> Diarization:
        """Build a result from turns alone, such as those of an RTTM.

        samples: length of the recording; None takes the end of the last turn
        exclusive: one speaker at a time; None derives it with `exclusive_turns`
        """
        listed = sorted(turns)
        alone = exclusive_turns(listed) if exclusive is None else tuple(exclusive)
        if samples is None:
            samples = max((turn.span.end for turn in (*listed, *alone)), default=0)
        labels = sorted({turn.speaker for turn in (*listed, *alone)})
        return cls(uri, samples, tuple(listed), alone, tuple(Speaker(label) for label in labels), bundle)

    @property
    def duration(self) -> float:
        """Length of the recording, in seconds."""
        return seconds(self.samples)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the speakers, in the order of `speakers`."""
        return tuple(speaker.label for speaker in self.speakers)

    def view(self, exclusive: bool = False) -> tuple[Turn, ...]:
        """`exclusive` turns, or all of them."""
        return self.exclusive if exclusive else self.turns

    def shown(self, label: str) -> str:
        """What people read for a label: the speaker's name where there is one."""
        return next((s.shown for s in self.speakers if s.label == label), label)

    def airtime(self, *, exclusive: bool = False) -> dict[str, tuple[float, int]]:
        """Label -> (seconds spoken, number of turns), longest first; speakers without a turn have (0.0, 0).

        Overlapping turns of one speaker are counted once. With `exclusive` overlaps between speakers count
        for the dominant one only, so that the seconds add up to the speech in the recording.
        """
        turns = self.view(exclusive)
        spoken = {label: sum(span.samples for span in spans) for label, spans in spans_by_speaker(turns).items()}
        counts = {label: sum(turn.speaker == label for turn in turns) for label in self.labels}
        order = sorted(self.labels, key=lambda label: (-spoken.get(label, 0), label))
        return {label: (seconds(spoken.get(label, 0)), counts[label]) for label in order}

    def rename(self, mapping: Mapping[str, str]) -> Diarization:
        """The same result with other labels: `rename({"SPEAKER_00": "Alice"})`.

        Labels that are not in `mapping` stay. Two labels with the same new one become one speaker: their turns
        are united where they touch, and the voice print is the mean of both, weighted by time spoken.
        Raises ValueError when `mapping` names a label that does not exist or an empty new one.
        """
        unknown = set(mapping).difference(self.labels)
        if unknown:
            raise ValueError(
                f"no speaker is called {', '.join(sorted(unknown))}; there are: {', '.join(self.labels) or 'none'}"
            )
        if any(not new for new in mapping.values()):
            raise ValueError("a speaker's new label is empty")
        merged: dict[str, list[Speaker]] = {}
        for speaker in self.speakers:
            merged.setdefault(mapping.get(speaker.label, speaker.label), []).append(speaker)
        airtime = self.airtime()
        return replace(
            self,
            turns=_relabel(self.turns, mapping),
            exclusive=_relabel(self.exclusive, mapping),
            speakers=tuple(
                Speaker(
                    label,
                    next((s.name for s in group if s.name and s.label not in mapping), None),
                    _mean_embedding(group, [airtime[s.label][0] for s in group]),
                )
                for label, group in merged.items()
            ),
        )

    def to_rttm(self, *, exclusive: bool = False) -> str:
        """The turns as NIST RTTM, one `SPEAKER` line each, times with three decimals."""
        from speakrs_stream import formats

        return formats.render(self, "rttm", exclusive=exclusive)

    def to_json(self, *, embeddings: bool = False) -> str:
        """The whole result as JSON that `from_json` reads back; voice prints only when asked for."""
        from speakrs_stream.formats import json

        return json.dumps(self, embeddings=embeddings)

    @classmethod
    def from_json(cls, text: str) -> Diarization:
        """Read what `to_json` wrote; raises FormatError that names the field that is wrong."""
        from speakrs_stream.formats import json

        return json.loads(text)

    def write(self, path: str | os.PathLike[str], format: str | None = None, *, exclusive: bool = False) -> Path:
        """Write to a file, whole or not at all, and return its path.

        format: a name of `speakrs_stream.formats.FORMATS` or "png"; None takes it from the file's suffix
        exclusive: write the turns with one speaker at a time
        Raises ConfigError for an unknown format and OutputError when the file cannot be written.
        """
        from speakrs_stream import formats

        return formats.write(self, path, format, exclusive=exclusive)

    def to_pyannote(self, *, exclusive: bool = False) -> Annotation:
        """As `pyannote.core.Annotation`, for pyannote.metrics; raises MissingExtra without pyannote.core."""
        try:
            from pyannote.core import Annotation, Segment
        except ImportError as error:
            raise MissingExtra("pyannote.core", "pyannote", "to_pyannote()") from error
        annotation = Annotation(uri=self.uri)
        for track, turn in enumerate(self.view(exclusive)):
            annotation[Segment(turn.start, turn.end), track] = turn.speaker
        return annotation

    def _repr_html_(self) -> str:
        """Timeline and table for notebooks, as one HTML fragment that loads nothing."""
        from speakrs_stream.formats import html

        return html.fragment(self)

    def __repr__(self) -> str:
        return (
            f"<Diarization {self.uri!r}: {self.duration:.1f} s, {len(self.speakers)} speakers, {len(self.turns)} turns>"
        )


def spans_by_speaker(turns: Iterable[Turn]) -> dict[str, list[Span]]:
    """Label -> spans in order, with those of one speaker that touch or overlap united."""
    found: dict[str, list[Span]] = {}
    for turn in sorted(turns):
        spans = found.setdefault(turn.speaker, [])
        if spans and turn.span.start <= spans[-1].end:
            spans[-1] = Span(spans[-1].start, max(spans[-1].end, turn.span.end))
        else:
            spans.append(turn.span)
    return found


def exclusive_turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """One speaker at a time, from turns alone: whoever has the floor keeps it until the turn ends, then it goes
    to the one who goes on longest. (An engine knows better, it has the activations.)
    """
    spans = spans_by_speaker(turns)
    waiting = sorted((Turn(span, label) for label, own in spans.items() for span in own), reverse=True)
    edges = sorted({edge for turn in waiting for edge in (turn.span.start, turn.span.end)})
    talking: dict[str, int] = {}  # label -> where its turn ends
    floor: str | None = None
    chosen: list[Turn] = []
    for start, end in pairwise(edges):
        talking = {label: until for label, until in talking.items() if until > start}
        while waiting and waiting[-1].span.start == start:
            turn = waiting.pop()
            talking[turn.speaker] = turn.span.end
        talking = {label: until for label, until in talking.items() if until > start}
        if floor not in talking:
            floor = min(talking, key=lambda label: (-talking[label], label), default=None)
        if floor is not None:
            if chosen and chosen[-1].speaker == floor and chosen[-1].span.end == start:
                start = chosen.pop().span.start
            chosen.append(Turn(Span(start, end), floor))
    return tuple(chosen)


def _relabel(turns: Iterable[Turn], mapping: Mapping[str, str]) -> tuple[Turn, ...]:
    """Turns under their new labels; those of labels that fell together are united where they touch."""
    renamed = [replace(turn, speaker=mapping.get(turn.speaker, turn.speaker)) for turn in turns]
    if len({turn.speaker for turn in turns}) == len({turn.speaker for turn in renamed}):
        return tuple(renamed)
    return tuple(Turn(span, label) for label, spans in spans_by_speaker(renamed).items() for span in spans)


def _mean_embedding(group: Sequence[Speaker], weights: Sequence[float]) -> NDArray[np.float32] | None:
    """Mean voice print, (dimension,), of speakers that became one; None when no one has any."""
    known = [(s.embedding, w) for s, w in zip(group, weights, strict=True) if s.embedding is not None]
    if not known:
        return None
    shares: Any = [w for _, w in known] if sum(w for _, w in known) > 0 else None
    return np.average([e for e, _ in known], axis=0, weights=shares).astype(np.float32)
