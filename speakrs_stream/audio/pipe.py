"""Sound from a pipe while it is still being made: bare samples, or a WAV whose header says what follows."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speakrs_stream.audio.container import STREAMED
from speakrs_stream.audio.pcm import PcmDecoder
from speakrs_stream.audio.resample import HIGHEST_RATE, LOWEST_RATE
from speakrs_stream.errors import BadFormat, ConfigError

PIECE = 1 << 16
"""Bytes read at once at most; fewer where fewer are there."""

MOST_CHANNELS = 64
LONGEST_CHUNK = 1 << 24
"""Bytes of other things in front of the sound that are read over."""

ENCODINGS = {
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16le",
    (1, 24): "pcm_s24le",
    (1, 32): "pcm_s32le",
    (3, 32): "pcm_f32le",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
"""Format and bits of a WAV header -> what the samples are."""

ADVICE = (
    "give WAV, or bare 16-bit samples and their rate with --raw-rate; ffmpeg -i INPUT -f wav - makes WAV of anything"
)


class Readable(Protocol):
    """The part of a binary stream that is needed: some bytes as soon as there are any, none at the end."""

    def read1(self, size: int = -1, /) -> bytes: ...


class PipeAudio:
    """Blocks of sound as they come through a pipe."""

    def __init__(self, stream: Readable, name: str, decoder: PcmDecoder, sample_rate: int, length: int | None) -> None:
        """Made by `raw_pipe` and `wav_pipe`. length: bytes of sound to come; None until the pipe ends."""
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise BadFormat(
                f"{name}: the sample rate is {sample_rate} Hz; {LOWEST_RATE} … {HIGHEST_RATE} Hz can be used"
            )
        self.name = name
        self.sample_rate = sample_rate
        self.channels = decoder.channels
        self._stream = stream
        self._decoder = decoder
        self._left = length

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """(n,) or (n, channels) float32, as much as there is each time; ends with the pipe."""
        while self._left is None or self._left > 0:
            data = self._stream.read1(PIECE if self._left is None else min(PIECE, self._left))
            if not data:
                return
            if self._left is not None:
                self._left -= len(data)
            block = self._decoder.push(data)
            if len(block):
                yield block

    @property
    def cut(self) -> bool:
        """Whether the pipe ended in the middle of a sample, or before the length its header promised."""
        return bool(self._decoder.finish()) or bool(self._left)


def raw_pipe(stream: Readable, *, sample_rate: int, channels: int = 1, name: str = "standard input") -> PipeAudio:
    """Bare samples, 16 bits little endian. sample_rate: hertz. Raises BadFormat, ConfigError for impossible numbers."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise ConfigError(f"channels is {channels}; it must be 1 … {MOST_CHANNELS}")
    return PipeAudio(stream, name, PcmDecoder("pcm_s16le", channels=channels), sample_rate, None)


def wav_pipe(stream: Readable, *, name: str = "standard input") -> PipeAudio:
    """A WAV as it is being written, such as `arecord` and `ffmpeg -f wav -` give; BadFormat for anything else."""
    head = _exactly(stream, 12, name)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadFormat(f"{name} is no WAV: {ADVICE}")
    layout: tuple[PcmDecoder, int] | None = None
    while True:
        kind, length = struct.unpack("<4sI", _exactly(stream, 8, name))
        if kind == b"data":
            if layout is None:
                raise BadFormat(f"{name} is a damaged WAV: sound without a format in front; {ADVICE}")
            return PipeAudio(stream, name, *layout, length if 0 < length < STREAMED else None)
        if length > LONGEST_CHUNK:
            raise BadFormat(f"{name} is a damaged WAV: no sound follows its header; {ADVICE}")
        body = _exactly(stream, length + length % 2, name)
        if kind == b"fmt ":
            layout = _layout(body, name)


def _layout(body: bytes, name: str) -> tuple[PcmDecoder, int]:
    """Decoder and sample rate of a format chunk."""
    if len(body) < 16:
        raise BadFormat(f"{name} is a damaged WAV: its format is cut short; {ADVICE}")
    form, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if form == 0xFFFE and len(body) >= 26:  # extensible: the form stands where an identifier begins
        form = struct.unpack("<H", body[24:26])[0]
    encoding = ENCODINGS.get((form, bits))
    if encoding is None or not 1 <= channels <= MOST_CHANNELS:
        raise BadFormat(f"{name}: WAV format {form} with {bits} bits and {channels} channels is not known; {ADVICE}")
    return PcmDecoder(encoding, channels=channels), rate


def _exactly(stream: Readable, size: int, name: str) -> bytes:
    """So many bytes; BadFormat where the pipe ends before."""
    found = b""
    while len(found) < size:
        data = stream.read1(size - len(found))
        if not data:
            what = "ended inside its header" if found else "is empty"
            raise BadFormat(f"{name} {what}; {ADVICE}")
        found += data
    return found
