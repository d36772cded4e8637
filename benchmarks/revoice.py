"""Real turn-taking spoken by other voices.

The turns of a reference RTTM are filled with read speech, one voice per speaker, in one simulated room per meeting.
What comes out sounds like a meeting, its reference is true to some milliseconds, and its voices can be chosen: keep
those that a network was trained on apart from those it is measured with.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from benchmarks.references import read_rttm, rttm_text
from benchmarks.rooms import impulse_response, random_room, seats
from benchmarks.voices import Reader, Samples, Voice, find_voices, load_voice
from speakrs_stream.core.grid import SAMPLE_RATE, samples
from speakrs_stream.errors import FormatError
from speakrs_stream.scoring import Labelled, merged

SPEEDS = (1.0, 0.89, 1.12)
"""Factors by which a voice is played when copies may stand in for missing people."""


@dataclass(frozen=True, slots=True)
class RevoiceConfig:
    """How meetings are made."""

    seed: int = 0
    """Everything random follows from this number and the meeting's name."""

    max_files: int | None = None
    """Meetings to make; None for all."""

    max_seconds: float | None = None
    """Seconds of each meeting: its busiest stretch of that length, moved to 0; None for the whole meeting."""

    copies: bool = False
    """Whether faster and slower copies of a voice may stand in where a meeting has more speakers than voices."""

    min_snr: float = 12.0
    """Decibels by which speech exceeds the room's noise, at least."""

    max_snr: float = 30.0
    """Decibels by which speech exceeds the room's noise, at most."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A mix and its reference."""

    audio: Samples
    """Mono float32 at 16 kHz."""

    turns: tuple[Labelled, ...]
    """Who speaks when, seconds."""

    voices: Mapping[str, str]
    """Speaker of the reference -> voice that speaks for it."""


