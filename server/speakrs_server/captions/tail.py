"""A session's sound at 16 kHz, read from its journal while it grows: what the recognizer listens to.

The journal is the queue between the session and a recognizer that may be slow: it is there anyway, bounded by the disk,
and still there after a crash.
"""

from __future__ import annotations

from collections import deque
from math import gcd

import numpy as np
from numpy.typing import NDArray

from speakrs_server.journal import AUDIO
from speakrs_server.message_parts import AudioFormat
from speakrs_server.records import Log, Record, read
from speakrs_stream.audio.live import LiveInput
from speakrs_stream.audio.pcm import WIDTHS, PcmDecoder
from speakrs_stream.core.grid import SAMPLE_RATE

CHUNK = 2**20
"""Bytes of the journal read in one go; more than its longest record of audio."""


class Tail:
    """Reads one log; may be used in any thread, by one at a time."""

    def __init__(self, log: Log, audio: AudioFormat, start: int) -> None:
        """log: the session's input, which is only read; start: sample at 16 kHz of the first that is wanted."""
        rate = audio.sample_rate
        unit = rate // gcd(rate, SAMPLE_RATE)  # so many samples are a whole number of them at 16 kHz
        origin = start * rate // SAMPLE_RATE // unit * unit
        self.position = origin
        """Sample at the client's rate up to which it was read."""
        self._skip = start - origin * SAMPLE_RATE // rate
        self._log, self._rate = log, rate
        self._width = WIDTHS[audio.encoding] * audio.channels
        self._decoder = PcmDecoder(audio.encoding, channels=audio.channels)
        self._input = LiveInput(rate)
        self._segment, self._offset = 0, 0
        self._records: deque[Record] = deque()

    def read(self, most: int) -> NDArray[np.float32]:
        """The next samples at 16 kHz, (n,) float32: none where there are none yet, else about `most`."""
        ready: list[NDArray[np.float32]] = []
        count = 0
        while count < most and (piece := self._piece()) is not None:
            ready.append(self._cut(self._input.push(piece)))
            count += len(ready[-1])
        return np.concatenate(ready) if ready else np.zeros(0, np.float32)

    def finish(self) -> NDArray[np.float32]:
        """The rest, once all there is was read and no more comes."""
        return self._cut(self._input.finish())

    def _cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Without those before the first that is wanted."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        return samples[skipped:]

    def _piece(self) -> NDArray[np.float32] | None:
        """At most a second at the client's rate: of a record, or of silence before it."""
        while (record := self._next()) is not None:
            count = len(record.payload) // self._width
            missing = record.position - self.position
            if missing > 0:
                silence = min(missing, self._rate)
                self.position += silence
                return np.zeros(silence, np.float32)
            self._records.popleft()
            if record.position + count > self.position:
                payload = record.payload[-missing * self._width :]
                self.position = record.position + count
                return self._decoder.push(payload)
        return None

    def _next(self) -> Record | None:
        """The next record of sound, left where it is."""
        while not self._records:
            if not self._read_on():
                return None
        return self._records[0]

    def _read_on(self) -> bool:
        """Read records that came since; whether there is any use in looking again."""
        if self._segment == 0:
            segments = self._log.segments()
            if not segments:
                return False
            self._segment = segments[0]
        try:
            with open(self._log.path(self._segment), "rb") as file:
                file.seek(self._offset)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return False
        used = 0
        for record, used in read(data, self._log.seed):  # noqa: B007 - the place after the last
            if record.kind == AUDIO:
                self._records.append(record)
        self._offset += used
        if used:
            return True
        if self._log.path(self._segment + 1).exists():
            self._segment, self._offset = self._segment + 1, 0
            return True
        return False
