"""Sound as it arrives, at any rate and position, as one gapless mono signal at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speakrs_stream.audio.pcm import Gate, GateReport, from_array, to_mono
from speakrs_stream.audio.resample import Resampler
from speakrs_stream.core.arrays import Tape
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.errors import AudioError, SessionFinished, WrongRate

Samples = NDArray[np.float32]

LONGEST_GAP = 3600
"""Seconds of missing audio that are replaced by silence; a longer gap is refused."""

FILLING = 30
"""Seconds of silence that are resampled at once."""


@dataclass(frozen=True, slots=True)
class InputFaults:
    """What was wrong with the positions of the pieces; counts are samples at the input's rate."""

    gaps: int = 0
    """Times that audio was missing."""
    missing: int = 0
    """Samples replaced by silence."""
    repeats: int = 0
    """Times that audio came again or overlapped what was there."""
    repeated: int = 0
    """Samples dropped because they were there already."""


class LiveInput:
    """Pieces of any size in, mono float32 at 16 kHz out; positions, numbers and layout are checked on the way."""

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        """sample_rate: hertz of everything that will be pushed."""
        self.sample_rate = sample_rate
        self.position = 0
        """Samples at the input's rate that have been taken so far, silence for gaps included."""
        self.faults = InputFaults()
        self.finished = False
        """Whether `finish` was called."""
        self._gate = Gate()
        self._resampler = Resampler(sample_rate)
        self._tail = Tape()  # the last input samples, from which a restored resampler starts
        self._given = 0  # samples at 16 kHz handed out
        self._skip = 0  # samples a restored resampler repeats
        self._early = np.zeros(0, np.float32)  # what it had ready before anything new came

    @property
    def report(self) -> GateReport:
        """Not-numbers, clipping and DC offset so far."""
        return self._gate.report

    def push(self, samples: ArrayLike, *, sample_rate: int | None = None, at: int | None = None) -> Samples:
        """What became ready at 16 kHz, (m,) float32.

        samples: (n,) or (n, channels), float within ±1 or integers; channels are averaged
        sample_rate: hertz; WrongRate where it is not the stream's
        at: position of the first sample since the start, at the input's rate; None continues where the last ended.
            What lies before that end is dropped, a gap becomes silence (AudioError beyond an hour).
        """
        if self.finished:
            raise SessionFinished("this stream has been finished; open a new one for more audio")
        if sample_rate is not None and sample_rate != self.sample_rate:
            raise WrongRate(got=sample_rate, want=self.sample_rate)
        values = from_array(samples)
        missing, again = self._place(len(values), self.position if at is None else at)
        values = to_mono(self._gate.push(values[again:]))
        self._note(missing, again)
        ready = [self._resample(np.zeros(n, np.float32)) for n in _parts(missing, FILLING * self.sample_rate)]
        new = self._resample(values)
        return np.concatenate([*ready, new]) if ready else new

    def _resample(self, values: Samples) -> Samples:
        self.position += len(values)
        if self.sample_rate == SAMPLE_RATE:  # nothing to resample, nor to start a restored resampler from
            self._tail = Tape(start=self.position)
            return self._handed(values)
        self._tail.append(values)
        # From a multiple of `unit` input samples on, output positions are whole; of twice as many, they are even,
        # so that the length of the rest is rounded as that of the whole would be.
        unit = 2 * self.sample_rate // gcd(self.sample_rate, SAMPLE_RATE)
        self._tail.forget(max(self.position - self.sample_rate, 0) // unit * unit)
        return self._handed(self._resampler.push(values))

    def _handed(self, ready: Samples) -> Samples:
        if len(self._early):
            ready, self._early = np.concatenate([self._early, ready]), ready[:0]
        new = ready[self._skip :]
        self._skip -= len(ready) - len(new)
        self._given += len(new)
        return new

    def _place(self, count: int, at: int) -> tuple[int, int]:
        """Samples missing before a piece of `count` samples at `at`, and how many of its own were there already."""
        if at < 0:
            raise AudioError(f"a position cannot be negative, got {at}")
        missing = at - self.position
        if missing > LONGEST_GAP * self.sample_rate:
            raise AudioError(
                f"{missing / self.sample_rate:.0f} s of audio are missing before sample {at}; gaps of up to "
                f"{LONGEST_GAP} s become silence, finish this stream and open a new one"
            )
        return max(missing, 0), min(max(-missing, 0), count)

    def _note(self, missing: int, again: int) -> None:
        f = self.faults
        if missing:
            self.faults = f = replace(f, gaps=f.gaps + 1, missing=f.missing + missing)
        if again:
            self.faults = replace(f, repeats=f.repeats + 1, repeated=f.repeated + again)

    def finish(self) -> Samples:
        """The rest, (m,) float32, so that everything together has the exact length; nothing the second time.

        Raises BadFormat when it turns out that all of it was no sound.
        """
        if self.finished:
            return np.zeros(0, np.float32)
        self._gate.finish()
        self.finished = True
        return self._handed(self._resampler.finish())

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values and arrays for a snapshot."""
        f = self.faults
        plain = {
            "rate": self.sample_rate,
            "position": self.position,
            "faults": [f.gaps, f.missing, f.repeats, f.repeated],
            "given": self._given,
            "tail": self._tail.start,
            "gate": self._gate.state(),
            "finished": self.finished,
        }
        return plain, {"tail": self._tail.all().copy()}

    @classmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> LiveInput:
        """The input `state` was made from; at other rates than 16 kHz its output goes on equal up to rounding."""
        live = cls(plain["rate"])
        live.position, live._given = plain["position"], plain["given"]
        live.faults = InputFaults(*plain["faults"])
        live._gate = Gate.restore(plain["gate"])
        live._tail = Tape.of(arrays["tail"], plain["tail"])
        live._skip = live._given - plain["tail"] * SAMPLE_RATE // live.sample_rate
        live._early = live._resampler.push(arrays["tail"])
        if plain["finished"]:
            live._resampler.finish()
            live.finished = True
        return live


def _parts(total: int, most: int) -> list[int]:
    """`total` as pieces of at most `most`."""
    return [min(most, total - start) for start in range(0, total, most)]
