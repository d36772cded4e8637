"""Audio in binary frames: a big-endian header of 16 bytes, then little-endian samples.

0  u8   kind, 1 for audio
1  u8   flags: 1 discontinuity, 4 muted (the payload is one big-endian u32: how many samples of silence)
2  u16  stream, 0
4  u32  number of the frame, for the client's own use
8  u64  position of the first sample since the start of the session, at the client's rate
16 …    samples, channels interleaved
"""

from __future__ import annotations

import struct

import msgspec

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.messages import AudioFormat
from speakrs_stream.audio.pcm import WIDTHS

HEADER = struct.Struct(">BBHIQ")
_COUNT = struct.Struct(">I")
AUDIO = 1
DISCONTINUITY, MUTED = 1, 4
LARGEST_POSITION = 2**53 - 1


class AudioFrame(msgspec.Struct, frozen=True, gc=False):
    """Sound at a place."""

    offset: int
    """Position of the first sample since the start, at the client's rate."""
    samples: int
    """How many there are per channel."""
    payload: bytes
    """The samples as they came; of a muted frame, silence."""
    discontinuity: bool = False
    """Whether audio may be missing in front of it."""
    number: int = 0
    """What the client numbers it."""


def pack(
    payload: bytes, offset: int, *, number: int = 0, discontinuity: bool = False, muted: int | None = None
) -> bytes:
    """A frame with its header; muted: send so many samples of silence instead of a payload."""
    flags = (DISCONTINUITY if discontinuity else 0) | (MUTED if muted is not None else 0)
    body = payload if muted is None else _COUNT.pack(muted)
    return HEADER.pack(AUDIO, flags, 0, number % 2**32, offset) + body


def silence(audio: AudioFormat, samples: int) -> bytes:
    """Silence as the encoding writes it."""
    zero = {"mulaw": b"\xff", "alaw": b"\xd5"}.get(audio.encoding, b"\0" * WIDTHS[audio.encoding])
    return zero * (samples * audio.channels)


def unpack(data: bytes, audio: AudioFormat, expected: int, max_ms: int, max_bytes: int) -> AudioFrame:
    """Read a binary frame; RemoteProtocolError where it is no audio of this format.

    expected: position that follows what came before, which raw frames take
    max_ms, max_bytes: longest frame
    """
    if len(data) > max_bytes:
        raise RemoteProtocolError("frame_too_large", f"a frame has at most {max_bytes} bytes, this one {len(data)}")
    if audio.framing == "raw":
        number, offset, flags, payload = 0, expected, 0, data
    else:
        if len(data) < HEADER.size:
            raise RemoteProtocolError("bad_message", f"a frame starts with {HEADER.size} bytes of header")
        kind, flags, stream, number, offset = HEADER.unpack_from(data)
        payload = data[HEADER.size :]
        if kind != AUDIO or stream != 0 or flags & ~(DISCONTINUITY | MUTED):
            raise RemoteProtocolError("bad_message", f"frame of kind {kind}, stream {stream}, flags {flags}: unknown")
    longest = audio.sample_rate * max_ms // 1000
    width = WIDTHS[audio.encoding] * audio.channels
    if flags & MUTED:
        if len(payload) != _COUNT.size:
            raise RemoteProtocolError("bad_message", "a muted frame holds the number of its samples, 4 bytes")
        samples = int(_COUNT.unpack(payload)[0])
    else:
        samples, rest = divmod(len(payload), width)
        if rest:
            raise RemoteProtocolError("unsupported_audio", f"{len(payload)} bytes are no whole samples of {width}")
    if not samples:
        raise RemoteProtocolError("bad_message", "a frame holds at least one sample")
    if samples > longest:
        raise RemoteProtocolError("frame_too_large", f"a frame has at most {max_ms} ms, {longest} samples")
    if offset + samples > LARGEST_POSITION:
        raise RemoteProtocolError("bad_message", "the position of the frame is beyond all reason")
    body = silence(audio, samples) if flags & MUTED else payload
    return AudioFrame(offset, samples, body, bool(flags & DISCONTINUITY), number)
