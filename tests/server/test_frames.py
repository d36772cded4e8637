"""Audio frames: packed and read back, and everything that is no frame refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakrs_server.codes import RemoteProtocolError
from speakrs_server.frames import AudioFrame, pack, silence, unpack
from speakrs_server.messages import AudioFormat
from speakrs_stream.audio.pcm import decode

AUDIO = AudioFormat()
LIMIT = {"expected": 0, "max_ms": 1000, "max_bytes": 65_536}


@given(st.binary(min_size=2, max_size=400), st.integers(0, 2**50), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_frame_comes_back(data: bytes, offset: int, discontinuity: bool, number: int) -> None:
    payload = data[: len(data) // 2 * 2]
    packed = pack(payload, offset, number=number, discontinuity=discontinuity)
    assert len(packed) == 16 + len(payload)
    assert unpack(packed, AUDIO, **LIMIT) == AudioFrame(offset, len(payload) // 2, payload, discontinuity, number)


def test_raw_frames_follow_each_other() -> None:
    audio = AudioFormat(framing="raw", channels=2)
    assert unpack(b"\0" * 8, audio, 100, 1000, 65_536) == AudioFrame(100, 2, b"\0" * 8)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "mulaw", "alaw"])
def test_muted_frames_are_silence(encoding: str) -> None:
    audio = AudioFormat(encoding=encoding, channels=2)  # type: ignore[arg-type]
    frame = unpack(pack(b"", 7, muted=40), audio, **LIMIT)
    assert (frame.offset, frame.samples) == (7, 40)
    heard = decode(frame.payload, encoding)
    assert len(heard) == 80
    assert abs(heard).max() < 3e-4
    assert frame.payload == silence(audio, 40)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad_message"),
        (b"\1" * 15, "bad_message"),
        (pack(b"", 0), "bad_message"),
        (b"\2" + pack(b"\0\0", 0)[1:], "bad_message"),
        (b"\1\x80" + pack(b"\0\0", 0)[2:], "bad_message"),
        (b"\1\0\0\1" + pack(b"\0\0", 0)[4:], "bad_message"),
        (pack(b"\0\0\0", 0), "unsupported_audio"),
        (pack(b"\0\0", 2**63), "bad_message"),
        (pack(b"\0\0" * 16_001, 0), "frame_too_large"),
        (pack(b"\0" * 65_521, 0), "frame_too_large"),
        (pack(b"", 0, muted=16_001), "frame_too_large"),
        (pack(b"", 0, muted=2**32 - 1), "frame_too_large"),
        (pack(b"", 0, muted=0), "bad_message"),
        (pack(b"", 0, muted=5) + b"\0", "bad_message"),
    ],
    ids=range(14),
)
def test_what_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        unpack(data, AUDIO, **LIMIT)
    assert caught.value.code.name == code


@settings(max_examples=800)
@given(st.binary(max_size=64), st.sampled_from(["header16", "raw"]), st.integers(1, 8))
def test_any_bytes_are_a_frame_or_refused(data: bytes, framing: str, channels: int) -> None:
    audio = AudioFormat(framing=framing, channels=channels)  # type: ignore[arg-type]
    try:
        frame = unpack(data, audio, **LIMIT)
    except RemoteProtocolError:
        return
    assert 0 < frame.samples <= 16_000
    assert len(frame.payload) == frame.samples * channels * 2
