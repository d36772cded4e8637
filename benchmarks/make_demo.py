"""Make the recording that comes with the package: `python -m benchmarks.make_demo speakrs_stream/demo`.

Four synthetic people hold a short meeting: a script with real turn-taking (answers at once, hums over each other, two
interruptions), spoken by Debian's synthesizers, placed in one simulated room with a little noise. The reference is
where the voices really have energy before the room is added. Needs the Debian packages
`flite espeak-ng festival festvox-kdlpc16k`; the same package versions give the same recording.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy import signal

from benchmarks.references import rttm_text
from benchmarks.rooms import Room, impulse_response, seats
from benchmarks.voices import Samples, speech_runs
from speakrs_stream.core.grid import SAMPLE_RATE, samples
from speakrs_stream.errors import ConfigError
from speakrs_stream.scoring import Labelled, merged

PACKAGES = "flite espeak-ng festival festvox-kdlpc16k"
ROOM = Room((5.2, 4.1, 2.7), 0.28)
SEED = 7
LEVEL = 0.02
"""RMS of every voice while it speaks."""

NOISE = 0.0002
"""RMS of the room's noise: about 40 dB below the voices."""

SHORT_PAUSE = 0.25
"""Seconds of silence up to which a speaker's turn goes on."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something somebody says."""

    speaker: str
    """Who says it."""

    text: str
    """What is said."""

    gap: float = 0.25
    """Seconds between the end of everything before and this line; negative starts before that end."""


SCRIPT = (
    Line("alice", "Good morning everybody, and thank you for coming. Shall we begin with the museum tour?", 0.6),
    Line("bruce", "Yes, let us do that. The guides say that Saturday is already full.", 0.3),
    Line("alice", "Already full? That was quick.", -0.35),
    Line("bruce", "It was. Forty people signed up, and twelve more are waiting.", 0.3),
    Line("clara", "Then we could offer a second tour on Sunday. The small hall is free from two o'clock.", 0.4),
    Line("derek", "Sunday is difficult for me. I promised to drive the old bus to the harbour and back.", -0.5),
    Line("clara", "Oh, I see.", -0.3),
    Line("bruce", "Could somebody else drive it this time?", 0.35),
    Line("derek", "Only with a licence. My brother has one, so I will ask him tonight.", 0.3),
    Line("alice", "Right.", -0.7),
    Line("alice", "That would help a lot. Clara, how long does it take to prepare the hall?", 0.4),
    Line("clara", "One hour with two people. We need fifty chairs, the projector, and a long extension cable.", 0.25),
    Line("derek", "The cable is in my van.", -0.4),
    Line("bruce", "And I can bring chairs from the school. They owe us a favour.", 0.3),
    Line("alice", "Very good. What about the price? Last year we asked for five pounds.", 0.4),
    Line("derek", "Five is fair. I would not ask for more, because many families will come with children.", 0.3),
    Line("bruce", "Hm, yes.", -1.2),
    Line("clara", "And children go in free, as always?", -0.3),
    Line("alice", "Of course they do. So, a second tour on Sunday at two, for five pounds.", 0.3),
    Line("bruce", "Agreed.", 0.2),
    Line("derek", "Agreed, if my brother says yes.", -0.25),
    Line("clara", "Then I will print the posters tomorrow morning.", 0.3),
    Line("alice", "Wonderful. See you all on Sunday.", 0.25),
)  # fmt: skip


def flite(voice: str, text: str, path: Path) -> list[str]:
    """Command that lets a flite voice say `text` into a wave file."""
    return ["flite", "-voice", voice, "-t", text, "-o", str(path)]


def espeak(voice: str, text: str, path: Path) -> list[str]:
    """Command that lets an espeak-ng voice say `text` into a wave file."""
    return ["espeak-ng", "-v", voice, "-s", "165", "-w", str(path), text]


def festival(voice: str, text: str, path: Path) -> list[str]:
    """Command that lets a festival voice say `text` into a wave file."""
    said = path.with_suffix(".txt")
    said.write_text(text, encoding="utf-8")
    return ["text2wave", "-eval", f"(voice_{voice})", "-o", str(path), str(said)]


CAST = {
    "alice": (flite, "slt"),
    "bruce": (flite, "rms"),
    "clara": (espeak, "en-us+f2"),
    "derek": (festival, "ked_diphone"),
}
"""Speaker -> synthesizer and its voice."""