def busiest(turns: Sequence[Labelled], seconds: float) -> list[Labelled]:
    """The stretch of `seconds` with most going on, cut out and moved to 0.

    Most going on: seconds in which somebody speaks, plus ten for every speaker heard for 3 s or more. The stretch
    begins at a turn.
    """
    end = max((turn.end for turn in turns), default=0.0)
    if end <= seconds:
        return sorted(turns)

    def cut(start: float) -> list[Labelled]:
        pieces = (
            Labelled(max(turn.start - start, 0.0), min(turn.end - start, seconds), turn.speaker) for turn in turns
        )
        return [piece for piece in pieces if piece.end - piece.start >= 0.05]

    def worth(pieces: list[Labelled]) -> float:
        heard: dict[str, float] = {}
        for piece in pieces:
            heard[piece.speaker] = heard.get(piece.speaker, 0.0) + piece.end - piece.start
        anybody = merged(Labelled(piece.start, piece.end, "") for piece in pieces)
        spoken = sum(piece.end - piece.start for piece in anybody)
        return spoken + 10.0 * sum(duration >= 3.0 for duration in heard.values())

    starts = sorted({turn.start for turn in turns if turn.start <= end - seconds} | {end - seconds})
    coarse = starts[:: max(1, len(starts) // 200)]
    return sorted(cut(max(coarse, key=lambda start: worth(cut(start)))))


def speak(
    turns: Iterable[Labelled],
    voices: Mapping[str, Voice],
    rng: np.random.Generator,
    *,
    seconds: float,
    min_snr: float = 12.0,
    max_snr: float = 30.0,
) -> Samples:
    """Mix of all turns in one random room: (seconds at 16 kHz,) float32 with a peak of 0.8 at most.

    Speakers differ in level by up to ±3 dB; noise is a hiss that falls with frequency, fixed for the meeting.
    """
    length = samples(seconds)
    turns = merged(turns)
    room = random_room(rng)
    microphone, mouths = seats(room, len(voices), rng)
    mix = np.zeros(length, dtype=np.float32)
    heard = 0.0
    for (speaker, voice), mouth in zip(sorted(voices.items()), mouths, strict=True):
        dry = np.zeros(length, dtype=np.float32)
        reader = Reader(voice, int(rng.integers(len(voice.phrases))))
        spoken = 0
        for turn in turns:
            if turn.speaker != speaker:
                continue
            start, end = min(samples(turn.start), length), min(samples(turn.end), length)
            dry[start:end] = reader.read(end - start)
            spoken += end - start
        response = impulse_response(room, mouth, microphone, rng)
        gain = 10.0 ** (rng.uniform(-3.0, 3.0) / 20.0)
        wet = signal.oaconvolve(dry, response)[:length] * gain
        mix += wet.astype(np.float32)
        heard = max(heard, float(np.sqrt(np.sum(wet.astype(np.float64) ** 2) / max(spoken, 1))))
    snr = rng.uniform(min_snr, max_snr)
    mix += _noise(length, rng) * np.float32((heard or 0.05) * 10.0 ** (-snr / 20.0))
    peak = float(np.max(np.abs(mix), initial=0.0))
    return mix * np.float32(min(1.0, 0.8 / peak) if peak > 0 else 1.0)


def _noise(length: int, rng: np.random.Generator) -> Samples:
    """Noise of unit RMS whose spectrum falls by 3–9 dB per octave over a few hundred hertz."""
    white = rng.standard_normal(length, dtype=np.float32)
    pole = rng.uniform(0.5, 0.97)
    coloured = signal.lfilter([1.0 - pole], [1.0, -pole], white) + 0.05 * white
    level = float(np.sqrt(np.mean(coloured**2))) if length else 1.0
    return np.asarray(coloured / (level or 1.0), dtype=np.float32)


def cast(
    speakers: Sequence[str], available: Sequence[str], rng: np.random.Generator, *, copies: bool = False
) -> dict[str, tuple[str, float]] | None:
    """A voice and a speed for every speaker, all different; None when there are not enough voices."""
    people = [(voice, SPEEDS[0]) for voice in available]
    people = [people[index] for index in rng.permutation(len(people))]
    if copies:
        people += [(voice, speed) for speed in SPEEDS[1:] for voice, _ in people[: len(available)]]
    if len(people) < len(speakers):
        return None
    return dict(zip(speakers, people, strict=False))


def revoice(
    out: Path,
    rttm: Path,
    voices: Path,
    config: RevoiceConfig,
    *,
    speakers: Iterable[str] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Write `<uri>.flac` and `<uri>.rttm` into `out` for the RTTMs in a folder (or one file); returns the uris.

    Voices are those of `speakers`, or all. `revoice.json` records the settings and who was cast. `report` is told
    about every meeting made or skipped. Raises FormatError without any RTTM, ConfigError without voices.
    """
    paths = [rttm] if rttm.is_file() else sorted(rttm.glob("*.rttm"))
    if not paths:
        raise FormatError(f"{rttm} holds no .rttm file")
    files = find_voices(voices, speakers)

    @lru_cache(maxsize=24)
    def voice(speaker: str, speed: float) -> Voice:
        return load_voice(speaker, files[speaker], speed=speed)

    out.mkdir(parents=True, exist_ok=True)
    made: dict[str, dict[str, str]] = {}
    for uri, turns in ((uri, turns) for path in paths for uri, turns in sorted(read_rttm(path).items())):
        if config.max_files is not None and len(made) >= config.max_files:
            break
        meeting = one_meeting(uri, turns, list(files), voice, config)
        if isinstance(meeting, str):
            report(f"{uri}: skipped, {meeting}")
            continue
        soundfile.write(out / f"{uri}.flac", meeting.audio, SAMPLE_RATE, subtype="PCM_16")
        (out / f"{uri}.rttm").write_text(rttm_text(uri, meeting.turns), encoding="utf-8")
        made[uri] = dict(meeting.voices)
        seconds = len(meeting.audio) / SAMPLE_RATE
        report(f"{uri}: {seconds:.0f} s, {len(meeting.voices)} speakers, {len(meeting.turns)} turns")
    record = {"config": asdict(config), "voices": made}
    (out / "revoice.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return list(made)


def one_meeting(
    uri: str,
    turns: Sequence[Labelled],
    available: Sequence[str],
    voice: Callable[[str, float], Voice],
    config: RevoiceConfig,
) -> Meeting | str:
    """A meeting, or why it cannot be made. `voice` gives a voice by name and speed."""
    rng = np.random.default_rng([config.seed, zlib.crc32(uri.encode())])
    turns = [turn for turn in turns if turn.end > turn.start]
    seconds = max((turn.end for turn in turns), default=0.0) + 1.0
    if config.max_seconds is not None and seconds > config.max_seconds:
        turns, seconds = busiest(turns, config.max_seconds), config.max_seconds
    if not turns:
        return "its RTTM has no turns"
    people = sorted({turn.speaker for turn in turns})
    chosen = cast(people, available, rng, copies=config.copies)
    if chosen is None:
        return f"{len(people)} speakers but {len(available)} voices (copies of voices can be allowed)"
    voices = {person: voice(name, speed) for person, (name, speed) in chosen.items()}
    audio = speak(turns, voices, rng, seconds=seconds, min_snr=config.min_snr, max_snr=config.max_snr)
    named = {person: name if speed == 1.0 else f"{name} x{speed}" for person, (name, speed) in chosen.items()}
    return Meeting(audio, tuple(sorted(turns)), named)
