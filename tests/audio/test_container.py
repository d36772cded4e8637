from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from speakrs_stream.audio.container import Container, describe, inspect


def sound(kind: str) -> bytes:
    """A tenth of a second in a container."""
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(1_600, np.float32), 16_000, format=kind)
    return stream.getvalue()


def inspected(data: bytes) -> Container:
    return inspect(io.BytesIO(data), len(data))


def with_length(data: bytes, length: int) -> bytes:
    """A WAV whose sound claims another length."""
    at = data.find(b"data") + 4
    return data[:at] + struct.pack("<I", length) + data[at + 4 :]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_kinds_are_told_from_the_first_bytes(kind: str) -> None:
    assert inspected(sound(kind)) == Container(kind)


def test_missing_sound_is_counted() -> None:
    assert inspected(sound("WAV")[:-100]).missing == 100
    assert inspected(sound("AIFF")[:-100]).missing > 90
    assert inspected(with_length(sound("WAV"), 0xFFFF_FFFF)).missing == 0


def test_a_length_nobody_filled_in_is_filled_in() -> None:
    wav = sound("WAV")
    at = wav.find(b"data") + 4
    found = inspected(with_length(wav, 0))
    assert (found.header, found.body) == (wav[: at + 4], at + 4)


@pytest.mark.parametrize("length", [0, 1_000, 2**32 - 1])
def test_more_sound_than_32_bits_can_count_gets_a_longer_header(length: int) -> None:
    wav = with_length(sound("WAV"), length)
    found = inspect(io.BytesIO(wav), 2**33)
    assert found.body == 44
    assert found.header[:4] == b"RF64" and struct.unpack("<Q", found.header[28:36]) == (2**33 - 44,)


def test_a_length_of_nothing_that_is_meant_stays() -> None:
    header = sound("WAV")[:40]
    assert inspected(header + bytes(4)).header == b""
    for tail in (b"LIST\x04\x00\x00\x00abcd", b"LIST\x03\x00\x00\x00abc\x00", b"LIST\x03\x00\x00\x00abc"):
        assert inspected(header + bytes(4) + tail).header == b""


def test_a_chunk_before_the_sound_is_stepped_over() -> None:
    wav = sound("WAV")
    odd = wav[:12] + b"note\x03\x00\x00\x00abc\x00" + wav[12:]
    assert inspected(odd[:-10]) == Container("WAV", missing=10)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\x00\x00\x00\x20ftypM4A ", "is an MP4 or M4A file, which cannot be read; convert it: ffmpeg"),
        (b"\x1aE\xdf\xa3\x01", "WebM"),
        (b"\xff\xf1\x50\x80", "looks like AAC"),
        (b"fLaC\x00", "starts like FLAC but is damaged"),
        (b"Hello, I am a text.\nReally.", "is a text, not sound"),
        ("Grüße".encode()[:3], "is a text"),
        (b"\x00\x01\x02\x03" * 20, "header is missing, damaged or of an unknown kind"),
    ],
)
def test_other_files_are_named(head: bytes, says: str) -> None:
    assert says in describe(io.BytesIO(head), inspected(head))