def synthesize(line: Line) -> Samples:
    """Mono float32 at 16 kHz of one line, `LEVEL` loud, silence around it cut; raises ConfigError without the tool."""
    tool, voice = CAST[line.speaker]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        command = tool(voice, line.text, path)
        if shutil.which(command[0]) is None:
            raise ConfigError(f"{command[0]} is not installed; run: apt-get install {PACKAGES}")
        subprocess.run(command, check=True, capture_output=True)
        sound, rate = soundfile.read(path, dtype="float32")
    sound = np.pad(np.asarray(soxr.resample(sound, rate, SAMPLE_RATE), np.float32), SAMPLE_RATE // 4)
    runs = speech_runs(sound, max_pause=SHORT_PAUSE)
    spoken = np.concatenate([sound[start:end] for start, end in runs])
    sound = sound[runs[0][0] : runs[-1][1]]
    return sound * np.float32(LEVEL / np.sqrt(np.mean(spoken**2)))


def arrange(lines: Sequence[Line], sounds: Sequence[Samples]) -> list[int]:
    """First sample of every line: `gap` after the end of all lines before it, and never over oneself."""
    starts: list[int] = []
    end = 0
    own_end: dict[str, int] = {}
    for line, sound in zip(lines, sounds, strict=True):
        start = max(end + samples(line.gap), own_end.get(line.speaker, 0), 0)
        starts.append(start)
        own_end[line.speaker] = start + len(sound)
        end = max(end, start + len(sound))
    return starts


def turns_of(lines: Sequence[Line], sounds: Sequence[Samples], starts: Sequence[int]) -> list[Labelled]:
    """Where every speaker is heard, seconds in whole milliseconds; pauses up to `SHORT_PAUSE` do not split a turn."""
    heard: dict[str, list[tuple[int, int]]] = {}
    for line, sound, start in zip(lines, sounds, starts, strict=True):
        padded = np.pad(sound, SAMPLE_RATE // 4)
        for first, last in speech_runs(padded, max_pause=SHORT_PAUSE):
            heard.setdefault(line.speaker, []).append(
                (start + first - SAMPLE_RATE // 4, start + last - SAMPLE_RATE // 4)
            )
    turns = []
    for speaker, spans in heard.items():
        whole: list[list[int]] = []
        for first, last in sorted(spans):
            if whole and first - whole[-1][1] <= samples(SHORT_PAUSE):
                whole[-1][1] = max(whole[-1][1], last)
            else:
                whole.append([first, last])
        turns += [Labelled(round(a / 16) / 1000, round(b / 16) / 1000, speaker) for a, b in whole]
    return merged(turns)


def mix(lines: Sequence[Line], sounds: Sequence[Samples], starts: Sequence[int]) -> Samples:
    """Everybody in one room, with noise: (samples,) float32, a second of room after the last word."""
    rng = np.random.default_rng(SEED)
    length = max(start + len(sound) for start, sound in zip(starts, sounds, strict=True)) + SAMPLE_RATE
    microphone, mouths = seats(ROOM, len(CAST), rng)
    result = np.zeros(length)
    for speaker, mouth in zip(CAST, mouths, strict=True):
        dry = np.zeros(length, np.float32)
        for line, sound, start in zip(lines, sounds, starts, strict=True):
            if line.speaker == speaker:
                dry[start : start + len(sound)] += sound
        response = impulse_response(ROOM, mouth, microphone, rng)
        result += signal.oaconvolve(dry, response)[:length] * 10.0 ** (rng.uniform(-2.0, 2.0) / 20.0)
    noise = signal.lfilter([0.15], [1.0, -0.85], rng.standard_normal(length))
    result += noise * (NOISE / np.sqrt(np.mean(noise**2)))
    return np.asarray(result * min(1.0, 0.8 / np.max(np.abs(result))), np.float32)


def make(folder: Path, lines: Sequence[Line] = SCRIPT) -> tuple[float, int]:
    """Write meeting.flac and meeting.rttm into `folder`; returns seconds and number of turns."""
    sounds = [synthesize(line) for line in lines]
    starts = arrange(lines, sounds)
    turns = turns_of(lines, sounds, starts)
    audio = mix(lines, sounds, starts)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "meeting.flac", audio, SAMPLE_RATE, subtype="PCM_16", compression_level=1.0)
    (folder / "meeting.rttm").write_text(rttm_text("meeting", turns), encoding="utf-8")
    return len(audio) / SAMPLE_RATE, len(turns)


if __name__ == "__main__":
    seconds, turns = make(Path(sys.argv[1] if len(sys.argv) > 1 else "speakrs_stream/demo"))
    print(f"{seconds:.1f} s, {turns} turns")
